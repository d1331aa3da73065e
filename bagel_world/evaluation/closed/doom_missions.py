"""Missions in `sims.Doom`: pictures to be reached in a game that no checkpoint was trained on."""

from __future__ import annotations

import numpy as np

from bagel_world.errors import ConfigError
from bagel_world.evaluation.closed.missions import BINS, GOAL_RADIUS, Mission, bin_name
from bagel_world.sims.doom import draw_start
from bagel_world.sims.dungeon_plan import DungeonPlan
from bagel_world.sims.walking import WalkingGrid

_SALT = 2
_TRIES = 400


def draw_doom_missions(plan: DungeonPlan, *, n: int, seed: int) -> list[Mission]:
    """`n` missions in one map, bins of walking distance in turn.

    Args:
        plan: the floor of the map; its name stands where houses have their split.
        n: how many.
        seed: decides starts and goals. The first missions of a longer list are those of a shorter one.
    """
    grid = WalkingGrid(plan)
    return [_draw(plan, grid, number, seed) for number in range(n)]


def _draw(plan: DungeonPlan, grid: WalkingGrid, number: int, seed: int) -> Mission:
    wanted = number % len(BINS)
    low, high = BINS[wanted]
    rng = np.random.default_rng((seed, _SALT, number))
    goal = draw_start(plan, rng)
    field = grid.to_point(float(goal[0]), float(goal[2]))
    for _ in range(_TRIES):
        start = draw_start(plan, rng)
        meters = grid.at(field, float(start[0]), float(start[2]))
        if max(low, GOAL_RADIUS) < meters <= high:
            return Mission(
                number=number,
                split=plan.name,
                house=None,
                kind="image",
                start=_pose(start),
                goal=_pose(goal),
                name="",
                meters=meters,
                bin=wanted,
            )
    raise ConfigError(f"Nothing in the map {plan.name} is {bin_name(wanted)} away from the goal drawn. Use another seed.")


def _pose(values: np.ndarray) -> tuple[float, float, float, float]:
    x, y, z, yaw = (float(each) for each in values)
    return x, y, z, yaw
