"""Missions: what an agent is sent to reach in a house, drawn by a seed, as many in every bin of walking distance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bagel_world.errors import ConfigError
from bagel_world.sims.captions import STANDING
from bagel_world.sims.dungeon_plan import DungeonPlan
from bagel_world.sims.geodesic import Geodesic
from bagel_world.sims.house import draw_start
from bagel_world.sims.plans import HousePlan, draw_plan
from bagel_world.sims.walking import Field, WalkingGrid

GoalKind = Literal["image", "object"]

GOAL_RADIUS = 1.0
"""Meters of walking from the goal within which a stop is a success."""

BINS = ((1.0, 3.0), (3.0, 6.0), (6.0, 10.0))
"""Meters of walking from the start to the goal."""

_TRIES = 60
_HOUSES = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Mission:
    """One task.

    Attributes:
        number: its place among the missions of one seed.
        split: the houses' split, or the name of a map.
        house: the seed of the house in it; None for a map, of which there is one.
        kind: whether the goal is a picture or the name of an object.
        start: the first pose: x, y, z in meters and yaw in degrees.
        goal: for a picture the pose it was taken from; for an object a pose in front of it that looks at it.
        name: of the object; what the picture shows first where the goal is a picture, or "".
        meters: of walking from the start to the goal.
        bin: place in `BINS`.
    """

    number: int
    split: str
    house: int | None
    kind: GoalKind
    start: tuple[float, float, float, float]
    goal: tuple[float, float, float, float]
    name: str
    meters: float
    bin: int

    def at(self, pose: tuple[float, float, float, float]) -> dict[str, Any]:
        """Reset options that build the place and put the agent there."""
        return {"pose": pose} if self.house is None else {"pose": pose, "house": self.house}

    @property
    def text(self) -> str:
        """The goal in words."""
        return STANDING.format(object=self.name)


def bin_name(place: int) -> str:
    """The words for a bin: "1-3 m"."""
    low, high = BINS[place]
    return f"{low:g}-{high:g} m"


def draw_missions(split: str, kind: GoalKind, *, n: int, seed: int) -> list[Mission]:
    """`n` missions, each in a house of its own, bins in turn.

    Args:
        split: of the houses.
        kind: of the goals.
        n: how many.
        seed: decides houses, starts and goals. The first missions of a longer list are those of a shorter one.

    Raises:
        ConfigError: no kind of goal.
    """
    if kind not in ("image", "object"):
        raise ConfigError(f"Expected goals of the kind 'image' or 'object', got {kind!r}.")
    return [_draw(split, kind, number, seed) for number in range(n)]


def ways_to(mission: Mission, plan: HousePlan | DungeonPlan) -> tuple[WalkingGrid, Field]:
    """Where one can walk, and how far it is from there to a mission's goal; `plan` is that of its house or map."""
    if mission.kind == "image" or isinstance(plan, DungeonPlan):
        grid = WalkingGrid(plan)
        return grid, grid.to_point(mission.goal[0], mission.goal[2])
    ways = Geodesic(plan)
    names = [each.kind.name for each in plan.objects]
    return ways, ways.to_object(names.index(mission.name))


def _draw(split: str, kind: GoalKind, number: int, seed: int) -> Mission:
    """One mission; houses that have none in the bin are passed over."""
    wanted = number % len(BINS)
    salt = 0 if kind == "image" else 1
    for turn in range(_TRIES):
        rng = np.random.default_rng((seed, salt, number, turn))
        house = int(rng.integers(_HOUSES))
        plan = draw_plan(split, house)
        ways = Geodesic(plan)
        for goal, name, field in _goals(plan, ways, kind, rng):
            for _ in range(8):
                start = draw_start(plan, rng)
                meters = ways.at(field, float(start[0]), float(start[2]))
                low, high = BINS[wanted]
                if low < meters <= high and meters > GOAL_RADIUS:
                    return Mission(
                        number=number,
                        split=split,
                        house=house,
                        kind=kind,
                        start=_pose(start),
                        goal=_pose(goal),
                        name=name,
                        meters=meters,
                        bin=wanted,
                    )
    raise ConfigError(f"No house of the {split} split has a goal {bin_name(wanted)} away. Use another seed.")


def _goals(plan: HousePlan, ways: Geodesic, kind: GoalKind, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, str, Field]]:
    """Some goals of a house with the distances to them."""
    if kind == "image":
        for _ in range(2):
            pose = draw_start(plan, rng, facing_object=True)
            seen = plan.sees(float(pose[0]), float(pose[2]), float(pose[3]))
            yield pose, plan.objects[seen[0]].kind.name, ways.to_point(float(pose[0]), float(pose[2]))
        return
    for place in rng.permutation(len(plan.objects))[:2].tolist():
        pose = in_front_of(plan, place, rng)
        if pose is not None:
            yield pose, plan.objects[place].kind.name, ways.to_object(place)


def in_front_of(plan: HousePlan, place: int, rng: np.random.Generator) -> np.ndarray | None:
    """A pose near an object that looks at it; None where there is no room."""
    target = plan.objects[place]
    for angle in np.deg2rad(rng.permutation(24) * 15.0):
        away = target.kind.radius + 0.9
        x, z = target.x + away * np.cos(angle), target.z - away * np.sin(angle)
        yaw = float(np.rad2deg(np.arctan2(z - target.z, target.x - x))) % 360.0
        if plan.in_room(x, z) and plan.is_free(x, z) and plan.sight(x, z, yaw) > away:
            return np.array([x, 0.0, z, yaw])
    return None


def _pose(values: np.ndarray) -> tuple[float, float, float, float]:
    x, y, z, yaw = (float(each) for each in values)
    return x, y, z, yaw
