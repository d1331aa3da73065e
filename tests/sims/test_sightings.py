"""Sightings: sides and distances worked out by hand, and a mirrored house."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bagel_world.sims.palettes import ObjectKind
from bagel_world.sims.plans import HousePlan, PlacedObject, draw_plan
from bagel_world.sims.sightings import AHEAD, Sighting, sightings

RADIUS = 0.5


def house(
    *objects: tuple[str, float, float], walls: tuple[tuple[tuple[float, float], tuple[float, float]], ...] = ()
) -> HousePlan:
    """A bare house: objects by name, x, z; far walls unless some are given."""
    far = (((100.0, -100.0), (100.0, 100.0)),)
    placed = tuple(
        PlacedObject(kind=ObjectKind(name=name, mesh=name, height=1.0, radius=RADIUS), x=x, z=z, yaw=0.0)
        for name, x, z in objects
    )
    return HousePlan(split="train", number=0, rooms=(), doorways=(), objects=placed, walls=np.array(walls or far))


def look(plan: HousePlan, yaw: float = 0.0, visible: tuple[str, ...] | None = None) -> dict[str, Sighting]:
    names = tuple(each.kind.name for each in plan.objects) if visible is None else visible
    return {each.name: each for each in sightings(plan, (0.0, 0.0, 0.0, yaw), names)}


def test_sides_and_distances_by_hand() -> None:
    # Facing east: north, which is -z, is to the left.
    seen = look(house(("duck", 3.0, 0.0), ("cone", 3.0, -1.5), ("chair", 3.0, 1.5), ("barrel", -2.0, 0.0)))
    assert [seen[name].side for name in ("duck", "cone", "chair")] == ["ahead", "left", "right"]
    assert seen["duck"].distance == pytest.approx(3.0 - RADIUS)
    assert seen["cone"].bearing == pytest.approx(np.rad2deg(np.arctan2(1.5, 3.0)))
    assert abs(seen["barrel"].bearing) == pytest.approx(180.0)


def test_turning_to_the_left_moves_things_to_the_right() -> None:
    plan = house(("duck", 3.0, 0.0))
    assert [look(plan, yaw)["duck"].side for yaw in (0.0, 20.0, 340.0)] == ["ahead", "right", "left"]


def test_what_is_hidden_clear_or_neither() -> None:
    wall = (((2.0, -1.0), (2.0, 1.0)), ((100.0, -100.0), (100.0, 100.0)))
    behind = look(house(("duck", 3.0, 0.0), walls=wall), visible=())["duck"]
    assert behind.hidden
    assert not behind.clear
    far = look(house(("duck", 30.0, 0.0)), visible=())["duck"]
    assert not far.hidden  # it is in the picture, only too small to count
    assert not far.clear
    half = look(house(("duck", 3.0, 0.0), walls=wall), visible=("duck",))["duck"]
    assert not half.hidden
    assert not half.clear  # an edge of it looks out from behind the wall
    assert look(house(("duck", 3.0, 0.0)))["duck"].clear


def test_reached_means_near_ahead_and_in_sight() -> None:
    assert look(house(("duck", 1.4, 0.0)))["duck"].reached
    assert not look(house(("duck", 1.6, 0.0)))["duck"].reached
    assert not look(house(("duck", 1.4, 0.0)), yaw=20.0)["duck"].reached
    assert not look(house(("duck", 1.4, 0.0)), visible=())["duck"].reached


def test_only_the_border_between_two_sides_is_doubtful() -> None:
    plan = house(("duck", 3.0, 0.0))
    doubtful = [yaw for yaw in range(-30, 31) if look(plan, float(yaw))["duck"].doubtful]
    assert doubtful == [-16, -15, -14, 14, 15, 16]
    assert look(plan, AHEAD)["duck"].side == "ahead"


@pytest.mark.parametrize("seed", range(5))
def test_a_mirrored_house_has_mirrored_sides(seed: int) -> None:
    plan = draw_plan("train", seed)
    mirrored = replace(
        plan,
        objects=tuple(replace(each, z=-each.z) for each in plan.objects),
        walls=plan.walls * np.array([1.0, -1.0]),
    )
    names = [each.kind.name for each in plan.objects]
    other = {"left": "right", "right": "left", "ahead": "ahead"}
    rng = np.random.default_rng(seed)
    for x, z, yaw in rng.uniform((-7, -7, 0), (7, 7, 360), (40, 3)):
        ours = sightings(plan, (x, 0.0, z, yaw), names)
        theirs = sightings(mirrored, (x, 0.0, -z, -yaw), names)
        assert [other[each.side] for each in ours] == [each.side for each in theirs]
        assert [each.clear for each in ours] == [each.clear for each in theirs]
        np.testing.assert_allclose([each.distance for each in ours], [each.distance for each in theirs])
