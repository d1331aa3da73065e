"""The pictures of FakeWorld: rooms as closed strips, and what moving, turning by degrees and waiting do to a view of them."""

from __future__ import annotations

import hashlib
import itertools
import re

import numpy as np
import numpy.typing as npt
from PIL import Image

from bagel_world.types import Frame

VIEWS_PER_TURN = 8
"""So many turns to one side lead back to the first view, and so many moments."""

_MOMENTS = {"one": 1, "two": 2, "four": 4}

COLORS = ("red", "green", "blue")

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
    """What the words do to a view: turns roll it to the side, by one view where they name no degrees, and moments roll it down.

    Any words that name no movement tint it, each text in its own way.
    """
    said = re.findall(r"[a-z]+|\d+", text.lower())
    words = set(said)
    if "left" in words or "right" in words:
        degrees = next((int(each) for each, unit in itertools.pairwise(said) if unit == "degrees" and each.isdigit()), None)
        width = frame.shape[1]
        shift = width // VIEWS_PER_TURN if degrees is None else round(width * (degrees % 360) / 360)
        return np.roll(frame, shift if "left" in words else -shift, axis=1)
    if "wait" in words and words & {"moment", "moments"}:
        moments = next((_MOMENTS[each] for each in said if each in _MOMENTS), 1)
        return np.roll(frame, moments * (frame.shape[0] // VIEWS_PER_TURN), axis=0)
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


def color_share(frame: Frame, text: str) -> float:
    """How much of a frame's light is of the colors that a text names: red, green, blue; 0 where it names none."""
    words = set(re.findall("[a-z]+", text.lower()))
    light = frame.mean(axis=(0, 1))
    named = sum(float(each) for name, each in zip(COLORS, light, strict=True) if name in words)
    return named / float(light.sum()) if named else 0.0
