"""Turntable plans: what stands on a turntable and how it is lit, drawn from (split, seed) with numpy alone.

What makes the splits differ, beside the seeds, which no two splits share:

| | train, validation | test | unseen |
|---|---|---|---|
| objects | `exhibits.FAMILIAR` | `exhibits.FAMILIAR` | `exhibits.NOVEL` |
| yaws (degrees modulo 15) | 0..9 | 10..14 | 0..9 |
| main hue (degrees modulo 30) | 0..19 | 20..29 | 0..19 |
| lamp (degrees modulo 30) | 0..19 | 20..29 | 0..19 |

All turns are multiples of 15 degrees, so no yaw, main hue or lamp of `test` ever appears in training; in `unseen` only the
objects are new. An object with a texture of its own keeps it half of the time, except in `test`.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from bagel_world.sims.exhibits import exhibits_of
from bagel_world.sims.patterns import Color
from bagel_world.sims.plans import house_number
from bagel_world.sims.toys import Paint

YAW_PERIOD = 15
HUE_PERIOD = 30
LAMP_PERIOD = 30

_KEPT_SHARE = 2 / 3  # of every period; the rest is for `test`


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePlan:
    """A whole turntable.

    Attributes:
        split: the split it belongs to.
        number: its number over all splits; equal numbers are equal turntables.
        exhibit: the name of the object.
        paint: its colors, where it is a toy.
        hue: degrees by which the hues of its texture are turned, where it has one of its own.
        table, sky, ground: colors around it.
        lamp: where the lamp is, degrees around the table; `brightness` is its strength.
        pitch: degrees by which the camera looks down from `distance` meters.
    """

    split: str
    number: int
    exhibit: str
    paint: Paint
    hue: int
    table: Color
    sky: Color
    ground: Color
    lamp: int
    brightness: float
    pitch: float
    distance: float


def draw_table(split: str, seed: int) -> TablePlan:
    """The turntable of this split and seed: always the same one.

    Raises:
        UnknownNameError: no such split.
        ConfigError: the seed is out of range.
    """
    number = house_number(split, seed)
    rng = np.random.default_rng(number)
    exhibits = exhibits_of(split)
    hue = draw_degrees(split, HUE_PERIOD, rng)
    as_it_comes = rng.random() < 0.5 and split != "test"
    return TablePlan(
        split=split,
        number=number,
        exhibit=exhibits[int(rng.integers(len(exhibits)))],
        paint=_draw_paint(hue, rng),
        hue=0 if as_it_comes else hue,
        table=_tinted(rng, 0.25, 0.35, 0.85),
        sky=_tinted(rng, 0.25, 0.65, 0.95),
        ground=_tinted(rng, 0.25, 0.30, 0.75),
        lamp=draw_degrees(split, LAMP_PERIOD, rng),
        brightness=float(rng.uniform(0.4, 0.65)),
        pitch=float(rng.uniform(14.0, 30.0)),
        distance=float(rng.uniform(2.45, 2.75)),
    )


def draw_degrees(split: str, period: int, rng: np.random.Generator) -> int:
    """Whole degrees in 0..359, from the part of every period that is this split's."""
    kept = round(period * _KEPT_SHARE)
    first, last = (kept, period) if split == "test" else (0, kept)
    return int(rng.integers(360 // period)) * period + int(rng.integers(first, last))


def _draw_paint(hue: int, rng: np.random.Generator) -> Paint:
    """Three colors well apart."""
    away = float(rng.uniform(100, 260))
    hues = (hue, hue + away, hue + away + float(rng.uniform(60, 100)))
    main, second, accent = (_color(each, float(rng.uniform(0.6, 0.85)), float(rng.uniform(0.7, 0.95))) for each in hues)
    return Paint(main=main, second=second, accent=accent)


def _tinted(rng: np.random.Generator, saturation: float, darkest: float, brightest: float) -> Color:
    return _color(float(rng.uniform(0, 360)), float(rng.uniform(0, saturation)), float(rng.uniform(darkest, brightest)))


def _color(hue: float, saturation: float, value: float) -> Color:
    return colorsys.hsv_to_rgb(hue % 360 / 360, saturation, value)
