"""Sample -> segments: texts as ids, images as noised and clean latents and ViT pixels, with conditions left out now and then.

An image that is painted and shown comes as noised latents, clean latents, ViT pixels, in this order: what follows sees it clean.
Every painted image has its own noise level (diffusion forcing, arXiv 2407.01392); t = sigmoid(n) with n normal, then shifted.
Painted images that follow each other directly may be grouped at random: a group has one noise level and its images see each
other. A grouped image stands at the position where it is shown later.

Leaving out conditions is what makes guidance possible. Only where images are painted (the answer to a question needs its image):
texts that say what to do or what is shown, clean latents, and ViT images, each on its own. What is learned as text, what a later
text with loss refers to, questions, answers and thoughts always stay. A dropped text frees its positions, a dropped image keeps
its step of position.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from bagel_world.episodes.samples import ImagePart, Part, Sample, TextPart
from bagel_world.errors import BagelWorldError, TrainingError
from bagel_world.model.flow import interpolate, shift_timestep, target_velocity
from bagel_world.model.packing import Gap, LatentSegment, PackingRules, Segment, TextSegment, VitSegment, grid_positions
from bagel_world.model.tokenizer import Tokenizer
from bagel_world.training.data.encoder import Encoder, Grid

DROPPABLE_ROLES = frozenset({"action", "caption"})


class SegmentConfig(BaseModel):
    """How samples become segments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text_dropout: float = Field(default=0.1, ge=0, le=1, description="Share of conditioning texts left out.")
    vit_dropout: float = Field(default=0.3, ge=0, le=1, description="Share of ViT images left out.")
    vae_dropout: float = Field(default=0.3, ge=0, le=1, description="Share of clean latent images left out.")
    vit: bool = Field(default=True, description="Show images through the ViT; off, a sample's ViT images do not exist.")
    vit_sees: Literal["resized", "original"] = Field(
        default="resized",
        description="What the ViT's resize starts from: what the autoencoder's leaves, as in a world, or the file.",
    )
    copies: int = Field(default=1, ge=1, description="Independent noised copies of every image to be painted.")
    group_share: float = Field(
        default=0.0, ge=0, le=1, description="Chance that a painted image is painted together with the one right before it."
    )
    shift: float = Field(default=1.0, gt=0, description="Timestep shift toward noise.")
    max_text_tokens: int = Field(default=4096, gt=2, description="Longest text, with its marks; a longer one is damage.")
    max_tokens: int = Field(default=16384, gt=0, description="Longest sample; a longer one is damage.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentedSample:
    """A sample, ready to be packed.

    Attributes:
        segments: in sequence order.
        targets: velocity at the noised tokens, in sequence order: (noised tokens, latent size).
        timesteps: noise level of each noised image.
        tokens: length in the sequence.
    """

    segments: list[Segment]
    targets: Float[Tensor, "n z"]
    timesteps: Float[Tensor, " i"]
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReadPart:
    """A part, read: what is shown of it, and its latent tokens where it is painted."""

    shown: tuple[Segment, ...] = ()
    tokens: Tensor | None = None
    grid: Grid = (0, 0)


def segment_length(segment: Segment, rules: PackingRules) -> int:
    """Tokens of a segment in the sequence, boundaries included."""
    match segment:
        case TextSegment(ids=ids):
            return len(ids)
        case VitSegment(pixels=pixels):
            return (pixels.shape[1] // rules.vit_patch) * (pixels.shape[2] // rules.vit_patch) + 2
        case LatentSegment(tokens=tokens):
            return len(tokens) + 2
        case Gap():
            return 0


class Segmenter:
    """Cuts samples into segments.

    Args:
        tokenizer: for the texts.
        encoder: for the images.
        rules: the numbers of the model.
        config: what is left out and how much noise there is.
    """

    def __init__(self, tokenizer: Tokenizer, encoder: Encoder, rules: PackingRules, config: SegmentConfig) -> None:
        self._tokenizer = tokenizer
        self._encoder = encoder
        self._rules = rules
        self._config = config
        self._marks = {tokenizer.begin, tokenizer.end, tokenizer.start_of_image, tokenizer.end_of_image}

    def __call__(self, sample: Sample, rng: np.random.Generator) -> SegmentedSample:
        """The segments of a sample.

        Args:
            sample: what to learn from.
            rng: every draw comes from here.

        Raises:
            TrainingError: a text or the sample is too long, an image too large for the model, or damaged; the message names the
                sample and the part.
        """
        parts = learned_parts(sample)
        last_loss = max((place for place, part in enumerate(parts) if isinstance(part, TextPart) and part.loss), default=-1)
        painted = any(isinstance(part, ImagePart) and part.target for part in parts)
        images = sum(isinstance(part, ImagePart) for part in parts)
        segments: list[Segment] = []
        targets: list[Tensor] = []
        length = 0
        for group in self._groups(parts, rng):
            read = []
            for place in group:
                part = parts[place]
                try:
                    read.append(self._read(part, rng, images, droppable=painted and place > last_loss))
                except BagelWorldError as error:
                    raise TrainingError(
                        f"Sample {sample.sample_id!r} cannot be used: part {place} ({part.kind}): {error}"
                    ) from error
            for segment, target in self._painted([each for each in read if each.tokens is not None], rng):
                segments.append(segment)
                if target is not None:
                    targets.append(target)
            for each in read:
                segments.extend(each.shown)
            length = sum(segment_length(each, self._rules) for each in segments)
            if length > self._config.max_tokens:
                raise TrainingError(
                    f"Sample {sample.sample_id!r} cannot be used: expected at most {self._config.max_tokens} tokens, "
                    f"got {length} by part {group[-1]} of {len(parts)}. Cut it into shorter ones, or raise max_tokens."
                )
        times = [each.timestep for each in segments if isinstance(each, LatentSegment) and each.noised]
        return SegmentedSample(
            segments=segments,
            targets=torch.cat(targets) if targets else torch.empty(0, self._encoder.latent_size),
            timesteps=torch.tensor(times, dtype=torch.float32),
            tokens=length,
        )

    def _groups(self, parts: Sequence[Part], rng: np.random.Generator) -> list[list[int]]:
        """The places of the parts; painted images that are painted together share a group."""
        groups: list[list[int]] = []
        for place, part in enumerate(parts):
            before = parts[place - 1] if place else None
            consecutive = all(isinstance(each, ImagePart) and each.target for each in (before, part))
            if consecutive and rng.random() < self._config.group_share:
                groups[-1].append(place)
            else:
                groups.append([place])
        return groups

    def _read(self, part: Part, rng: np.random.Generator, images: int, *, droppable: bool) -> _ReadPart:
        if isinstance(part, TextPart):
            # The draw is made in any case, so that one switch does not move all other draws of a sample.
            dropped = rng.random() < self._config.text_dropout
            if dropped and droppable and part.role in DROPPABLE_ROLES:
                return _ReadPart()
            return _ReadPart(shown=(TextSegment(ids=self._ids(part.text), loss=part.loss),))
        no_vae, no_vit = rng.random() < self._config.vae_dropout, rng.random() < self._config.vit_dropout
        original = part.frame()
        frame = self._encoder.resized(original, images)
        tokens, grid = None, (0, 0)
        shown: list[Segment] = []
        if part.target or (part.vae and not (no_vae and droppable)):
            tokens, grid = self._encoder.latents(frame, rng)
            grid_positions(grid, self._rules.latent_side, "a latent image")
        if part.vae:
            shown.append(Gap() if tokens is None or (no_vae and droppable) else LatentSegment(tokens=tokens, grid=grid))
        if part.vit and self._config.vit:
            seen = frame if self._config.vit_sees == "resized" else original
            shown.append(Gap() if no_vit and droppable else self._vit(self._encoder.pixels(seen)))
        return _ReadPart(shown=tuple(shown), tokens=tokens if part.target else None, grid=grid)

    def _painted(self, group: Sequence[_ReadPart], rng: np.random.Generator) -> Iterator[tuple[Segment, Tensor | None]]:
        """The noised copies of a group, every copy at one level; positions end where they began."""
        for _ in range(self._config.copies if group else 0):
            level = torch.tensor(1 / (1 + np.exp(-rng.standard_normal())), dtype=torch.float32)
            time = shift_timestep(level, self._config.shift)
            for number, image in enumerate(group):
                assert image.tokens is not None
                if number:
                    yield Gap(advance=len(group[number - 1].shown)), None
                noise = torch.from_numpy(rng.standard_normal(tuple(image.tokens.shape), dtype=np.float32))
                noised = LatentSegment(
                    tokens=interpolate(image.tokens, noise, time[None]),
                    grid=image.grid,
                    timestep=float(time),
                    noised=True,
                    joined=number > 0,
                )
                yield noised, target_velocity(image.tokens, noise)
            if len(group) > 1:
                yield Gap(advance=-sum(len(image.shown) for image in group[:-1])), None

    def _ids(self, text: str) -> tuple[int, ...]:
        ids = self._tokenizer.encode(text)
        if len(ids) > self._config.max_text_tokens:
            raise TrainingError(
                f"expected a text of at most {self._config.max_text_tokens} tokens, got {len(ids)} ({text[:40]!r}...). Shorten it"
            )
        if self._marks.intersection(ids[1:-1]):
            raise TrainingError(f"expected a text without the model's own marks (such as '<|im_end|>'), got {text[:80]!r}")
        return ids

    def _vit(self, pixels: Tensor) -> VitSegment:
        grid = (pixels.shape[1] // self._rules.vit_patch, pixels.shape[2] // self._rules.vit_patch)
        grid_positions(grid, self._rules.vit_side, "a ViT image")
        return VitSegment(pixels=pixels)


def learned_parts(sample: Sample) -> tuple[Part, ...]:
    """The parts up to the last one that is learned from; that one is no condition, as nothing follows that it could be for."""
    learned = [place for place, part in enumerate(sample.parts) if (part.target if isinstance(part, ImagePart) else part.loss)]
    last = sample.parts[learned[-1]]
    if isinstance(last, ImagePart):
        last = last.model_copy(update={"vae": False, "vit": False})
    return (*sample.parts[: learned[-1]], last)
