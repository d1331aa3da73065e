"""Watching what happens next: intervals that add up, words that steer, one or several first frames."""

from __future__ import annotations

import numpy as np
import pytest

from bagel_world.actions import ROLLOUT_WORDS
from bagel_world.envs import RolloutEnv, WorldEnv
from bagel_world.world.fake import FakeWorld
from bagel_world.world.fake_views import move_view


def test_intervals_add_up() -> None:
    frames = []
    for actions in ([0, 0, 0, 0], [1, 1], [2]):
        env = WorldEnv(FakeWorld(task="rollout", noise=0))
        env.reset(seed=0)
        frames.append([env.step(action)[0] for action in actions][-1])
    np.testing.assert_array_equal(frames[0], frames[1])
    np.testing.assert_array_equal(frames[0], frames[2])


def test_words_steer() -> None:
    env = RolloutEnv(checkpoint="fake", action_mode="text")
    start, _ = env.reset(seed=0)
    waited, steered = env.branch(["Wait two moments", "A red ball rolls in."])
    assert (waited.action.id, steered.action.id) == (1, None)
    fallen = move_view(start, "Wait two moments").astype(int)
    assert np.abs(waited.frame - fallen).max() <= 1
    assert np.abs(steered.frame - fallen).max() > 1


@pytest.mark.parametrize("count", [1, 3])
def test_one_or_several_first_frames(count: int) -> None:
    start = FakeWorld(task="rollout", seed=5).starts[0]
    history = {"frames": start.frames[:count], "actions": [action.text for action in start.actions[: count - 1]]}
    env = RolloutEnv(checkpoint="fake")
    frame, info = env.reset(options={"history": history})
    np.testing.assert_array_equal(frame, start.frames[count - 1])
    assert info["context_frames"] == count
    assert {action.text for action in start.actions} <= set(ROLLOUT_WORDS)


def test_starting_episodes_show_as_many_frames_as_asked() -> None:
    for count in (1, 2):
        _, info = RolloutEnv(checkpoint="fake", start_frames=count).reset(seed=0)
        assert info["context_frames"] == count
