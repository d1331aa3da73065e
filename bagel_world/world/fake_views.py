"""The pictures of FakeWorld: rooms as closed strips, and what moving does to a view of them."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
from PIL import Image

from bagel_world.types import Frame

VIEWS_PER_TURN = 8
"""So many turns to one side lead back to the first view."""

_FEATURE_SIDE = 16


def draw_room(seed: int, height: int, width: int) -> Frame:
    """A closed strip of wall panels between a ceiling and a floor, with a little texture."""
    generator = np.random.default_rng(seed)
    panels = generator.integers(40, 216, size=(VIEWS_PER_TURN, 3))
    frame = np.repeat(panels, width // VIEWS_PER_TURN, axis=0)[None].repeat(height, axis=0)
    frame[: height // 4] = generator.integers(150, 240, size=3)
    frame[height - height // 4 :] = generator.integers(10, 110, size=3)
    return np.clip(frame + generator.integers(-6, 7, size=frame.shape), 0, 255).astype(np.uint8)


def move_view(frame: Frame, text: str) -> Frame:
    """What the words do to a view. Any words that name no movement tint it, each text in its own way."""
    words = set(text.lower().replace(".", " ").split())
    shift = frame.shape[1] // VIEWS_PER_TURN
    if "left" in words:
        return np.roll(frame, shift, axis=1)
    if "right" in words:
        return np.roll(frame, -shift, axis=1)
    if "forward" in words:
        return _enlarge_middle(frame)
    if "stay" in words or not words:
        return frame
    tint = np.frombuffer(hashlib.blake2b(text.encode(), digest_size=3).digest(), np.uint8)
    return ((7 * frame.astype(np.uint16) + tint) // 8).astype(np.uint8)


def _enlarge_middle(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    rows = height // 8 + np.arange(height) * 3 // 4
    columns = width // 8 + np.arange(width) * 3 // 4
    return frame[rows[:, None], columns[None, :]]


def fit_view(frame: Frame, size: tuple[int, int]) -> Frame:
    """The frame at this (height, width); the very same array where it already has it."""
    if frame.shape[:2] == size:
        return frame
    return np.array(Image.fromarray(frame).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def _features(frame: Frame) -> npt.NDArray[np.float64]:
    coarse = np.array(Image.fromarray(frame).resize((_FEATURE_SIDE, _FEATURE_SIDE), Image.Resampling.BOX), dtype=np.float64)
    return (coarse - coarse.mean(axis=(0, 1))).ravel()


def view_cosine(frame: Frame, goal: Frame) -> float:
    """The cosine of two coarse pictures without their mean colors, in [-1, 1]; exactly 1 for equal frames."""
    if np.array_equal(frame, goal):
        return 1.0
    ours, theirs = _features(frame), _features(goal)
    length = float(np.linalg.norm(ours) * np.linalg.norm(theirs))
    return 0.0 if length == 0.0 else float(np.clip(ours @ theirs / length, -1.0, 1.0))
