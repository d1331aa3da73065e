"""What a folder of samples holds: counts of everything in it, every image decoded, and what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from bagel_world.episodes.folder_check import FolderCheck
from bagel_world.episodes.samples import ImagePart, Sample
from bagel_world.errors import BagelWorldError, RecordingError


@dataclass(slots=True, kw_only=True)
class SampleCheck(FolderCheck):
    """What a folder of samples holds. Damaged are those that cannot be read, or with an image that cannot be decoded.

    Attributes:
        samples: valid samples.
        splits: valid samples by split.
        sources: valid samples by (source, license).
        parts: parts by what they are, such as "text (action)" or "image (vae + vit + target)".
        losses: texts with loss.
        sizes: images by (width, height).
        longest_text: characters of the longest text.
        image_bytes: bytes of all images as stored.
    """

    samples: int = 0
    splits: Counter[str] = field(default_factory=Counter)
    sources: Counter[tuple[str, str]] = field(default_factory=Counter)
    parts: Counter[str] = field(default_factory=Counter)
    losses: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    longest_text: int = 0
    image_bytes: int = 0

    def add(self, sample: Sample) -> None:
        """Count a valid sample."""
        self.samples += 1
        self.splits[sample.split] += 1
        self.sources[sample.source, sample.license] += 1
        for text in sample.texts:
            self.parts[f"text ({text.role})"] += 1
            self.losses += text.loss
            self.longest_text = max(self.longest_text, len(text.text))
        for image in sample.images:
            self.parts[f"image ({' + '.join(uses_of(image))})"] += 1
            self.sizes[image.size] += 1
            self.image_bytes += len(image.image)
        twice = f"Sample {sample.sample_id!r} of {sample.source!r} comes more than once. Give every sample its own name."
        self.name((sample.source, sample.sample_id), twice)


def uses_of(image: ImagePart) -> tuple[str, ...]:
    """What an image is for: of "vae", "vit" and "target" those that hold."""
    return tuple(name for name in ("vae", "vit", "target") if getattr(image, name))


def decode_images(sample: Sample) -> None:
    """Decode every image of a sample.

    Raises:
        RecordingError: one is damaged; the message names the sample and the part.
    """
    for place, part in enumerate(sample.parts):
        if isinstance(part, ImagePart):
            try:
                part.frame()
            except BagelWorldError as error:
                raise RecordingError(f"Sample {sample.sample_id!r} cannot be used: part {place} (image): {error}") from error


def check_samples(samples: Sequence[Sample]) -> SampleCheck:
    """Read all samples of a folder and decode every image.

    Args:
        samples: a folder, whose `unlisted_damage` is found too and whether it is unfinished, or any other sequence.
    """
    check = SampleCheck()
    for finding in getattr(samples, "unlisted_damage", ()):
        check.find(finding)
    if not getattr(samples, "complete", True):
        check.find("The folder is unfinished: what makes it still runs, or was broken off. Run its command again.")
    for place in range(len(samples)):
        try:
            sample = samples[place]
            decode_images(sample)
        except RecordingError as error:
            check.damaged += 1
            check.find(str(error))
            continue
        check.add(sample)
    return check
