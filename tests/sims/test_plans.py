from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bagel_world.errors import ConfigError, UnknownNameError
from bagel_world.sims.palettes import FAMILIAR, NOVEL, SPLITS, palette_of
from bagel_world.sims.plans import (
    AGENT_RADIUS,
    OBJECTS_PER_HOUSE,
    SEEDS_PER_SPLIT,
    HousePlan,
    draw_plan,
    house_number,
)
from bagel_world.sims.walls import heading_of


@pytest.fixture(scope="module", params=[("train", 0), ("validation", 1), ("test", 2), ("unseen", 3)])
def plan(request: pytest.FixtureRequest) -> HousePlan:
    return draw_plan(*request.param)


def described(plan: HousePlan) -> str:
    return f"{plan.number} {plan.rooms} {plan.doorways} {plan.objects} {plan.walls.tolist()}"


def test_unseen_shares_no_texture_and_no_object() -> None:
    assert palette_of("unseen") is NOVEL
    assert all(palette_of(split) is FAMILIAR for split in ("train", "validation", "test"))
    assert FAMILIAR.textures.isdisjoint(NOVEL.textures)
    for attribute in ("name", "mesh"):
        familiar, novel = ({getattr(kind, attribute) for kind in each.objects} for each in (FAMILIAR, NOVEL))
        assert familiar.isdisjoint(novel)


def test_splits_own_disjoint_ranges_of_houses() -> None:
    ends = [(house_number(split, 0), house_number(split, SEEDS_PER_SPLIT - 1)) for split in SPLITS]
    assert all(last < first for (_, last), (first, _) in itertools.pairwise(ends))


def test_the_same_seed_gives_other_houses_in_other_splits() -> None:
    rooms = {tuple(draw_plan(split, seed).objects) for split in SPLITS for seed in range(20)}
    assert len(rooms) == 20 * len(SPLITS)


def test_equal_seeds_give_equal_houses_in_another_process() -> None:
    code = "from tests.sims.test_plans import described, draw_plan; print(described(draw_plan('test', 5)))"
    other = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == described(draw_plan("test", 5))


def test_every_room_can_be_reached(plan: HousePlan) -> None:
    reached = {0}
    for _ in plan.rooms:
        reached |= {room for door in plan.doorways if reached & set(door.rooms) for room in door.rooms}
    assert reached == set(range(9))


def test_objects_are_six_kinds_in_six_rooms(plan: HousePlan) -> None:
    assert len({each.kind.name for each in plan.objects}) == OBJECTS_PER_HOUSE == 6
    homes = {
        index
        for index, room in enumerate(plan.rooms)
        for each in plan.objects
        if max(abs(each.x - room.x), abs(each.z - room.z)) + each.kind.radius <= 2.5 + 1e-9
    }
    assert len(homes) == OBJECTS_PER_HOUSE


def test_textures_and_objects_come_from_the_palette(plan: HousePlan) -> None:
    palette = palette_of(plan.split)
    for room in plan.rooms:
        assert (room.wall in palette.walls, room.floor in palette.floors, room.ceiling in palette.ceilings) == (True,) * 3
    assert {each.kind for each in plan.objects} <= set(palette.objects)


def test_doorways_can_be_walked_through(plan: HousePlan) -> None:
    for door in plan.doorways:
        first, second = (plan.rooms[index] for index in door.rooms)
        middle = ((first.x + second.x) / 2, (first.z + second.z) / 2)
        for across in np.linspace(-0.5, 0.5, 11):
            at = (door.center, middle[1] + across) if door.along_x else (middle[0] + across, door.center)
            assert plan.is_free(*at)
        away = 1.2  # beyond the door frame stands the wall
        assert not plan.is_free(*((door.center + away, middle[1]) if door.along_x else (middle[0], door.center + away)))


def test_the_house_is_closed(plan: HousePlan) -> None:
    """From the middle of any room, every direction ends at a wall."""
    for room in plan.rooms:
        sights = [plan.sight(room.x, room.z, yaw + 0.123) for yaw in range(0, 360, 3)]
        assert max(sights) < 22.5
        assert min(sights) == pytest.approx(2.5, abs=0.02)


def test_clearance_is_the_distance_to_walls_and_objects() -> None:
    full = draw_plan("train", 4)
    plan = HousePlan(
        split="train",
        number=0,
        rooms=full.rooms,
        doorways=(),
        objects=full.objects[:1],
        walls=np.array([[[0, 0], [4, 0]]], float),
    )
    each = plan.objects[0]
    expected = [
        min(3.0, np.hypot(2 - each.x, 3 - each.z) - each.kind.radius),
        min(5.0, np.hypot(7 - each.x, -4 - each.z) - each.kind.radius),
        -each.kind.radius,
    ]
    np.testing.assert_allclose(plan.clearance([(2, 3), (7, -4), (each.x, each.z)]), expected)


def test_sight_measures_to_the_nearest_wall_ahead() -> None:
    full = draw_plan("train", 4)
    walls = np.array([[[3, -1], [3, 1]], [[5, -9], [5, 9]], [[-2, -1], [-2, 1]]], dtype=float)
    plan = HousePlan(split="train", number=0, rooms=full.rooms, doorways=(), objects=(), walls=walls)
    assert plan.sight(0, 0, 0) == pytest.approx(3)
    assert plan.sight(0, 0, 45) == pytest.approx(5 * np.sqrt(2))
    assert plan.sight(0, 0, 180) == pytest.approx(2)
    assert plan.sight(0, 0, 90) == np.inf


def test_yaw_turns_counter_clockwise_seen_from_above() -> None:
    """x is east and z is south: a quarter turn to the left from east faces north, which is -z."""
    np.testing.assert_allclose([heading_of(yaw) for yaw in (0, 90, 180, 270)], [(1, 0), (0, -1), (-1, 0), (0, 1)], atol=1e-12)


def test_an_agent_cannot_stand_where_a_wall_is(plan: HousePlan) -> None:
    room = plan.rooms[0]
    assert not plan.is_free(room.x - 2.5 + AGENT_RADIUS - 0.01, room.z)


def test_unknown_splits_and_seeds_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="'validation'"):
        draw_plan("valdation", 0)
    for seed in (-1, SEEDS_PER_SPLIT):
        with pytest.raises(ConfigError, match="house seed"):
            draw_plan("train", seed)
