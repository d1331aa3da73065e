"""The functional form walks as the environment does, and its states are values."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.experimental.functional import FuncEnv

from bagel_world.envs import WorldEnv
from bagel_world.envs.functional import WorldFuncEnv
from bagel_world.world.fake import FakeWorld

GOAL = {"goal_image": FakeWorld().starts[1].frames[0]}


def test_it_walks_as_the_environment_does() -> None:
    env, functions = WorldEnv(FakeWorld(), horizon=4), WorldFuncEnv(FakeWorld(), horizon=4)
    assert isinstance(functions, FuncEnv)
    frame, info = env.reset(seed=3, options=GOAL)
    state = functions.initial(np.random.Generator(np.random.PCG64(np.random.SeedSequence(3))), GOAL)
    np.testing.assert_array_equal(functions.observation(state), frame)
    assert functions.state_info(state) == info
    for action in (0, 1, 2, 3):
        frame, reward, terminated, _, _ = env.step(action)
        after = functions.transition(state, action)
        np.testing.assert_array_equal(functions.observation(after), frame)
        assert functions.reward(state, action, after) == reward
        assert functions.terminal(after) is terminated
        state = after
    with pytest.raises(ResetNeeded):
        functions.transition(state, 0)


def test_states_are_values_and_generators_draw_other_futures() -> None:
    functions = WorldFuncEnv(FakeWorld())
    state = functions.initial(np.random.default_rng(0))
    before = functions.observation(state)
    first, again = functions.transition(state, 3), functions.transition(state, 3)
    np.testing.assert_array_equal(first.frame, again.frame)
    drawn = [functions.transition(state, 3, np.random.default_rng(seed)).frame for seed in (1, 1, 2)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    assert not np.array_equal(drawn[0], first.frame)
    functions.observation(state)[:] = 0
    np.testing.assert_array_equal(functions.observation(state), before)


def test_the_goal_is_terminal() -> None:
    functions = WorldFuncEnv(FakeWorld(noise=0))
    start = FakeWorld().starts[0].frames[0]
    state = functions.initial(np.random.default_rng(0), {"image": start, "goal_image": start})
    assert functions.terminal(state)
    assert not functions.terminal(functions.transition(functions.initial(np.random.default_rng(0), GOAL), 1))
