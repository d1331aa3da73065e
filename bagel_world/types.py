"""Frozen values that every room shares: what was done, thought, seen, and the episode they add up to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Frame = npt.NDArray[np.uint8]
"""An image as people see it: uint8, shape (height, width, 3), RGB, 0..255."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What the agent does next, in words; `id` where it came from a discrete action space."""

    text: str
    id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Thought:
    """A chain of thought, without its `<think>` marks."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One step of a world: the action and the frame it led to."""

    action: Action
    frame: Frame
    thought: Thought | None = None
    reward: float | None = None
    terminated: bool = False
    truncated: bool = False
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """A walk: n + 1 frames and the n actions between them.

    Attributes:
        frames: uint8, shape (n + 1, height, width, 3).
        actions: the n actions.
        poses: float64, shape (n + 1, 4): x, y, z in meters and yaw in degrees, counter-clockwise seen from above;
            None where nobody knows the truth (imagined episodes).
        visible: names of the objects seen in each frame, nearest first; None where unknown.
        thoughts: one per action; None where nobody thought.
        metadata: JSON values: source, seed, split, provenance.
    """

    frames: Frame
    actions: tuple[Action, ...]
    poses: npt.NDArray[np.float64] | None = None
    visible: tuple[tuple[str, ...], ...] | None = None
    thoughts: tuple[Thought | None, ...] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[-1] != 3 or self.frames.dtype != np.uint8:
            raise ValueError(
                f"Episode frames must be uint8 with shape (n + 1, height, width, 3), not {self.frames.dtype} {self.frames.shape}."
            )
        count = len(self.frames)
        for name, values, expected in (
            ("actions", self.actions, count - 1),
            ("poses", self.poses, count),
            ("visible", self.visible, count),
            ("thoughts", self.thoughts, count - 1),
        ):
            if values is not None and len(values) != expected:
                raise ValueError(f"An episode of {count} frames needs {expected} {name}, not {len(values)}.")

    def __len__(self) -> int:
        """The number of actions."""
        return len(self.actions)
