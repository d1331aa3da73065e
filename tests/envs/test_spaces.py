"""What counts as an action, in every mode."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from bagel_world.actions import MAX_TEXT_LENGTH, NAVIGATE_WORDS
from bagel_world.envs import WorldEnv, WorldVectorEnv
from bagel_world.envs.spaces import action_space, read_action
from bagel_world.errors import ActionError
from bagel_world.types import Action
from bagel_world.world.fake import FakeWorld


def test_the_space_of_either_is_one_of_the_two_others() -> None:
    ids, text = action_space("discrete", NAVIGATE_WORDS), action_space("text", NAVIGATE_WORDS)
    assert action_space("either", NAVIGATE_WORDS) == gym.spaces.OneOf((ids, text))


def test_samples_of_every_mode_can_be_read() -> None:
    for mode in ("discrete", "text", "either"):
        space = action_space(mode, NAVIGATE_WORDS)
        space.seed(3)
        kinds = set()
        for _ in range(40):
            reading = read_action(space.sample(), mode, NAVIGATE_WORDS)
            kinds.add(reading.action is not None and reading.action.id is not None)
        assert kinds == {"discrete": {True}, "text": {False}, "either": {True, False}}[mode]


@pytest.mark.parametrize(
    "action", [1, np.int64(1), "look LEFT ", (0, 1), (np.int64(0), np.int64(1)), (1, "Look left"), [1, "Look left"]]
)
def test_either_understands_pairs_and_bare_actions(action: Any) -> None:
    assert read_action(action, "either", NAVIGATE_WORDS).action == Action(text="Look left", id=1)


@pytest.mark.parametrize(
    "action", [(2, "Look left"), (0,), (0, 1, 2), (True, "Look left"), ("1", "Look left"), (), (0, "Look left"), (0, 4), 4, None]
)
def test_what_is_neither_raises(action: Any) -> None:
    with pytest.raises(ActionError, match="Expected an action"):
        read_action(action, "either", NAVIGATE_WORDS)


@pytest.mark.parametrize("action", [(1, ""), (1, 3), "", (1, "a" * (MAX_TEXT_LENGTH + 1))])
def test_bad_text_is_explained(action: Any) -> None:
    reading = read_action(action, "either", NAVIGATE_WORDS)
    assert reading.action is None
    assert "Expected" in (reading.error or "")


def test_either_steps_like_the_two_others() -> None:
    frames = []
    for mode, actions in (
        ("discrete", [1, 0, 3]),
        ("text", (*NAVIGATE_WORDS[1::-1], "Stay")),
        ("either", [(0, 1), (1, "Move forward"), 3]),
    ):
        env = WorldEnv(FakeWorld(), action_mode=mode)
        env.reset(seed=5)
        frames.append(np.stack([env.step(action)[0] for action in actions]))
        futures = env.branch([*actions])
        assert [future.action.id for future in futures] == [1, 0, 3]
    np.testing.assert_array_equal(frames[0], frames[1])
    np.testing.assert_array_equal(frames[0], frames[2])


def test_the_vector_space_of_either_is_a_tuple() -> None:
    envs = WorldVectorEnv(FakeWorld(), 2, action_mode="either")
    assert envs.action_space == gym.spaces.Tuple((envs.single_action_space, envs.single_action_space))
    envs.reset(seed=0)
    info = envs.step(((0, 2), (1, "")))[-1]
    assert info["action_text"].tolist() == ["Look right", None]
    assert info["action_valid"].tolist() == [True, False]
