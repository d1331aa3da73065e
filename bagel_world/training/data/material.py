"""What the autoencoder and the tokenizer learn from where samples are the data: their pictures at one size, and their texts."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bagel_world.episodes.damage import Damage
from bagel_world.episodes.samples import ImagePart, Sample, TextPart
from bagel_world.errors import BagelWorldError, TrainingError
from bagel_world.images import fit_image
from bagel_world.training.data.cache import store_facts, store_frames
from bagel_world.training.data.sources import Source, SourceConfig, files_of, note_lost
from bagel_world.training.data.walks import Walks, identity_of
from bagel_world.types import Frame

_LOG = logging.getLogger(__name__)

Made = TypeVar("Made")

MOST_SAMPLES = 20_000
"""Samples that are looked at, from all over the sources: enough for an autoencoder and a vocabulary."""

FEW_SAMPLES = 500
"""Samples that are enough to hear which actions are usual."""


def gather_pictures(
    sources: Sequence[SourceConfig], size: tuple[int, int], cache: Path, *, damage: Damage, most: int = MOST_SAMPLES
) -> Walks:
    """The pictures of samples at one size, every sample a walk; decoded into `cache` the first time.

    Args:
        sources: where the samples come from.
        size: (height, width) that pictures are cropped and resized to.
        cache: folder for the file.
        damage: counts damaged samples, which are skipped up to its limit: better now than when the autoencoder is finished.
        most: samples that are used.

    Raises:
        RecordingError: more samples are damaged than may be skipped.
        TrainingError: there are no pictures, or the cache cannot be written.
    """
    key: dict[str, Any] = {"sources": [each.model_dump(mode="json") for each in sources], "size": list(size), "most": most}
    opened = [each.open() for each in sources]
    key["files"] = [[list(file) for file in files_of(each.folder)] for each in sources]
    facts_path, frames_path = cache / "pictures.json", cache / "pictures.npy"
    facts = json.loads(facts_path.read_text(encoding="utf-8")) if facts_path.is_file() and frames_path.is_file() else {}
    if facts.get("key") != key:
        _LOG.info("decoding the pictures of %s into %s", ", ".join(each.name for each in opened), cache)
        facts = {"key": key, **_decode(opened, size, most, damage, frames_path)}
        store_facts(facts_path, facts)
    frames = np.load(frames_path, mmap_mode="r")
    starts = np.array(facts["starts"], np.int64)
    return Walks(
        frames=frames, starts=starts, actions=tuple(facts["actions"]), identity=identity_of([key["files"], key["size"], most])
    )


def gather_texts(sources: Sequence[SourceConfig], *, most: int = MOST_SAMPLES) -> list[str]:
    """The texts of samples, each once, in order of first appearance."""
    found = spread_samples([each.open() for each in sources], most, _texts, Damage(most))  # the trainer is who counts
    return list(dict.fromkeys(text for texts in found for text in texts))


def gather_actions(sources: Sequence[SourceConfig], *, most: int = FEW_SAMPLES) -> set[str]:
    """The action words of a few samples from all over the sources."""
    found = spread_samples([each.open() for each in sources], most, _actions, Damage(None))
    return {text for texts in found for text in texts}


def spread_samples(sources: Sequence[Source], most: int, prepare: Callable[[Sample], Made], damage: Damage) -> Iterator[Made]:
    """What `prepare` makes of at most so many samples in all, evenly from all over every source; the same every time.

    Raises:
        RecordingError: more samples are damaged than may be skipped.
    """
    total = sum(source.count for source in sources)
    for source in sources:
        note_lost(source, damage)
        count = max(1, min(source.count, most * source.count // total))
        for place in np.linspace(0, source.count - 1, count).astype(np.int64).tolist():
            try:
                made = prepare(source.read(place, np.random.default_rng(place)))
            except BagelWorldError as error:
                damage.note(source.name, place, error)
                continue
            yield made


def _texts(sample: Sample) -> list[str]:
    return [part.text for part in sample.texts]


def _actions(sample: Sample) -> list[str]:
    return [part.text for part in sample.texts if part.role == "action"]


def _decode(sources: Sequence[Source], size: tuple[int, int], most: int, damage: Damage, frames_path: Path) -> dict[str, Any]:
    def decode(sample: Sample) -> tuple[Sample, list[Frame]]:
        return sample, [fit_image(part.frame(), size) for part in sample.images]

    starts, actions = [0], []

    def frames() -> Iterator[Frame]:
        for sample, pictures in spread_samples(sources, most, decode, damage):
            words: list[str] = []
            for part in sample.parts:
                if isinstance(part, ImagePart):
                    actions.append(" ".join(words) if len(actions) > starts[-1] else "")
                    words = []
                elif isinstance(part, TextPart) and part.role == "action":
                    words.append(part.text)
            if pictures:
                starts.append(starts[-1] + len(pictures))
                yield np.stack(pictures)
        if starts[-1] == 0:
            raise TrainingError(f"Expected samples with pictures in {', '.join(each.name for each in sources)}, found none.")

    store_frames(frames_path, frames())
    return {"starts": starts, "actions": actions}
