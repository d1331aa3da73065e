"""The contexts of the three guidance branches, and the images in them, built from the settings of a case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bagel_world.images import ResizeRule, to_pixels
from tests import oracle
from tests.golden import cases
from tests.golden.cases import Case
from tests.golden.driver import Driver
from tests.oracle import Guidance, Latent, Segment, Sizes, Text, Vit


@dataclass(slots=True)
class Branches:
    """What each branch has seen: no-text is full as it was before the last text."""

    full: list[Segment] = field(default_factory=list)
    no_text: list[Segment] = field(default_factory=list)
    no_image: list[Segment] = field(default_factory=list)

    def system(self, ids: Sequence[int]) -> None:
        """A prompt that opens the full and the no-image branch."""
        self.full.append(Text(ids=ids))
        self.no_image.append(Text(ids=ids))

    def text(self, ids: Sequence[int]) -> None:
        self.no_text = list(self.full)
        self.full.append(Text(ids=ids))
        self.no_image.append(Text(ids=ids))

    def thought(self, ids: Sequence[int]) -> None:
        self.full.append(Text(ids=ids))

    def image(self, latent: Latent, vit: Vit) -> None:
        self.full += [latent, vit]
        self.no_text = list(self.full)

    def all(self) -> tuple[list[Segment], list[Segment], list[Segment]]:
        return self.full, self.no_text, self.no_image


def rule(name: str) -> ResizeRule:
    """The resize rule `vae_transform` or `vit_transform` of the tiny checkpoint."""
    stored = cases.head()[name]
    return ResizeRule(max_side=stored["max_size"], min_side=stored["min_size"], stride=stored["stride"])


def pixels_of(frame: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(to_pixels(frame))


def seen(driver: Driver, frame: np.ndarray[Any, Any], noise: Tensor) -> tuple[Tensor, Latent, Vit]:
    """A frame as it enters a context: its pixels for the VAE, then the two segments, the VAE's sampled with this noise."""
    resized = rule("vae_transform").apply(frame)
    pixels = pixels_of(resized)[None]
    tokens, grid = driver.to_tokens(driver.encode(pixels, noise)[0])
    return pixels, Latent(tokens=tokens, grid=grid), Vit(pixels=pixels_of(rule("vit_transform").apply(resized)))


def latents_of(driver: Driver, segment: Latent) -> Tensor:
    """The latents (1, z, h, w) of a segment."""
    return driver.to_latents(segment.tokens, segment.grid)[None]


def state(driver: Driver, segments: Sequence[Segment]) -> dict[str, list[int]]:
    """Number of cached tokens and next position of a context, as the settings store them."""
    tokens, position = driver.state(segments)
    return {"kv_lens": [tokens], "ropes": [position]}


def guidance(settings: Any, *, interval: Sequence[float] | None = None) -> Guidance:
    low, high = settings["cfg_interval"] if interval is None else interval
    return Guidance(
        text_scale=settings["cfg_text_scale"],
        image_scale=settings["cfg_img_scale"],
        low=low,
        high=high,
        renorm=settings["cfg_renorm_type"],
        renorm_min=settings["cfg_renorm_min"],
    )


def sizes() -> Sizes:
    """The numbers of the tiny checkpoint."""
    return oracle.read_sizes(cases.checkpoint_folder())


def grid_of(case: Case) -> tuple[int, int]:
    """Rows and columns of latent tokens in an image of the size in the settings."""
    height, width = case.settings["image_hw"]
    stride = 2 ** (sizes().levels - 1) * sizes().latent_patch
    return height // stride, width // stride


def frame(case: Case) -> np.ndarray[Any, Any]:
    """The raw image that the settings name."""
    return cases.tensor(case.settings["image"]).numpy()
