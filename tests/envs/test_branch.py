"""Branches: many futures in one batch, each the very one that stepping would show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bagel_world.envs import WorldEnv
from bagel_world.errors import ActionError, StateError
from bagel_world.world.fake import FakeWorld


def test_branches_equal_steps(fake: FakeWorld) -> None:
    env = WorldEnv(fake)
    env.reset(seed=6, options={"goal_image": fake.starts[1].frames[0]})
    env.step(0)
    state = env.get_state()
    for actions in ([0, 1, 2, 3], [1], [2, 2], []):
        for action, transition in zip(actions, env.branch(actions), strict=True):
            env.set_state(state)
            frame, reward, terminated, truncated, info = env.step(action)
            np.testing.assert_array_equal(transition.frame, frame)
            assert (transition.reward, transition.terminated, transition.truncated) == (reward, terminated, truncated)
            assert dict(transition.info) == info
            assert transition.action.text == env.action_words[action]
        env.set_state(state)


def test_a_branch_is_near_its_step_and_leaves_the_episode_alone(make: Callable[..., WorldEnv]) -> None:
    env = make()
    env.reset(seed=6)
    env.step(0)
    session, generator = env.session, env.np_random.bit_generator.state
    futures = env.branch([0, 1, 2, 3])
    assert env.session is session
    assert env.np_random.bit_generator.state == generator
    frame = env.step(2)[0]
    assert np.mean(futures[2].frame == frame) >= 0.999
    assert np.abs(futures[2].frame.astype(int) - frame).max() <= 1


def test_an_episode_goes_on_to_the_bit_as_if_it_had_never_branched(make: Callable[..., WorldEnv]) -> None:
    walks = []
    for branches in (True, False):
        env = make()
        env.reset(seed=6)
        frames = []
        for action in (0, 1, 0, 2):
            if branches:
                env.branch([0, 1, 2, 3])
            frames.append(env.step(action)[0])
        walks.append((np.stack(frames), _keys(env)))
    (frames, keys), (wanted_frames, wanted_keys) = walks
    np.testing.assert_array_equal(frames, wanted_frames)
    np.testing.assert_array_equal(keys, wanted_keys)


def _keys(env: WorldEnv) -> np.ndarray[Any, Any]:
    """What a model remembers of the episode: no rounding to 8 bits hides a difference here. Nothing for the fake world."""
    context: Any = env.session.context
    return context.node.parent.full.cache.tensors()[0].numpy() if hasattr(context, "node") else np.zeros(0)


def test_all_branches_share_one_call(fake: FakeWorld) -> None:
    env = WorldEnv(fake)
    env.reset(seed=6)
    calls = fake.model_calls
    env.branch([0, 1, 2, 3] * 4)
    assert fake.model_calls == calls + 1


def test_reseed_draws_siblings_of_one_action(fake: FakeWorld) -> None:
    env = WorldEnv(fake)
    env.reset(seed=6)
    state = env.get_state()
    futures = env.branch([3, 3, 3], reseed=[1, 2, 1])
    np.testing.assert_array_equal(futures[0].frame, futures[2].frame)
    assert not np.array_equal(futures[0].frame, futures[1].frame)
    np.testing.assert_array_equal(env.branch([3], reseed=1)[0].frame, futures[0].frame)
    env.set_state(state, reseed=2)
    np.testing.assert_array_equal(env.step(3)[0], futures[1].frame)


def test_bad_branches(fake: FakeWorld) -> None:
    env = WorldEnv(fake)
    env.reset(seed=6)
    with pytest.raises(ActionError):
        env.branch([0, 4])
    with pytest.raises(StateError, match="per action"):
        env.branch([0, 1], reseed=[1])
    text = WorldEnv(fake, action_mode="text")
    frame, _ = text.reset(seed=6)
    good, bad = text.branch(["Look left", ""])
    np.testing.assert_array_equal(bad.frame, frame)
    assert (good.info["action_valid"], bad.info["action_valid"]) == (True, False)
