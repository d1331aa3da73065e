"""What decides the samples that films give: how they are cut, what is dropped, which frames are taken."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bagel_world.images import ResizeRule

PATCH_MULTIPLE = 16
"""Sides of frames are a multiple of this: what the autoencoder and two of its latents to a patch need."""


class ClipConfig(BaseModel):
    """How a film becomes clips, and which stretches of it are dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fps: float = Field(default=10.0, gt=0, le=1000)
    """Pictures per second of a folder of images; films know their own."""
    cuts: bool = True
    """Look for cuts and cross-fades; switch it off for footage without any, such as a robot's camera."""
    cut_threshold: float = Field(default=0.3, gt=0, le=1)
    """How different two pictures in a row are at a cut: the geometric mean of the difference of colors and of structure."""
    borders: bool = True
    """Crop black borders."""
    black: bool = True
    """Drop black pictures, and fades into and out of them."""
    black_level: int = Field(default=20, ge=0, le=255)
    """Brightness up to which a pixel is black."""
    frozen_seconds: float | None = Field(default=1.0, gt=0)
    """A stretch at least this long in which nothing moves is dropped; None keeps it."""
    blur_limit: float | None = Field(default=0.8, gt=0, le=1)
    """A stretch blurrier than this (0 sharp, 1 no detail at all) is dropped; None keeps it."""
    min_seconds: float = Field(default=1.0, ge=0)
    """Shorter clips are dropped."""
    max_seconds: float = Field(default=20.0, gt=0)
    """Longer clips are divided."""
    min_side: int = Field(default=64, ge=8)
    """Clips whose pictures have a shorter side, borders cropped, are dropped."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.min_seconds > self.max_seconds:
            raise ValueError(f"min_seconds must not exceed max_seconds, got {self.min_seconds} > {self.max_seconds}")
        return self


class FrameConfig(BaseModel):
    """Which frames of a clip are kept, and how large."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frames: float = Field(default=4.0, ge=2, le=64)
    """Frames per sample on average (the paper takes four)."""
    stride: float | None = Field(default=None, gt=0)
    """Take a frame every so many seconds instead."""
    at_actions: bool = False
    """Take frames where the actions of the caption source begin and end instead: `frames` of them in a sample on average, fewer
    where actions do not go on."""
    size: tuple[int, int] | int = 256
    """Longest side in pixels; or (height, width), and pictures are cropped to that aspect."""
    seed: int = Field(default=0, ge=0)
    """Decides how many frames a clip gives and where they lie."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        sides = (self.size,) if isinstance(self.size, int) else self.size
        if any(side < PATCH_MULTIPLE or side % PATCH_MULTIPLE for side in sides):
            raise ValueError(f"size must be multiples of {PATCH_MULTIPLE}, got {self.size}")
        if self.stride is not None and self.at_actions:
            raise ValueError("stride and at_actions exclude each other; choose one")
        return self

    @property
    def rule(self) -> ResizeRule:
        """How a picture is resized where only its longest side is given; small ones are enlarged to half of it at most."""
        longest = self.size if isinstance(self.size, int) else max(self.size)
        return ResizeRule(max_side=longest, min_side=max(PATCH_MULTIPLE, longest // 2), stride=PATCH_MULTIPLE)


class DuplicateConfig(BaseModel):
    """When a clip counts as a copy of an earlier one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    remove: bool = True
    """Drop copies."""
    bits: int = Field(default=32, ge=0, le=128)
    """Bits of 256 in which the hashes of two equal pictures may differ."""
    share: float = Field(default=0.8, gt=0, le=1)
    """Share of a clip's pictures that must be in the other one."""


class FootageConfig(BaseModel):
    """Everything that decides which samples films give."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clips: ClipConfig = ClipConfig()
    """How films are cut."""
    frames: FrameConfig = FrameConfig()
    """Which frames are kept."""
    duplicates: DuplicateConfig = DuplicateConfig()
    """When a clip counts as a copy."""
    license: str = Field(default="unknown", min_length=1)
    """Under which terms the films may be used; SPDX identifier or words. A sidecar file may say it for its film."""
    source: str = Field(default="video", min_length=1)
    """What this collection of films is called in a mixture of data."""
    split: str = Field(default="train", min_length=1)
    """train, validation, test, ..."""
    vit: bool = True
    """Whether frames are shown to the model through the ViT as well."""
    text_loss: bool = False
    """Whether the model also learns to say the texts between frames."""
    captions: str = "unnamed"
    """Name of the caption source; another name is another set of samples."""
    max_characters: int = Field(default=512, ge=1)
    """Longest text between frames; a longer one is dropped, and its sample ends there."""
