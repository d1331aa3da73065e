"""Toys: textured objects put together from boxes, cylinders, balls and prisms, each with a front unlike its back.

Every toy is a function of a paint. Its front faces -y, its left side is at +x; how large it is does not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bagel_world.sims.meshes import Mesh, ball, box, cylinder, prism, ring
from bagel_world.sims.patterns import Color, paint
from bagel_world.types import Frame

DARK: Color = (0.13, 0.13, 0.16)
GRAY: Color = (0.55, 0.57, 0.60)
PALE: Color = (0.93, 0.92, 0.88)
WOOD: Color = (0.62, 0.42, 0.24)
BARK: Color = (0.40, 0.26, 0.15)
GLASS: Color = (0.60, 0.80, 0.90)
AMBER: Color = (1.00, 0.85, 0.30)
RED: Color = (0.85, 0.15, 0.12)
ORANGE: Color = (0.95, 0.55, 0.10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paint:
    """The three colors that a toy may wear; everything else about it stays."""

    main: Color
    second: Color
    accent: Color


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A mesh and the texture on it (uint8, shape (height, width, 3))."""

    mesh: Mesh
    texture: Frame


Toy = Callable[[Paint], list[Part]]


def part(mesh: Mesh, color: Color, pattern: str = "plain", second: Color = PALE) -> Part:
    """A mesh in a pattern of two colors."""
    return Part(mesh=mesh, texture=paint(pattern, color, second))


def both_sides(mesh: Mesh, x: float) -> Mesh:
    """The same mesh to the right and to the left."""
    return Mesh.joined([mesh.moved(x=x), mesh.moved(x=-x)])


def four(mesh: Mesh, x: float, y: float) -> Mesh:
    """The same mesh at four corners."""
    return Mesh.joined([both_sides(mesh, x).moved(y=y), both_sides(mesh, x).moved(y=-y)])


def wheel(radius: float, width: float) -> Mesh:
    """A wheel that rolls along y."""
    return cylinder(radius, width).turned(y=90)


def lying(radius: float, length: float, *, front: float | None = None) -> Mesh:
    """A cylinder along y; `front` is the radius of its front end where that differs."""
    return cylinder(radius, length, top=front).turned(x=90)


def car(paint: Paint) -> list[Part]:
    """A car with lights in front and a spare wheel behind."""
    body = prism([(-1.1, 0.2), (1.0, 0.2), (1.05, 0.62), (-1.0, 0.55), (-1.12, 0.4)], 0.95)
    cabin = prism([(-0.45, 0.55), (0.95, 0.55), (0.75, 0.98), (-0.1, 0.98)], 0.85)
    return [
        part(body, paint.main),
        part(cabin, GLASS, "panels", DARK),
        part(prism([(-0.1, 0.98), (0.75, 0.98), (0.72, 1.04), (-0.07, 1.04)], 0.8), paint.second, "stripes"),
        part(four(wheel(0.25, 0.16), 0.46, 0.65).moved(z=0.25), DARK, "dots", GRAY),
        part(both_sides(ball(0.2, 0.12, 0.2), 0.33).moved(y=-1.09, z=0.44), AMBER),
        part(both_sides(box(0.18, 0.06, 0.14), 0.34).moved(y=1.04, z=0.5), RED),
        part(cylinder(0.2, 0.12).turned(x=90).moved(y=1.08, z=0.5), paint.accent, "dots", DARK),
    ]


def house(paint: Paint) -> list[Part]:
    """A brick house with a door in front, a chimney and a bare back."""
    roof = prism([(-0.85, 0.9), (0.85, 0.9), (0.0, 1.6)], 1.7).turned(z=90)
    return [
        part(box(1.3, 1.3, 0.9).moved(z=0.45), paint.main, "bricks"),
        part(roof, paint.second, "tiles", DARK),
        part(box(0.36, 0.06, 0.6).moved(y=-0.66, z=0.3), paint.accent, "planks", DARK),
        part(both_sides(box(0.26, 0.06, 0.28), 0.42).moved(y=-0.66, z=0.55), GLASS, "windows", AMBER),
        part(box(0.24, 0.24, 0.6).moved(x=0.35, y=0.35, z=1.5), RED, "bricks"),
        part(box(0.9, 0.34, 0.3).moved(y=0.82, z=0.15), WOOD, "planks", DARK),
    ]


def robot(paint: Paint) -> list[Part]:
    """A robot with a face, a dial on its chest and a pack on its back."""
    return [
        part(box(0.7, 0.5, 0.7).moved(z=0.75), paint.main),
        part(box(0.5, 0.42, 0.42).moved(z=1.34), GRAY, "plain"),
        part(both_sides(ball(0.16, 0.1, 0.16), 0.12).moved(y=-0.21, z=1.4), AMBER),
        part(box(0.28, 0.05, 0.07).moved(y=-0.22, z=1.22), DARK, "stripes"),
        part(box(0.4, 0.05, 0.36).moved(y=-0.26, z=0.8), PALE, "dots", paint.accent),
        part(box(0.44, 0.26, 0.5).moved(y=0.36, z=0.8), paint.second, "bands", DARK),
        part(both_sides(cylinder(0.09, 0.62), 0.46).moved(z=0.78), GRAY, "bands", DARK),
        part(both_sides(box(0.24, 0.36, 0.42), 0.19).moved(y=-0.04, z=0.21), paint.second),
        part(cylinder(0.03, 0.3).moved(x=0.15, z=1.68), DARK),
        part(ball(0.14, 0.14, 0.14).moved(x=0.15, z=1.86), RED),
    ]


def airplane(paint: Paint) -> list[Part]:
    """An airplane with a propeller in front and a tail behind."""
    wing = box(1.8, 0.5, 0.07)
    fin = prism([(0.65, 0.55), (1.05, 0.55), (1.1, 1.05), (0.9, 1.05)], 0.07)
    return [
        part(lying(0.17, 1.0).moved(y=0.6, z=0.5), paint.main),
        part(lying(0.28, 1.0, front=0.24).moved(y=-0.35, z=0.5), paint.main, "halves", PALE),
        part(wing.moved(y=-0.3, z=0.45), paint.second, "stripes"),
        part(box(0.9, 0.3, 0.06).moved(y=0.95, z=0.55), paint.second, "stripes"),
        part(fin, paint.accent),
        part(ball(0.34, 0.6, 0.34).moved(y=-0.25, z=0.76), GLASS),
        part(ball(0.2, 0.3, 0.2).moved(y=-0.88, z=0.5), AMBER),
        part(box(0.09, 0.04, 0.95).turned(y=25).moved(y=-0.92, z=0.5), DARK),
        part(both_sides(wheel(0.13, 0.08), 0.25).moved(y=-0.45, z=0.13), DARK),
    ]


def boat(paint: Paint) -> list[Part]:
    """A boat with a bow, a cabin, a funnel and a flag at the stern."""
    hull = box(0.8, 1.3, 0.45).moved(y=0.25, z=0.25)
    return [
        part(hull, paint.main, "halves", PALE),
        part(_bow(), paint.main, "halves", PALE),
        part(box(0.55, 0.6, 0.4).moved(y=0.1, z=0.67), PALE, "windows", GLASS),
        part(cylinder(0.14, 0.5).moved(y=0.25, z=1.1), paint.second, "bands", DARK),
        part(cylinder(0.025, 0.8).moved(y=0.85, z=0.85), DARK),
        part(box(0.03, 0.34, 0.24).moved(y=1.0, z=1.12), paint.accent, "stripes"),
    ]


def _bow() -> Mesh:
    """A wedge that points to the front: an upright prism with a triangle as its floor."""
    return prism([(-0.4, -0.4), (0.4, -0.4), (0.0, 0.45)], 0.45).turned(y=-90, z=90).moved(y=-0.8, z=0.25)


def cat(paint: Paint) -> list[Part]:
    """A sitting cat with a striped back and a tail."""
    ear = cylinder(0.13, 0.24, top=0.01)
    return [
        part(ball(0.7, 0.85, 0.9).moved(y=0.1, z=0.45), paint.main, "bands", DARK),
        part(ball(0.4, 0.3, 0.6).moved(y=-0.26, z=0.42), PALE),
        part(ball(0.62, 0.55, 0.52).moved(y=-0.15, z=1.05), paint.main),
        part(both_sides(ear, 0.2).moved(y=-0.12, z=1.35), paint.main, "plain"),
        part(both_sides(ball(0.13, 0.08, 0.15), 0.13).moved(y=-0.4, z=1.12), AMBER),
        part(both_sides(ball(0.05, 0.05, 0.12), 0.13).moved(y=-0.44, z=1.12), DARK),
        part(ball(0.24, 0.18, 0.16).moved(y=-0.4, z=0.95), PALE),
        part(ball(0.08, 0.06, 0.06).moved(y=-0.49, z=0.99), RED),
        part(both_sides(ball(0.2, 0.4, 0.16), 0.18).moved(y=-0.4, z=0.09), PALE),
        part(lying(0.09, 0.55).moved(x=0.12, y=0.6, z=0.12), paint.main, "stripes", DARK),
        part(cylinder(0.08, 0.5).moved(x=0.12, y=0.85, z=0.35), paint.main, "bands", DARK),
        part(ball(0.2, 0.2, 0.2).moved(x=0.12, y=0.85, z=0.65), PALE),
    ]


def mug(paint: Paint) -> list[Part]:
    """A mug with a handle on its right and a picture in front."""
    return [
        part(cylinder(0.5, 1.1).moved(z=0.55), paint.main, "plain"),
        part(cylinder(0.43, 0.02).moved(z=1.1), BARK),
        part(ring(0.3, 0.13).moved(x=0.62, z=0.58), paint.second, "bands"),
        part(cylinder(0.51, 0.16).moved(z=0.95), paint.second, "checks"),
        part(box(0.5, 0.1, 0.5).moved(y=-0.46, z=0.45), PALE, "picture", paint.accent),
    ]


def camera(paint: Paint) -> list[Part]:
    """A camera: a lens in front, a screen behind."""
    return [
        part(box(1.4, 0.5, 0.85).moved(z=0.45), DARK, "plain"),
        part(box(1.42, 0.4, 0.42).moved(z=0.4), paint.main, "planks", BARK),
        part(lying(0.36, 0.5).moved(y=-0.4, z=0.45), GRAY, "stripes", DARK),
        part(ball(0.55, 0.3, 0.55).moved(y=-0.62, z=0.45), GLASS),
        part(box(0.42, 0.4, 0.25).moved(z=0.98), paint.second),
        part(box(0.3, 0.06, 0.15).moved(y=-0.2, z=0.98), AMBER),
        part(cylinder(0.12, 0.12).moved(x=0.5, z=0.92), RED),
        part(box(0.9, 0.06, 0.55).moved(y=0.25, z=0.45), GLASS, "picture", paint.accent),
    ]


def television(paint: Paint) -> list[Part]:
    """A television with a picture in front and a deep back."""
    return [
        part(box(1.5, 0.5, 1.1).moved(y=-0.1, z=0.75), paint.main, "planks", BARK),
        part(box(1.0, 0.4, 0.75).moved(y=0.33, z=0.72), DARK, "bands", GRAY),
        part(box(1.05, 0.06, 0.8).moved(x=-0.13, y=-0.35, z=0.78), GLASS, "picture", paint.second),
        part(lying(0.08, 0.1).moved(x=0.58, y=-0.38, z=1.0), AMBER),
        part(lying(0.08, 0.1).moved(x=0.58, y=-0.38, z=0.72), paint.accent),
        part(four(cylinder(0.06, 0.22), 0.55, 0.15).moved(y=-0.1, z=0.1), DARK),
        part(both_sides(cylinder(0.02, 0.6).turned(y=28), 0.15).moved(z=1.5), GRAY),
    ]


def armchair(paint: Paint) -> list[Part]:
    """An armchair with a cushion."""
    return [
        part(box(1.1, 0.95, 0.3).moved(z=0.35), paint.main, "checks", paint.second),
        part(box(1.1, 0.22, 1.1).moved(y=0.45, z=0.85), paint.main, "checks", paint.second),
        part(both_sides(box(0.2, 0.95, 0.42), 0.55).moved(z=0.6), paint.main),
        part(box(0.5, 0.16, 0.4).turned(x=-15).moved(y=0.24, z=0.75), paint.accent, "dots"),
        part(four(cylinder(0.06, 0.2), 0.48, 0.38).moved(z=0.1), WOOD),
        part(box(0.9, 0.05, 0.7).moved(y=0.57, z=0.9), WOOD, "planks", BARK),
    ]


def locomotive(paint: Paint) -> list[Part]:
    """A steam locomotive with a funnel in front and a cab behind."""
    return [
        part(lying(0.34, 1.3).moved(y=-0.3, z=0.68), paint.main, "bands", DARK),
        part(lying(0.3, 0.05).moved(y=-0.97, z=0.68), DARK, "dots", GRAY),
        part(box(0.8, 0.6, 0.95).moved(y=0.6, z=0.85), paint.second, "windows", GLASS),
        part(box(0.95, 0.75, 0.08).moved(y=0.6, z=1.36), DARK),
        part(cylinder(0.1, 0.42, top=0.17).moved(y=-0.72, z=1.15), DARK),
        part(ball(0.26, 0.26, 0.26).moved(y=-0.2, z=1.05), AMBER),
        part(box(0.8, 1.9, 0.14).moved(y=-0.03, z=0.3), DARK),
        part(
            Mesh.joined([both_sides(wheel(0.22, 0.12), 0.4).moved(y=y, z=0.22) for y in (-0.7, -0.15, 0.4)]),
            RED,
            "dots",
            DARK,
        ),
        part(prism([(-1.25, 0.05), (-0.95, 0.05), (-0.95, 0.35)], 0.8), paint.accent, "stripes", DARK),
        part(ball(0.16, 0.14, 0.16).moved(y=-1.0, z=0.98), AMBER),
    ]


def snowman(paint: Paint) -> list[Part]:
    """A snowman with a carrot for a nose, a scarf, a hat and a broom in its left hand."""
    return [
        part(ball(0.95, 0.95, 0.85).moved(z=0.4), PALE),
        part(ball(0.7, 0.7, 0.65).moved(z=1.0), PALE),
        part(ball(0.5, 0.5, 0.48).moved(z=1.45), PALE),
        part(lying(0.07, 0.34, front=0.01).moved(y=-0.38, z=1.44), ORANGE),
        part(both_sides(ball(0.08, 0.08, 0.08), 0.09).moved(y=-0.22, z=1.54), DARK),
        part(Mesh.joined([ball(0.1, 0.1, 0.1).moved(y=-0.35 - d, z=z) for z, d in ((1.1, 0.0), (0.9, 0.01))]), DARK),
        part(cylinder(0.27, 0.14).moved(z=1.24), paint.main, "stripes"),
        part(box(0.14, 0.06, 0.45).moved(x=-0.16, y=-0.34, z=1.02), paint.main, "bands"),
        part(cylinder(0.34, 0.05).moved(z=1.65), DARK),
        part(cylinder(0.22, 0.32).moved(z=1.83), paint.second, "halves", DARK),
        part(cylinder(0.03, 1.5).moved(x=0.55, y=-0.1, z=0.75), WOOD),
        part(cylinder(0.08, 0.3, top=0.16).moved(x=0.55, y=-0.1, z=1.5), AMBER, "stripes", BARK),
        part(box(0.4, 0.12, 0.4).moved(y=0.38, z=1.05), paint.accent, "checks"),
    ]


def windmill(paint: Paint) -> list[Part]:
    """A windmill with four sails in front."""
    sail = box(0.2, 0.04, 0.75).moved(z=0.45)
    sails = Mesh.joined([sail.turned(y=90 * i + 30).moved(y=-0.45, z=1.35) for i in range(4)])
    return [
        part(cylinder(0.5, 1.3, top=0.32).moved(z=0.65), PALE, "bricks", paint.main),
        part(cylinder(0.38, 0.4, top=0.05).moved(z=1.5), paint.second, "tiles", DARK),
        part(sails, paint.accent, "bands"),
        part(lying(0.08, 0.3).moved(y=-0.4, z=1.35), DARK),
        part(box(0.26, 0.1, 0.45).moved(y=-0.46, z=0.22), WOOD, "planks", BARK),
        part(box(0.3, 0.3, 0.2).moved(x=-0.55, y=0.2, z=0.1), WOOD, "planks", BARK),
    ]


def mailbox(paint: Paint) -> list[Part]:
    """A mailbox on a post, a door in front and a flag at its side."""
    return [
        part(box(0.16, 0.16, 0.8).moved(z=0.4), WOOD, "planks", BARK),
        part(box(0.55, 1.0, 0.4).moved(z=0.98), paint.main, "plain"),
        part(lying(0.275, 1.0).moved(z=1.18), paint.main, "stripes", paint.second),
        part(box(0.45, 0.06, 0.36).moved(y=-0.51, z=0.99), PALE, "bands", DARK),
        part(lying(0.2, 0.05).moved(y=-0.5, z=1.2), PALE, "dots", RED),
        part(box(0.04, 0.06, 0.5).moved(x=0.3, y=-0.1, z=1.3), DARK),
        part(box(0.04, 0.3, 0.18).moved(x=0.3, y=-0.02, z=1.5), RED),
        part(box(0.6, 0.5, 0.06).moved(z=0.03), paint.accent, "checks", DARK),
    ]


def teapot(paint: Paint) -> list[Part]:
    """A teapot with its spout in front and its handle behind."""
    return [
        part(ball(1.0, 1.0, 0.85).moved(z=0.45), paint.main, "dots", paint.second),
        part(cylinder(0.3, 0.08).moved(z=0.86), paint.accent),
        part(ball(0.16, 0.16, 0.16).moved(z=0.96), paint.second),
        part(lying(0.14, 0.6, front=0.07).turned(x=-40).moved(y=-0.65, z=0.58), paint.accent, "bands"),
        part(ring(0.26, 0.1).turned(z=90).moved(y=0.6, z=0.5), paint.accent, "bands"),
        part(cylinder(0.36, 0.08).moved(z=0.04), paint.second),
    ]


def piano(paint: Paint) -> list[Part]:
    """An upright piano with its keys and notes in front."""
    return [
        part(box(1.5, 0.4, 1.2).moved(y=0.2, z=0.6), paint.main, "plain"),
        part(box(1.5, 0.4, 0.14).moved(y=-0.15, z=0.55), paint.main),
        part(box(1.3, 0.34, 0.05).moved(y=-0.18, z=0.64), PALE, "keys", DARK),
        part(both_sides(box(0.12, 0.3, 0.5), 0.66).moved(y=-0.18, z=0.25), paint.second),
        part(box(0.5, 0.04, 0.4).turned(x=-12).moved(y=-0.05, z=0.92), PALE, "bands", DARK),
        part(box(1.3, 0.04, 1.0).moved(y=0.41, z=0.6), WOOD, "planks", BARK),
        part(cylinder(0.12, 0.25).moved(x=0.5, y=0.2, z=1.3), paint.accent, "bands"),
    ]


def truck(paint: Paint) -> list[Part]:
    """A truck with a cab in front and a box behind."""
    return [
        part(box(0.9, 0.55, 0.75).moved(y=-0.85, z=0.65), paint.main),
        part(box(0.8, 0.06, 0.35).moved(y=-1.12, z=0.8), GLASS, "panels", DARK),
        part(box(0.6, 0.06, 0.16).moved(y=-1.12, z=0.42), GRAY, "stripes", DARK),
        part(both_sides(ball(0.16, 0.1, 0.16), 0.36).moved(y=-1.12, z=0.4), AMBER),
        part(box(1.0, 1.45, 1.0).moved(y=0.25, z=0.85), PALE, "bands", paint.second),
        part(box(0.9, 0.04, 0.9).moved(y=0.98, z=0.85), paint.accent, "panels", DARK),
        part(box(0.7, 2.1, 0.14).moved(y=-0.05, z=0.28), DARK),
        part(
            Mesh.joined([both_sides(wheel(0.23, 0.16), 0.42).moved(y=y, z=0.23) for y in (-0.8, 0.25, 0.75)]), DARK, "dots", GRAY
        ),
    ]


def penguin(paint: Paint) -> list[Part]:
    """A penguin with a white belly and a scarf."""
    wing = ball(0.14, 0.36, 0.75).turned(y=-14)
    return [
        part(ball(0.8, 0.72, 1.2).moved(z=0.65), DARK),
        part(ball(0.62, 0.4, 0.98).moved(y=-0.2, z=0.58), PALE),
        part(ball(0.52, 0.5, 0.5).moved(z=1.36), DARK),
        part(ball(0.36, 0.2, 0.28).moved(y=-0.17, z=1.34), PALE),
        part(both_sides(ball(0.09, 0.06, 0.1), 0.1).moved(y=-0.26, z=1.42), DARK),
        part(lying(0.08, 0.26, front=0.01).moved(y=-0.36, z=1.3), ORANGE),
        part(Mesh.joined([wing.moved(x=0.44), wing.turned(z=180).moved(x=-0.44)]).moved(z=0.72), DARK, "bands", GRAY),
        part(both_sides(ball(0.3, 0.44, 0.12), 0.2).moved(y=-0.22, z=0.06), ORANGE),
        part(cylinder(0.27, 0.13).moved(z=1.15), paint.main, "stripes", paint.second),
        part(box(0.13, 0.05, 0.42).moved(x=0.12, y=0.34, z=0.95), paint.main, "bands", paint.second),
    ]


def helicopter(paint: Paint) -> list[Part]:
    """A helicopter with a glass nose and a tail rotor."""
    return [
        part(ball(0.75, 1.1, 0.75).moved(y=-0.2, z=0.7), paint.main, "halves", paint.second),
        part(ball(0.62, 0.6, 0.52).moved(y=-0.52, z=0.76), GLASS),
        part(lying(0.06, 1.1, front=0.14).moved(y=0.75, z=0.8), paint.main),
        part(prism([(1.1, 0.75), (1.4, 0.75), (1.45, 1.2), (1.25, 1.2)], 0.07), paint.accent, "stripes"),
        part(box(0.05, 0.1, 0.6).turned(x=40).moved(x=0.08, y=1.28, z=0.85), DARK),
        part(cylinder(0.05, 0.25).moved(y=-0.15, z=1.15), DARK),
        part(box(1.5, 0.16, 0.05).turned(z=35).moved(y=-0.15, z=1.28), DARK, "stripes", GRAY),
        part(both_sides(lying(0.045, 1.1), 0.34).moved(y=-0.2, z=0.1), DARK),
        part(four(cylinder(0.03, 0.35), 0.32, 0.25).moved(y=-0.2, z=0.25), GRAY),
    ]


def cow(paint: Paint) -> list[Part]:
    """A cow with patches, horns and a bell."""
    return [
        part(ball(0.75, 1.4, 0.75).moved(z=0.85), PALE, "patches", paint.main),
        part(four(cylinder(0.1, 0.6), 0.22, 0.42).moved(z=0.3), PALE, "halves", DARK),
        part(ball(0.42, 0.55, 0.45).moved(y=-0.85, z=1.2), paint.main),
        part(ball(0.34, 0.26, 0.26).moved(y=-1.08, z=1.1), (0.95, 0.65, 0.62)),
        part(both_sides(ball(0.09, 0.07, 0.1), 0.14).moved(y=-1.03, z=1.3), DARK),
        part(both_sides(cylinder(0.05, 0.25, top=0.01).turned(y=30), 0.2).moved(y=-0.75, z=1.48), AMBER),
        part(both_sides(ball(0.26, 0.08, 0.14), 0.3).moved(y=-0.78, z=1.3), paint.main),
        part(cylinder(0.1, 0.16, top=0.05).moved(y=-0.72, z=0.88), paint.accent),
        part(cylinder(0.03, 0.6).moved(y=0.72, z=0.75), PALE),
        part(ball(0.12, 0.12, 0.2).moved(y=0.72, z=0.42), DARK),
    ]


def clock(paint: Paint) -> list[Part]:
    """An alarm clock with two bells; its face is in front."""
    return [
        part(lying(0.6, 0.4).moved(z=0.72), paint.main, "plain"),
        part(lying(0.5, 0.05).moved(y=-0.21, z=0.72), PALE, "clock", DARK),
        part(lying(0.4, 0.1).moved(y=0.23, z=0.72), GRAY, "dots", DARK),
        part(both_sides(ball(0.4, 0.36, 0.3), 0.32).moved(z=1.3), paint.second),
        part(cylinder(0.04, 0.3).moved(z=1.4), DARK),
        part(both_sides(cylinder(0.06, 0.4).turned(y=25), 0.42).moved(z=0.15), paint.accent),
        part(box(0.16, 0.12, 0.16).moved(x=0.2, y=0.3, z=0.9), AMBER),
    ]


TOYS: dict[str, Toy] = {
    each.__name__: each
    for each in (
        car, house, robot, airplane, boat, cat, mug, camera, television, armchair, locomotive, snowman,
        windmill, mailbox, teapot, piano, truck, penguin, helicopter, cow, clock,
    )
}  # fmt: skip
"""Every toy by its name."""
