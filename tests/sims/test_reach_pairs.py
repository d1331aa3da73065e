"""Pairs that teach reach, from walks whose poses are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bagel_world.actions import NAVIGATE_WORDS, action_from_id
from bagel_world.errors import RecordingError
from bagel_world.sims.geodesic import Geodesic
from bagel_world.sims.house import draw_start
from bagel_world.sims.plans import draw_plan
from bagel_world.sims.reach_pairs import CELL, reach_pairs
from bagel_world.types import Episode

STEPS = 5


def walk(seed: int, number: int = 0) -> Episode:
    """Poses all over a house; nobody looks at the pictures."""
    plan = draw_plan("train", seed)
    rng = np.random.default_rng((seed, number))
    poses = np.stack([draw_start(plan, rng) for _ in range(STEPS + 1)])
    seen = tuple(tuple(plan.objects[place].kind.name for place in plan.sees(x, z, yaw)) for x, _, z, yaw in poses)
    return Episode(
        frames=np.zeros((STEPS + 1, 8, 8, 3), np.uint8),
        actions=(action_from_id(3, NAVIGATE_WORDS),) * STEPS,
        poses=poses,
        visible=seen,
        metadata={"split": "train", "seed": seed, "episode_id": f"{seed}-{number}"},
    )


def names(*seeds: int) -> list[str]:
    return sorted({each.kind.name for seed in seeds for each in draw_plan("train", seed).objects})


def test_distances_are_those_of_the_house() -> None:
    episode = walk(3)
    pictures, objects = reach_pairs([episode], names(3), goals=2)
    plan = draw_plan("train", 3)
    ways, poses = Geodesic(plan, cell=CELL), np.asarray(episode.poses)
    assert len(pictures) == 2 * (STEPS + 1)
    assert pictures.names == ()
    for frame, goal, meters in zip(pictures.frames, pictures.goals, pictures.meters, strict=True):
        field = ways.to_point(poses[goal, 0], poses[goal, 2])
        assert meters == pytest.approx(ways.at(field, poses[frame, 0], poses[frame, 2]), rel=1e-5)
    assert len(objects) == len(plan.objects) * (STEPS + 1)
    assert {objects.names[goal] for goal in objects.goals} == {each.kind.name for each in plan.objects}
    assert objects.visible.any()
    assert not pictures.visible.any()


def test_bearings_are_positive_to_the_left() -> None:
    episode = walk(5)
    plan = draw_plan("train", 5)
    target = plan.objects[0]
    pose = np.asarray(episode.poses)[0]
    toward = np.rad2deg(np.arctan2(pose[2] - target.z, target.x - pose[0]))
    turned = np.tile([pose[0], 0.0, pose[2], toward - 90.0], (STEPS + 1, 1))  # the object is to the left
    _, objects = reach_pairs([replace(episode, poses=turned)], names(5))
    own = objects.bearings[objects.goals == objects.names.index(target.kind.name)]
    assert own == pytest.approx(np.full(STEPS + 1, np.pi / 2), abs=1e-3)


def test_goals_come_from_all_walks_of_a_house_and_from_no_other() -> None:
    walks = [walk(3, 0), walk(3, 1), walk(4, 0)]
    pictures, objects = reach_pairs(walks, names(3, 4), goals=6)
    for pairs in (pictures, objects):
        assert set(pairs.houses.tolist()) == set(range(len({each.metadata["seed"] for each in walks})))
        assert all(len(set(pairs.houses[pairs.frames == frame].tolist())) == 1 for frame in set(pairs.frames.tolist()))
    house_of = np.repeat([3, 3, 4], STEPS + 1)
    assert (house_of[pictures.frames] == house_of[pictures.goals]).all()
    walk_of = np.repeat([0, 1, 2], STEPS + 1)
    assert (walk_of[pictures.frames] != walk_of[pictures.goals]).any()
    assert set(pictures.frames.tolist()) == set(range(3 * (STEPS + 1)))


def test_a_seed_decides_which_pictures_are_goals() -> None:
    one, same, other = (reach_pairs([walk(3)], names(3), goals=2, seed=seed)[0] for seed in (0, 0, 1))
    assert (one.goals == same.goals).all()
    assert set(one.goals.tolist()) != set(other.goals.tolist())


def test_objects_without_a_name_to_learn_are_left_out() -> None:
    _, objects = reach_pairs([walk(3)], names(3)[:1])
    assert objects.names == tuple(names(3)[:1])
    assert set(objects.goals.tolist()) <= {0}


def test_footage_of_something_else_is_refused() -> None:
    with pytest.raises(RecordingError, match="walk through a house"):
        reach_pairs([replace(walk(3), metadata={})], names(3))
    with pytest.raises(RecordingError, match="poses"):
        reach_pairs([replace(walk(3), poses=None)], names(3))
    with pytest.raises(RecordingError, match="in view"):
        reach_pairs([replace(walk(3), visible=None)], names(3))


def test_nothing_gives_nothing() -> None:
    pictures, objects = reach_pairs([], ["duck"])
    assert (len(pictures), len(objects)) == (0, 0)
