"""Drop plans: which bodies fall, from where and how fast, drawn from (split, seed) with numpy alone.

Bodies fall into a tank with a visible floor and rim and invisible walls, so that all of them stay in the picture. The
tank's floor is at z = 0; x goes to the right, y away from the camera, z up, in meters. `train`, `validation` and `test` have
the kinds of `bodies.FAMILIAR` and no seed in common; `unseen` has the kinds of `bodies.NOVEL`.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from bagel_world.sims.bodies import BodyKind, kinds_of
from bagel_world.sims.patterns import Color
from bagel_world.sims.plans import house_number
from bagel_world.sims.toys import Paint

TANK = (1.2, 0.72)
"""Half width and half depth of the floor."""

CLEARANCE, HIGHEST = 0.45, 1.9
"""Bodies are let go at least this far above the floor (and whatever stands on it), and their middle no higher than that."""

MOST_BODIES = 4

_COUNT_SHARES = (0.15, 0.35, 0.3, 0.2)
_PROPS = ("nothing", "ramp", "step")
_FLOORS = ("plain", "checks", "planks")
_TRIES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FallingBody:
    """A body as it is let go: place (m), quaternion (w, x, y, z), velocity (m/s), spin (rad/s about its own axes)."""

    kind: BodyKind
    paint: Paint
    place: tuple[float, float, float]
    quaternion: tuple[float, float, float, float]
    velocity: tuple[float, float, float]
    spin: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class DropPlan:
    """A whole drop.

    Attributes:
        split: the split it belongs to.
        number: its number over all splits; equal numbers are equal drops.
        bodies: one to `MOST_BODIES`, none touching anything yet.
        prop: what stands on the floor: "nothing", "ramp" or "step"; `prop_x` is where, `prop_side` is 1 or -1.
        floor: its pattern; `floor_colors` are its colors.
        rim, prop_color, sky, ground: colors.
        lamp: where the light comes from, degrees; `brightness` is its strength.
        pitch: degrees by which the camera looks down.
    """

    split: str
    number: int
    bodies: tuple[FallingBody, ...]
    prop: str
    prop_x: float
    prop_side: int
    floor: str
    floor_colors: tuple[Color, Color]
    rim: Color
    prop_color: Color
    sky: Color
    ground: Color
    lamp: int
    brightness: float
    pitch: float

    @property
    def names(self) -> tuple[str, ...]:
        """What the bodies are called, in their order."""
        return tuple(each.kind.name for each in self.bodies)


def draw_drop(split: str, seed: int) -> DropPlan:
    """The drop of this split and seed: always the same one.

    Raises:
        UnknownNameError: no such split.
        ConfigError: the seed is out of range.
    """
    number = house_number(split, seed)
    rng = np.random.default_rng(number)
    kinds = kinds_of(split)
    count = 1 + int(rng.choice(MOST_BODIES, p=_COUNT_SHARES))
    chosen = [kinds[int(place)] for place in rng.integers(len(kinds), size=count)]
    light = float(rng.uniform(0.45, 0.8))
    hue, saturation = float(rng.uniform(0, 360)), float(rng.uniform(0.0, 0.3))
    return DropPlan(
        split=split,
        number=number,
        bodies=_draw_bodies(chosen, rng),
        prop=_PROPS[int(rng.integers(len(_PROPS)))],
        prop_x=float(rng.uniform(-0.6, 0.6)),
        prop_side=1 if rng.random() < 0.5 else -1,
        floor=_FLOORS[int(rng.integers(len(_FLOORS)))],
        floor_colors=(_color(hue, saturation, light), _color(hue, saturation, light - 0.15)),
        rim=_color(float(rng.uniform(0, 360)), 0.3, float(rng.uniform(0.3, 0.8))),
        prop_color=_color(float(rng.uniform(0, 360)), 0.4, float(rng.uniform(0.4, 0.8))),
        sky=_color(float(rng.uniform(0, 360)), 0.15, float(rng.uniform(0.65, 0.95))),
        ground=_color(float(rng.uniform(0, 360)), 0.15, float(rng.uniform(0.3, 0.7))),
        lamp=int(rng.integers(180, 360)),  # from the camera's side
        brightness=float(rng.uniform(0.4, 0.6)),
        pitch=float(rng.uniform(10.0, 20.0)),
    )


def _draw_bodies(kinds: list[BodyKind], rng: np.random.Generator) -> tuple[FallingBody, ...]:
    """Places where no body touches another or a wall; each flies towards the middle, so that they meet."""
    bodies: list[FallingBody] = []
    for kind in kinds:
        for _ in range(_TRIES):
            room = np.array(TANK) - kind.reach
            height = rng.uniform(CLEARANCE + kind.reach, HIGHEST)
            place = np.array([rng.uniform(-room[0], room[0]), rng.uniform(-1, 1) * min(room[1], 0.3), height])
            if all(np.linalg.norm(place - each.place) > kind.reach + each.kind.reach for each in bodies):
                bodies.append(_let_go(kind, place, rng))
                break
    return tuple(bodies)


def _let_go(kind: BodyKind, place: np.ndarray, rng: np.random.Generator) -> FallingBody:
    turn = rng.standard_normal(4)
    turn /= np.linalg.norm(turn)
    inward = -place[0] * float(rng.uniform(0.3, 1.5)) + float(rng.normal(0, 0.3))
    hue = float(rng.uniform(0, 360))
    paint = Paint(
        main=_color(hue, float(rng.uniform(0.6, 0.9)), float(rng.uniform(0.65, 0.95))),
        second=_color(hue + float(rng.uniform(90, 270)), float(rng.uniform(0.5, 0.9)), float(rng.uniform(0.6, 0.95))),
        accent=_color(hue + float(rng.uniform(30, 90)), 0.8, 0.9),
    )
    return FallingBody(
        kind=kind,
        paint=paint,
        place=(float(place[0]), float(place[1]), float(place[2])),
        quaternion=(float(turn[0]), float(turn[1]), float(turn[2]), float(turn[3])),
        velocity=(inward, float(rng.normal(0, 0.15)), float(rng.uniform(-0.5, 2.0))),
        spin=(float(rng.normal(0, 3)), float(rng.normal(0, 3)), float(rng.normal(0, 3))),
    )


def _color(hue: float, saturation: float, value: float) -> Color:
    return colorsys.hsv_to_rgb(hue % 360 / 360, saturation, value)
