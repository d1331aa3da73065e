"""Walks as the world model reads them: frame, action, frame, action, ... with every later frame also as something to paint.

The layout is the one that a world builds step by step: clean frame, text, then the frame to be painted, then the same frame
clean, the next text, and so on. Every prefix of a walk is trained at once, because a frame to be painted sees all that
came before it and is itself invisible to what follows. Each has its own noise level (diffusion forcing, arXiv 2407.01392).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor

from bagel_world.actions import MIRRORED, SYMMETRIC
from bagel_world.model.flow import interpolate, shift_timestep, target_velocity
from bagel_world.model.packing import LatentSegment, Segment, TextSegment
from bagel_world.model.tokenizer import Tokenizer
from bagel_world.training.data.latents import LatentTable

_LOG = logging.getLogger(__name__)

_SHOWN = 8


class WalkConfig(BaseModel):
    """How windows are cut from walks and what is noised in them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frames: int = Field(default=7, ge=2, description="Frames in a window.")
    copies: int = Field(default=2, ge=1, description="Independent noised copies of every frame to be painted.")
    shift: float = Field(default=3.0, gt=0, description="Timestep shift toward noise.")
    mirrors: dict[str, str] = Field(
        default=MIRRORED,
        description="Action words that trade places when a walk is mirrored, beside this package's and before those of "
        "symmetric; empty switches mirroring off.",
    )
    symmetric: tuple[str, ...] = Field(
        default=SYMMETRIC,
        description="Action words that mean the same in a mirror, beside this package's. Windows with any other word are not "
        "mirrored.",
    )
    context_noise: float = Field(default=0.25, ge=0, description="Largest standard deviation of noise on a clean context frame.")
    context_noise_share: float = Field(default=0.25, ge=0, le=1, description="Share of context frames that get such noise.")
    imagined_share: float = Field(default=0.0, ge=0, le=1, description="Share of context frames that the model paints itself.")
    imagined_every: int = Field(default=2, gt=0, description="It does so in every so-manieth step.")
    predict_actions: bool = Field(default=False, description="Train the text head to say the next action as well.")
    text_dropout: float = Field(default=0.0, ge=0, le=1, description="Share of action texts left out.")

    @field_validator("mirrors")
    @classmethod
    def _beside_ours(cls, given: dict[str, str]) -> dict[str, str]:
        return {**MIRRORED, **given} if given else given

    @field_validator("symmetric")
    @classmethod
    def _with_ours(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*SYMMETRIC, *given)))


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkSample:
    """One window, ready to be packed.

    Attributes:
        segments: in sequence order.
        targets: velocity at the noised tokens, in sequence order: (noised tokens, latent size).
        timesteps: noise level of each noised image.
        tokens: the clean latent tokens, (frames, tokens, latent size).
        imagined: for each frame but the first and last, whether the model's own estimate is to take its place as context.
    """

    segments: list[Segment]
    targets: Tensor
    timesteps: Tensor
    tokens: Tensor
    imagined: tuple[bool, ...]


class WalkSampler:
    """Draws windows; what window `place` of step `k` holds is a function of (seed, k, place)."""

    def __init__(self, latents: LatentTable, tokenizer: Tokenizer, config: WalkConfig, *, seed: int) -> None:
        self._latents = latents
        self._config = config
        self._seed = seed
        self._windows = latents.walks.windows(config.frames, setting="mot.walk.frames")
        self._shares = np.cumsum(latents.walks.weights) / sum(latents.walks.weights)
        words = set(latents.walks.actions) - {""}
        self._reflected = {**{word: word for word in ("", *config.symmetric)}, **config.mirrors}
        unknown = sorted(words - set(self._reflected))
        if config.mirrors and unknown:
            _LOG.warning(
                "walks with the words %s are not mirrored: name them in mot.walk.mirrors or mot.walk.symmetric",
                ", ".join(map(repr, unknown[:_SHOWN])) + (", ..." if len(unknown) > _SHOWN else ""),
            )
        self._ids = {word: tokenizer.encode(word) for word in words | set(config.mirrors.values())}

    def window(self, step: int, place: int) -> WalkSample:
        """Window `place` of a step."""
        imagines = step % self._config.imagined_every == 0
        return self.sample(np.random.default_rng((self._seed, step, place)), imagines=imagines)

    def predicted(self, step: int, place: int, *, balanced: bool) -> float:
        """What window `place` of a step counts for in the text loss: its tokens that predict, or the sum of their weights."""
        if not self._config.predict_actions:
            return 0.0
        _, _, texts = self._place(np.random.default_rng((self._seed, step, place)))
        counts = [len(self._ids[text]) - 1 for text in texts if text is not None]
        return sum(count**0.5 for count in counts) if balanced else sum(counts)

    def sample(self, rng: np.random.Generator, *, imagines: bool = False) -> WalkSample:
        """One window."""
        start, mirrored, texts = self._place(rng)
        tokens = self._latents.window(start, self._config.frames, mirrored=mirrored)
        sample = build_walk(tokens, texts, self._ids, self._latents.grid, self._config, rng)
        return sample if imagines else replace(sample, imagined=(False,) * len(sample.imagined))

    def _place(self, rng: np.random.Generator) -> tuple[int, bool, list[str | None]]:
        """Where a window begins, whether it is mirrored, and the actions between its frames; None where one is left out."""
        config = self._config
        windows = self._windows[int(np.searchsorted(self._shares, rng.random(), side="right")) if len(self._windows) > 1 else 0]
        start = int(windows[rng.integers(len(windows))])
        mirrored = bool(config.mirrors) and rng.random() < 0.5
        words = [self._latents.walks.actions[place] for place in range(start + 1, start + config.frames)]
        mirrored = mirrored and all(word in self._reflected for word in words)
        dropped = rng.random(len(words)) < config.text_dropout
        texts = [self._reflected[word] if mirrored else word for word in words]
        return start, mirrored, [None if left_out else text for text, left_out in zip(texts, dropped, strict=True)]


def build_walk(
    tokens: Tensor,
    texts: Sequence[str | None],
    ids: Mapping[str, tuple[int, ...]],
    grid: tuple[int, int],
    config: WalkConfig,
    rng: np.random.Generator,
) -> WalkSample:
    """Lay out one window.

    Args:
        tokens: latent tokens of its frames, (frames, tokens, latent size).
        texts: the actions between them; None where nothing is said.
        ids: token ids of every action, with begin and end marks.
        grid: rows and columns of latent tokens.
        config: what is noised how.
        rng: every draw comes from here.
    """
    count, length = (len(tokens) - 1) * config.copies, tokens.shape[1:]
    levels = 1 / (1 + np.exp(-rng.standard_normal(count)))
    times = shift_timestep(torch.from_numpy(levels.astype(np.float32)), config.shift)
    noise = torch.from_numpy(rng.standard_normal((count, *length), dtype=np.float32))
    data = tokens[1:].repeat_interleave(config.copies, dim=0)
    noised = interpolate(data, noise, times[:, None, None])
    clean = _roughen(tokens, config, rng)
    segments: list[Segment] = [LatentSegment(tokens=clean[0], grid=grid)]
    for place, text in enumerate(texts):
        if text is not None:
            segments.append(TextSegment(ids=ids[text], loss=config.predict_actions))
        for copy in range(place * config.copies, (place + 1) * config.copies):
            segments.append(LatentSegment(tokens=noised[copy], grid=grid, timestep=float(times[copy]), noised=True))
        if place + 1 < len(texts):
            segments.append(LatentSegment(tokens=clean[place + 1], grid=grid))
    imagined = tuple(map(bool, rng.random(len(texts) - 1) < config.imagined_share))
    targets = target_velocity(data, noise).flatten(0, 1)
    return WalkSample(segments=segments, targets=targets, timesteps=times, tokens=tokens, imagined=imagined)


def _roughen(tokens: Tensor, config: WalkConfig, rng: np.random.Generator) -> Tensor:
    """Noise on some context frames, so that a frame that was imagined a little wrong does not derail what follows."""
    chosen = rng.random(len(tokens)) < config.context_noise_share
    deviation = np.where(chosen, rng.random(len(tokens)) * config.context_noise, 0.0).astype(np.float32)
    noise = rng.standard_normal(tokens.shape, dtype=np.float32)
    return tokens + torch.from_numpy(deviation[:, None, None] * noise)
