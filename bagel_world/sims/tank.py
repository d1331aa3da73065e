"""The tank that bodies fall into: a floor with a rim, a ramp or a step on it, and walls that nobody sees."""

from __future__ import annotations

from bagel_world.sims.bodies import Solid
from bagel_world.sims.drop_plans import TANK, DropPlan
from bagel_world.sims.meshes import Mesh, box, prism
from bagel_world.sims.patterns import paint
from bagel_world.sims.toys import Part

_WALL_HEIGHT, _WALL = 4.0, 0.2
_RIM_HEIGHT, _RIM = 0.12, 0.08
_RAMP_LENGTH, _RAMP_RISE = 1.0, 0.4
_STEP_SIDE, _STEP_RISE = 0.6, 0.28


def tank_parts(plan: DropPlan) -> list[Part]:
    """What is seen: the floor, the rim, and what stands on the floor."""
    half_width, half_depth = TANK
    floor = box(2 * half_width, 2 * half_depth, 0.1).moved(z=-0.05)
    long, short = 2 * (half_width + _RIM), 2 * half_depth
    rim = Mesh.joined(
        [box(long, _RIM, _RIM_HEIGHT).moved(y=side * (half_depth + _RIM / 2)) for side in (-1, 1)]
        + [box(_RIM, short, _RIM_HEIGHT).moved(x=side * (half_width + _RIM / 2)) for side in (-1, 1)]
    )
    parts = [
        Part(mesh=floor.tiled(2, 1), texture=paint(plan.floor, *plan.floor_colors, grain=0.0)),
        Part(mesh=rim, texture=paint("plain", plan.rim, plan.rim, grain=0.0)),
    ]
    prop = prop_mesh(plan)
    if prop is not None:
        parts.append(Part(mesh=prop, texture=paint("plain", plan.prop_color, plan.prop_color)))
    return parts


def tank_solids() -> list[Solid]:
    """What bodies meet: the floor, and four walls that nobody sees."""
    half_width, half_depth = TANK
    high = _WALL_HEIGHT / 2
    long, short = half_width + 2 * _WALL, half_depth + 2 * _WALL
    walls = [Solid(shape="box", size=(_WALL, short, high), at=(side * (half_width + _WALL), 0.0, high)) for side in (-1, 1)] + [
        Solid(shape="box", size=(long, _WALL, high), at=(0.0, side * (half_depth + _WALL), high)) for side in (-1, 1)
    ]
    return [Solid(shape="box", size=(long, short, _WALL), at=(0.0, 0.0, -_WALL)), *walls]


def prop_mesh(plan: DropPlan) -> Mesh | None:
    """What stands on the floor, a convex mesh; None where nothing does."""
    if plan.prop == "step":
        return box(_STEP_SIDE, 2 * TANK[1], _STEP_RISE).moved(x=plan.prop_x, z=_STEP_RISE / 2)
    if plan.prop == "ramp":
        half = _RAMP_LENGTH / 2
        wedge = prism([(-half, 0.0), (half, 0.0), (half, _RAMP_RISE)], 2 * TANK[1])  # climbs along y
        return wedge.turned(z=-90 * plan.prop_side).moved(x=plan.prop_x)
    return None
