from __future__ import annotations

import numpy as np
import pytest

from bagel_world.sims.geodesic import CELL, Geodesic
from bagel_world.sims.plans import HousePlan, draw_plan


@pytest.fixture(scope="module")
def plan() -> HousePlan:
    return draw_plan("test", 5)


def free_places(plan: HousePlan, count: int) -> list[tuple[float, float]]:
    rng, places = np.random.default_rng(0), []
    while len(places) < count:
        x, z = rng.uniform(-7.5, 7.5, 2).tolist()
        if plan.is_free(x, z) and plan.in_room(x, z):
            places.append((x, z))
    return places


def test_within_sight_it_is_the_straight_line(plan: HousePlan) -> None:
    ways, checked = Geodesic(plan), 0
    places = free_places(plan, 60)
    for goal in places[:6]:
        field = ways.to_point(*goal)
        for place in places:
            straight = float(np.hypot(place[0] - goal[0], place[1] - goal[1]))
            between = np.linspace(place, goal, 100)
            if straight > 0.5 and (plan.clearance(between) > 0.5).all():
                assert straight - 2 * CELL <= ways.at(field, *place) <= 1.03 * straight + 2 * CELL
                checked += 1
    assert checked > 10


def test_no_way_is_shorter_than_the_straight_line_and_walls_make_it_longer(plan: HousePlan) -> None:
    ways = Geodesic(plan)
    places = free_places(plan, 80)
    field = ways.to_point(*places[0])
    straight = np.array([np.hypot(x - places[0][0], z - places[0][1]) for x, z in places])
    walked = np.array([ways.at(field, *place) for place in places])
    assert (walked >= straight - 2 * CELL).all()
    assert (walked > straight + 1.0).sum() > 5
    assert np.isfinite(walked).all()


def test_the_way_there_is_as_long_as_the_way_back(plan: HousePlan) -> None:
    ways = Geodesic(plan)
    for one, other in zip(free_places(plan, 8)[::2], free_places(plan, 8)[1::2], strict=True):
        there, back = ways.at(ways.to_point(*other), *one), ways.at(ways.to_point(*one), *other)
        assert there == pytest.approx(back, abs=3 * CELL)


def test_the_distance_to_an_object_is_that_to_its_surface(plan: HousePlan) -> None:
    ways, checked = Geodesic(plan), 0
    for number, target in enumerate(plan.objects):
        field = ways.to_object(number)
        for angle in np.linspace(0, 2 * np.pi, 24, endpoint=False):
            away = target.kind.radius + 0.8
            x, z = target.x + away * np.cos(angle), target.z + away * np.sin(angle)
            between = np.linspace((x, z), (target.x, target.z), 50)[: round(50 * 0.4 / away)]
            if plan.is_free(x, z) and (plan.clearance(between) >= 0.4 - 1e-9).all():
                assert ways.at(field, float(x), float(z)) == pytest.approx(0.8, abs=2 * CELL)
                checked += 1
    assert checked > 20


def test_inside_a_wall_there_is_no_way_to_anywhere(plan: HousePlan) -> None:
    ways = Geodesic(plan)
    assert ways.at(ways.to_point(*free_places(plan, 1)[0]), 40.0, 0.0) == float("inf")
