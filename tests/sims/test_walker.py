from __future__ import annotations

import numpy as np
import pytest

from bagel_world.sims.house import draw_start, step_ahead
from bagel_world.sims.plans import HousePlan, draw_plan
from bagel_world.sims.walker import FORWARD, LEFT, RIGHT, STAY, STYLE_SHARES, STYLES, Walker, WalkMap


def walk(plan: HousePlan, seed: int, steps: int, style: str | None = None) -> tuple[np.ndarray, list[int]]:
    """A walk on the plan alone: poses (steps + 1, 4) and actions."""
    rng = np.random.default_rng(seed)
    walker = Walker(plan, rng, style=style)
    poses, actions = [draw_start(plan, rng)], []
    for _ in range(steps):
        x, y, z, yaw = poses[-1]
        action = walker.act(poses[-1])
        if action == FORWARD and plan.is_free(*step_ahead((x, z), yaw)):
            x, z = step_ahead((x, z), yaw)
        yaw = (yaw + {LEFT: 30, RIGHT: -30}.get(action, 0)) % 360
        poses.append(np.array([x, y, z, yaw]))
        actions.append(action)
    return np.stack(poses), actions


@pytest.fixture(scope="module")
def walks() -> list[tuple[np.ndarray, list[int]]]:
    return [walk(draw_plan("train", seed), seed, 24) for seed in range(80)]


def share(actions: list[int], action: int) -> float:
    return actions.count(action) / len(actions)


def test_walks_mix_the_actions(walks: list[tuple[np.ndarray, list[int]]]) -> None:
    actions = [action for _, each in walks for action in each]
    assert 0.40 < share(actions, FORWARD) < 0.58
    assert abs(share(actions, LEFT) - share(actions, RIGHT)) < 0.08
    assert 0.02 < share(actions, STAY) < 0.06


def test_few_steps_are_blocked(walks: list[tuple[np.ndarray, list[int]]]) -> None:
    forward = [np.array_equal(poses[i], poses[i + 1]) for poses, actions in walks for i, a in enumerate(actions) if a == FORWARD]
    assert 0 < np.mean(forward) < 0.06


def test_most_turns_explore_and_some_return_to_a_view_just_left(walks: list[tuple[np.ndarray, list[int]]]) -> None:
    known = []
    for poses, actions in walks:
        for i, action in enumerate(actions):
            if action in (LEFT, RIGHT):
                recent, now = poses[max(0, i - 3) : i], poses[i + 1]
                near = np.hypot(recent[:, 0] - now[0], recent[:, 2] - now[2]) < 0.25
                alike = np.abs((recent[:, 3] - now[3] + 180) % 360 - 180) < 15
                known.append(bool((near & alike).any()))
    assert 0.05 < np.mean(known) < 0.2


def test_a_direct_walker_visits_one_object_after_another() -> None:
    for seed in range(5):
        plan = draw_plan("train", seed)
        poses, _ = walk(plan, seed, 150, "direct")
        reached = [
            each.kind.name
            for each in plan.objects
            if np.hypot(poses[:, 0] - each.x, poses[:, 2] - each.z).min() < each.kind.radius + 1.3
        ]
        assert len(reached) >= 3


def test_the_same_seed_walks_the_same_way() -> None:
    plan = draw_plan("test", 3)
    (first, left), (second, right) = walk(plan, 5, 40), walk(plan, 5, 40)
    np.testing.assert_array_equal(first, second)
    assert left == right
    assert walk(plan, 6, 40)[1] != left


def test_walking_distance_goes_around_walls() -> None:
    plan = draw_plan("train", 1)
    walk_map = WalkMap(plan)
    for goal, placed in enumerate(plan.objects):
        field = walk_map.distances_to(goal)
        free = field < 1e5
        assert free.any()
        for room in plan.rooms:
            direct = np.hypot(room.x - placed.x, room.z - placed.z)
            if plan.is_free(room.x, room.z):
                assert walk_map.distance(goal, (room.x, room.z)) > direct - placed.kind.radius - 1.5
        assert field[free].min() == 0


def test_neighbor_cells_differ_by_at_most_a_step() -> None:
    field = WalkMap(draw_plan("train", 2)).distances_to(0)
    for shifted, still in ((field[1:], field[:-1]), (field[:, 1:], field[:, :-1])):
        both = (shifted < 1e5) & (still < 1e5)
        assert np.abs(shifted - still)[both].max() <= 0.25 + 1e-9


def test_starts_are_free_inside_rooms_and_face_no_wall() -> None:
    for seed in range(30):
        plan = draw_plan("validation", seed)
        x, y, z, yaw = draw_start(plan, np.random.default_rng(seed))
        assert y == 0
        assert yaw == int(yaw)
        assert plan.is_free(x, z)
        assert plan.in_room(x, z)
        assert plan.sight(x, z, yaw) > 2.5


def test_a_start_can_face_an_object() -> None:
    for seed in range(30):
        plan = draw_plan("test", seed)
        x, _, z, yaw = draw_start(plan, np.random.default_rng(seed), facing_object=True)
        (place, *_) = plan.sees(x, z, yaw)
        each = plan.objects[place]
        toward = np.rad2deg(np.arctan2(z - each.z, each.x - x))
        assert abs((toward - yaw + 180) % 360 - 180) < 22


def test_styles_are_drawn_in_their_shares() -> None:
    plan, rng = draw_plan("train", 0), np.random.default_rng(0)
    styles = [Walker(plan, rng).style for _ in range(500)]
    np.testing.assert_allclose([styles.count(name) / 500 for name in STYLES], STYLE_SHARES, atol=0.05)


def test_no_walk_stays_in_one_place(walks: list[tuple[np.ndarray, list[int]]]) -> None:
    assert min(len({tuple(pose) for pose in poses}) for poses, _ in walks) > 8
