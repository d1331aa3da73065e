"""Bodies that fall: how each kind looks, what of it collides, and which kinds each split has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bagel_world.sims.meshes import Mesh, ball, box, cylinder, ring
from bagel_world.sims.palettes import palette_of
from bagel_world.sims.toys import AMBER, BARK, DARK, PALE, Paint, Part, Toy, part


@dataclass(frozen=True, slots=True, kw_only=True)
class Solid:
    """A shape that collides.

    Attributes:
        shape: what it is.
        size: in meters: half sides of a box; radius of a ball; radius and half length of a cylinder or of a capsule without
            its ends; half axes of an egg.
        at: where its center is.
        turn: degrees about x, y, z, as in `meshes.rotation`.
    """

    shape: Literal["box", "ball", "cylinder", "capsule", "egg"]
    size: tuple[float, ...]
    at: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyKind:
    """A kind of body.

    Attributes:
        name: what people call it.
        build: its textured parts in a paint.
        solids: what of it collides.
        reach: no part of it is farther from its origin, in meters.
        bounce: damping of its contacts, as in `Blueprint.add_solid`.
    """

    name: str
    build: Toy
    solids: tuple[Solid, ...]
    reach: float
    bounce: float = 0.3


def _crate(paint: Paint) -> list[Part]:
    beams = Mesh.joined([box(0.62, 0.08, 0.08).moved(y=y, z=z) for y in (-0.27, 0.27) for z in (-0.27, 0.27)])
    return [part(box(0.6, 0.6, 0.6), paint.main, "planks", BARK), part(beams, paint.second)]


def _ball(paint: Paint) -> list[Part]:
    return [part(ball(0.6, 0.6, 0.6), paint.main, "panels", PALE)]


def _die(paint: Paint) -> list[Part]:
    return [part(box(0.5, 0.5, 0.5), PALE, "dots", paint.main)]


def _can(paint: Paint) -> list[Part]:
    label = cylinder(0.252, 0.4)
    return [part(cylinder(0.25, 0.6), PALE, "bands", DARK), part(label, paint.main, "stripes", paint.second)]


def _plank(paint: Paint) -> list[Part]:
    return [part(box(1.1, 0.32, 0.14), paint.main, "stripes", paint.second)]


def _pill(paint: Paint) -> list[Part]:
    def half(z: float) -> Mesh:
        return Mesh.joined([cylinder(0.2, 0.25).moved(z=z / 2), ball(0.4, 0.4, 0.4).moved(z=z)])

    return [part(half(0.25), paint.main), part(half(-0.25), PALE, "dots", paint.second)]


def _hammer(paint: Paint) -> list[Part]:
    return [
        part(cylinder(0.06, 0.8).moved(z=-0.15), paint.main, "bands", BARK),
        part(box(0.6, 0.24, 0.24).moved(z=0.3), paint.second, "stripes", DARK),
    ]


def _book(paint: Paint) -> list[Part]:
    return [
        part(box(0.66, 0.5, 0.1), PALE, "bands", AMBER),
        part(box(0.7, 0.52, 0.02).moved(z=0.06), paint.main, "picture", paint.accent),
        part(box(0.7, 0.52, 0.02).moved(z=-0.06), paint.main, "checks", paint.second),
        part(box(0.03, 0.52, 0.14).moved(x=-0.34), paint.main),
    ]


def _egg(paint: Paint) -> list[Part]:
    return [part(ball(0.5, 0.5, 0.72), PALE, "patches", paint.main)]


def _dumbbell(paint: Paint) -> list[Part]:
    weights = [ball(0.4, 0.4, 0.4).moved(z=z) for z in (-0.35, 0.35)]
    return [
        part(weights[0], paint.main, "dots", PALE),
        part(weights[1], paint.second, "dots", PALE),
        part(cylinder(0.07, 0.5), DARK, "bands", PALE),
    ]


def _jack(paint: Paint) -> list[Part]:
    bar = Mesh.joined([cylinder(0.1, 0.7), ball(0.2, 0.2, 0.2).moved(z=0.35), ball(0.2, 0.2, 0.2).moved(z=-0.35)])
    colors = (paint.main, paint.second, paint.accent)
    turns = ((0, 0), (90, 0), (0, 90))
    return [part(bar.turned(x=x, y=y), color, "bands", PALE) for color, (x, y) in zip(colors, turns, strict=True)]


def _mug(paint: Paint) -> list[Part]:
    return [
        part(cylinder(0.25, 0.55), paint.main, "checks", paint.second),
        part(cylinder(0.22, 0.02).moved(z=0.27), BARK),
        part(ring(0.15, 0.08).moved(x=0.3), paint.accent),
    ]


def _box_solid(width: float, depth: float, height: float, z: float = 0.0) -> Solid:
    return Solid(shape="box", size=(width / 2, depth / 2, height / 2), at=(0.0, 0.0, z))


FAMILIAR = (
    BodyKind(name="crate", build=_crate, solids=(_box_solid(0.6, 0.62, 0.62),), reach=0.54),
    BodyKind(name="ball", build=_ball, solids=(Solid(shape="ball", size=(0.3,)),), reach=0.31, bounce=0.1),
    BodyKind(name="die", build=_die, solids=(_box_solid(0.5, 0.5, 0.5),), reach=0.44),
    BodyKind(name="can", build=_can, solids=(Solid(shape="cylinder", size=(0.25, 0.3)),), reach=0.4),
    BodyKind(name="plank", build=_plank, solids=(_box_solid(1.1, 0.32, 0.14),), reach=0.59),
    BodyKind(name="pill", build=_pill, solids=(Solid(shape="capsule", size=(0.2, 0.25)),), reach=0.46, bounce=0.2),
    BodyKind(
        name="hammer",
        build=_hammer,
        solids=(Solid(shape="cylinder", size=(0.06, 0.4), at=(0.0, 0.0, -0.15)), _box_solid(0.6, 0.24, 0.24, z=0.3)),
        reach=0.57,
    ),
    BodyKind(name="book", build=_book, solids=(_box_solid(0.7, 0.52, 0.14),), reach=0.46),
)
"""The kinds of train, validation and test."""

NOVEL = (
    BodyKind(name="egg", build=_egg, solids=(Solid(shape="egg", size=(0.25, 0.25, 0.36)),), reach=0.37, bounce=0.2),
    BodyKind(
        name="dumbbell",
        build=_dumbbell,
        solids=(
            Solid(shape="ball", size=(0.2,), at=(0.0, 0.0, -0.35)),
            Solid(shape="ball", size=(0.2,), at=(0.0, 0.0, 0.35)),
            Solid(shape="cylinder", size=(0.07, 0.25)),
        ),
        reach=0.56,
    ),
    BodyKind(
        name="jack",
        build=_jack,
        solids=tuple(
            Solid(shape="capsule", size=(0.1, 0.35), turn=turn) for turn in ((0.0, 0.0, 0.0), (90.0, 0.0, 0.0), (0.0, 90.0, 0.0))
        ),
        reach=0.46,
    ),
    BodyKind(
        name="mug",
        build=_mug,
        solids=(Solid(shape="cylinder", size=(0.25, 0.275)), Solid(shape="box", size=(0.07, 0.04, 0.19), at=(0.37, 0.0, 0.0))),
        reach=0.5,
    ),
)
"""The kinds of unseen: none of them is in `FAMILIAR`."""


def kinds_of(split: str) -> tuple[BodyKind, ...]:
    """The kinds of bodies of a split.

    Raises:
        UnknownNameError: no such split.
    """
    palette_of(split)
    return NOVEL if split == "unseen" else FAMILIAR
