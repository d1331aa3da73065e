from __future__ import annotations

from contextlib import closing
from typing import Any, cast

import numpy as np
import pytest

from bagel_world.errors import StateError
from bagel_world.evaluation.closed.oracle_world import OracleWorld, moved
from bagel_world.sims.house import House, draw_start
from bagel_world.sims.plans import draw_plan
from bagel_world.types import Thought
from bagel_world.world.fake import FakeWorld
from tests.evaluation.closed.paper_house import PaperHouse, read_pose

WORDS = ("Look left", "Move forward", "Move forward", "Stay", "Look right", "Move forward", "Look right")


def begun(house: Any, seed: int = 0) -> tuple[OracleWorld, Any]:
    plan = draw_plan("test", 7)
    frame, _ = house.reset(options={"house": 7, "pose": draw_start(plan, np.random.default_rng(seed))})
    world = OracleWorld(cast(House, house), FakeWorld())
    return world, world.observe(frame)


def test_it_imagines_what_will_really_come_and_leaves_the_agent_where_it_is() -> None:
    house = PaperHouse()
    for seed in range(6):
        world, context = begun(house, seed)
        before = house.at
        imagined = context
        for word in WORDS:
            (imagined,) = world.advance([imagined.say(word)], seeds=[0])
            assert house.at == before
        for word, expected in zip(WORDS, imagined.frames[1:], strict=True):
            np.testing.assert_array_equal(house.step(house.action_words.index(word))[0], expected)


def test_what_really_came_is_seen_from_where_it_really_was() -> None:
    house = PaperHouse()
    world, context = begun(house)
    frame = house.step(0)[0]
    context = context.say("Move forward").observe(frame)
    np.testing.assert_array_equal(context.pose, house.pose)
    (after,) = world.imagine([context.say("Look left")], seeds=[5])
    np.testing.assert_allclose(read_pose(after), house.pose + np.array([0, 0, 0, 30.0]))


def test_several_words_are_done_one_after_the_other_and_thoughts_not_at_all() -> None:
    world, context = begun(PaperHouse())
    (one,) = world.imagine([context.say(Thought(text="hm")).say("Look left").say("Look left")], seeds=[0])
    assert read_pose(one)[3] == (context.pose[3] + 60) % 360


def test_nobody_walks_through_walls() -> None:
    plan = draw_plan("test", 7)
    for seed in range(20):
        x, y, z, yaw = draw_start(plan, np.random.default_rng(seed)).tolist()
        pose = (x, y, z, yaw)
        for _ in range(40):
            pose = moved(plan, pose, "Move forward")
        assert plan.is_free(pose[0], pose[2])
        assert moved(plan, pose, "Move forward") == pose


def test_eyes_are_the_seer_s_and_actions_are_known_for_sure() -> None:
    world, context = begun(PaperHouse())
    frames = list(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8))
    assert world.similarity(frames, frames[::-1]) == FakeWorld().similarity(frames, frames[::-1])
    (after,) = world.imagine([context.say("Look right")], seeds=[0])
    chances = world.explain([context], [after], words=["Look left", "Look right", "Stay"], seeds=[0])
    np.testing.assert_array_equal(chances, [[0, 1, 0]])
    assert world.can_write == FakeWorld().can_write


def test_a_state_brings_the_context_back() -> None:
    world, context = begun(PaperHouse())
    context = context.say("Look left")
    again = world.restore(context.get_state())
    assert (again.pose, again.said) == (context.pose, context.said)
    with pytest.raises(StateError, match="pose"):
        world.restore({"frames": [], "said": []})


@pytest.mark.sims
def test_in_a_real_house_it_is_right_to_the_pixel() -> None:
    with closing(House(split="test", size=(48, 48))) as house:
        world, context = begun(house)
        contexts = [context.say(word) for word in ("Move forward", "Look left", "Look right", "Stay")]
        imagined = world.imagine(contexts, seeds=[0] * 4)
        start = house.pose
        for action, frame in enumerate(imagined):
            house.set_pose(start)
            np.testing.assert_array_equal(house.step(action)[0], frame)
