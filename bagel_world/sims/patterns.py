"""Patterns: small textures painted with numpy, in two colors each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

from bagel_world.errors import UnknownNameError, nearest
from bagel_world.types import Frame

Color = tuple[float, float, float]
"""Red, green, blue in 0..1."""

SIDE = 64
"""Height and width of a pattern in pixels."""

Share = npt.NDArray[np.float64]
"""float64, shape (SIDE, SIDE): how much of the second color a pixel has, 0..1."""

GRAIN = 0.035
"""How uneven the colors are, so that what is painted in one of them still is not flat."""


def _plain(x: Share, y: Share) -> Share:
    return np.zeros_like(x)


def _stripes(x: Share, y: Share) -> Share:
    return (np.floor(x * 6) % 2).astype(np.float64)


def _bands(x: Share, y: Share) -> Share:
    return (np.floor(y * 6) % 2).astype(np.float64)


def _checks(x: Share, y: Share) -> Share:
    return ((np.floor(x * 4) + np.floor(y * 4)) % 2).astype(np.float64)


def _dots(x: Share, y: Share) -> Share:
    return (np.hypot((x * 4) % 1 - 0.5, (y * 4) % 1 - 0.5) < 0.3).astype(np.float64)


def _bricks(x: Share, y: Share) -> Share:
    row = np.floor(y * 8)
    along = (x * 4 + 0.5 * (row % 2)) % 1
    return ((along < 0.1) | ((y * 8) % 1 < 0.18)).astype(np.float64)


def _tiles(x: Share, y: Share) -> Share:
    row = np.floor(y * 6)
    along = (x * 6 + 0.5 * (row % 2)) % 1
    return np.clip((y * 6) % 1 * 0.9 - 0.25 + 0.6 * (np.abs(along - 0.5) > 0.42), 0, 1)


def _planks(x: Share, y: Share) -> Share:
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * (9 * y + 0.35 * np.sin(2 * np.pi * x)))
    return np.clip(0.35 * wave + ((y * 4) % 1 < 0.1), 0, 1)


def _windows(x: Share, y: Share) -> Share:
    across, down = (x * 3) % 1, (y * 3) % 1
    return ((across > 0.25) & (across < 0.75) & (down > 0.2) & (down < 0.75)).astype(np.float64)


def _panels(x: Share, y: Share) -> Share:
    return (np.floor(x * 6 + 0.5) % 2).astype(np.float64) * (np.abs(y - 0.5) < 0.44)


def _halves(x: Share, y: Share) -> Share:
    return (y < 0.5).astype(np.float64)


def _patches(x: Share, y: Share) -> Share:
    field = np.sin(2 * np.pi * (2 * x + 0.3)) + np.sin(2 * np.pi * (3 * y + 0.6 * x)) + np.sin(2 * np.pi * (x - 2 * y + 0.1))
    return (field > 0.75).astype(np.float64)


def _keys(x: Share, y: Share) -> Share:
    gap = (x * 10) % 1 < 0.12
    black = (np.abs((x * 10 + 0.5) % 1 - 0.5) < 0.3) & (y < 0.6) & ~np.isin(np.floor(x * 10 + 0.5), (3, 7, 10, 0))
    return (gap | black).astype(np.float64)


def _clock(x: Share, y: Share) -> Share:
    away, angle = np.hypot(x - 0.5, y - 0.5), np.arctan2(y - 0.5, x - 0.5)
    ticks = (away > 0.34) & (away < 0.42) & (np.abs((angle / (np.pi / 6) + 0.5) % 1 - 0.5) < 0.16)
    hour = (np.abs(x - 0.5) < 0.035) & (y < 0.5) & (y > 0.2)
    minute = (np.abs(y - 0.5) < 0.035) & (x > 0.5) & (x < 0.74)
    return (ticks | hour | minute | (away > 0.46)).astype(np.float64)


def _picture(x: Share, y: Share) -> Share:
    hills = 0.62 + 0.12 * np.sin(2 * np.pi * (x * 1.3 + 0.1))
    sun = np.hypot(x - 0.72, y - 0.3) < 0.13
    return np.clip((y > hills) * 1.0 + sun * 0.9, 0, 1)


PATTERNS: dict[str, Callable[[Share, Share], Share]] = {
    "plain": _plain,
    "stripes": _stripes,
    "bands": _bands,
    "checks": _checks,
    "dots": _dots,
    "bricks": _bricks,
    "tiles": _tiles,
    "planks": _planks,
    "windows": _windows,
    "panels": _panels,
    "halves": _halves,
    "patches": _patches,
    "keys": _keys,
    "clock": _clock,
    "picture": _picture,
}
"""Where the second color goes, as a function of x (to the right) and y (down), both 0..1."""


def paint(pattern: str, color: Color, second: Color, *, grain: float = GRAIN) -> Frame:
    """A texture: uint8, shape (SIDE, SIDE, 3).

    Args:
        pattern: a name in `PATTERNS`.
        color: the first color.
        second: the second color.
        grain: how uneven they are; 0 for none.

    Raises:
        UnknownNameError: no such pattern.
    """
    if pattern not in PATTERNS:
        raise UnknownNameError(f"Expected a pattern, got {pattern!r}. {nearest(pattern, PATTERNS)}")
    axis = (np.arange(SIDE) + 0.5) / SIDE
    x, y = np.meshgrid(axis, axis)
    share = PATTERNS[pattern](x, y)[..., None]
    specks = np.random.default_rng(0).standard_normal((SIDE // 4, SIDE // 4)).repeat(4, axis=0).repeat(4, axis=1)
    mixed = (1 - share) * np.array(color) + share * np.array(second) + grain * specks[..., None]
    return np.round(np.clip(mixed, 0, 1) * 255).astype(np.uint8)


def hue_turned(picture: Frame, degrees: int) -> Frame:
    """A picture with every hue turned by this much, as for toys of one mold in many colors."""
    if degrees % 360 == 0:
        return picture
    hue, saturation, value = Image.fromarray(picture).convert("HSV").split()
    turned = hue.point([round(each + degrees * 256 / 360) % 256 for each in range(256)])
    return np.array(Image.merge("HSV", (turned, saturation, value)).convert("RGB"))
