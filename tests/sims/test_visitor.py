"""The visitor: it goes up to what it sees, stands in front of it, and goes on."""

from __future__ import annotations

import numpy as np

from bagel_world.sims.house import draw_start, step_ahead
from bagel_world.sims.plans import HousePlan, draw_plan
from bagel_world.sims.sightings import sightings
from bagel_world.sims.visitor import Visitor
from bagel_world.sims.walker import FORWARD, LEFT, RIGHT

STEPS = 24


def visit(plan: HousePlan, seed: int) -> tuple[np.ndarray, list[int]]:
    """Poses (steps + 1, 4) and actions, on the plan alone."""
    rng = np.random.default_rng(seed)
    poses, actions = [draw_start(plan, rng, facing_object=True)], []
    visitor = Visitor(plan, rng)
    for _ in range(STEPS):
        x, y, z, yaw = poses[-1]
        action = visitor.act(poses[-1])
        if action == FORWARD and plan.is_free(*step_ahead((x, z), yaw)):
            x, z = step_ahead((x, z), yaw)
        yaw = (yaw + {LEFT: 30, RIGHT: -30}.get(action, 0)) % 360
        poses.append(np.array([x, y, z, yaw]))
        actions.append(action)
    return np.stack(poses), actions


def reached_in(plan: HousePlan, poses: np.ndarray) -> list[bool]:
    names = [each.kind.name for each in plan.objects]
    return [any(each.reached for each in sightings(plan, pose, names)) for pose in poses]


def test_most_visits_stand_in_front_of_something() -> None:
    plans = [draw_plan("train", seed) for seed in range(30)]
    reached = [reached_in(plan, visit(plan, seed)[0]) for seed, plan in enumerate(plans)]
    assert np.mean([any(each) for each in reached]) > 0.7
    assert np.mean(np.concatenate(reached)) > 0.05


def test_it_looks_to_both_sides_alike_and_walks() -> None:
    actions = np.concatenate([visit(draw_plan("train", seed), seed)[1] for seed in range(30)])
    shares = np.bincount(actions, minlength=4) / len(actions)
    assert 0.3 < shares[FORWARD] < 0.6
    assert abs(shares[LEFT] - shares[RIGHT]) < 0.08


def test_the_same_seed_goes_the_same_way() -> None:
    plan = draw_plan("validation", 3)
    assert visit(plan, 7)[1] == visit(plan, 7)[1]
    assert visit(plan, 7)[1] != visit(plan, 8)[1]
