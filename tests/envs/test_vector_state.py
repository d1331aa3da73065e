"""States and branches of many walks: what is saved goes on frame for frame, as a whole, walk by walk, and from single ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode

from bagel_world.envs import WorldEnv, WorldVectorEnv, state_from_bytes, state_to_bytes
from bagel_world.errors import ActionError, StateError
from bagel_world.world.fake import FakeWorld

MODES = list(AutoresetMode)
NUM, HORIZON = 3, 4


def build(mode: AutoresetMode = AutoresetMode.NEXT_STEP, num_envs: int = NUM, **settings: Any) -> WorldVectorEnv:
    return WorldVectorEnv(FakeWorld(), num_envs, autoreset_mode=mode, **{"horizon": HORIZON, **settings})


def go_on(env: WorldVectorEnv, steps: int, seed: int = 0) -> list[tuple[Any, ...]]:
    """Random steps; with autoreset switched off, the walks that end begin again at once."""
    generator = np.random.default_rng(seed)
    shown = []
    for _ in range(steps):
        shown.append(env.step(generator.integers(0, 4, env.num_envs)))
        over = shown[-1][2] | shown[-1][3]
        if env.autoreset_mode is AutoresetMode.DISABLED and over.any():
            shown.append(env.reset(options={"reset_mask": over}))
    return shown


def assert_equal(ours: list[tuple[Any, ...]], theirs: list[tuple[Any, ...]]) -> None:
    assert data_equivalence(ours, theirs, exact=True)


def stagger(env: WorldVectorEnv) -> None:
    """Walks of different lengths, so that they end at different steps."""
    env.reset(seed=3)
    single = WorldEnv(env.world, horizon=HORIZON)
    for place in range(1, env.num_envs):
        single.reset(seed=3 + place)
        for action in range(place):
            single.step(action)
        env.set_state(single.get_state(), place=place)


@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize("before", range(1, 6))
@pytest.mark.parametrize("mode", MODES)
def test_a_restored_vector_equals_an_unbroken_one(mode: AutoresetMode, before: int, as_bytes: bool) -> None:
    env, other = build(mode), build(mode)
    stagger(env)
    go_on(env, before)
    state: Any = env.get_state()
    shown = go_on(env, 3 * HORIZON, seed=1)
    assert sum(int((step[2] | step[3]).sum()) for step in shown if len(step) == 5) >= 2 * NUM
    other.reset(seed=99)
    other.set_state(state_to_bytes(state) if as_bytes else state)
    assert_equal(go_on(other, 3 * HORIZON, seed=1), shown)
    assert_equal([other.reset()], [env.reset()])


def test_an_end_that_waits_for_its_reset_is_in_the_state() -> None:
    env, other = build(), build()
    env.reset(seed=0)
    go_on(env, HORIZON)
    assert [env.get_state(place)["over"] for place in range(NUM)] == [True] * NUM
    other.set_state(env.get_state())
    frames, rewards, *flags, _ = other.step(np.zeros(NUM, int))
    np.testing.assert_array_equal(frames, env.step(np.zeros(NUM, int))[0])
    assert [env.get_state(place)["step"] for place in range(NUM)] == [0] * NUM
    assert not rewards.any()
    assert not np.any(flags)


def test_walks_go_from_single_environments_to_places_and_back() -> None:
    env, single = build(), WorldEnv(FakeWorld(), horizon=HORIZON)
    env.reset(seed=5)
    single.reset(seed=50, options={"goal_image": FakeWorld().starts[0].frames[0]})
    single.step(1)
    others = [state_to_bytes(env.get_state(place)) for place in (0, 2)]
    env.set_state(state_to_bytes(single.get_state()), place=1)
    assert [state_to_bytes(env.get_state(place)) for place in (0, 2)] == others
    frames, rewards, *_ = env.step(np.array([0, 2, 3]))
    frame, reward, *_ = single.step(2)
    np.testing.assert_array_equal(frames[1], frame)
    assert rewards[1] == reward
    back = WorldEnv(FakeWorld(), horizon=HORIZON)
    back.set_state(env.get_state(1))
    np.testing.assert_array_equal(back.step(0)[0], single.step(0)[0])
    np.testing.assert_array_equal(back.reset()[0], single.reset()[0])


def test_seeds_draw_other_futures_for_all_or_for_some() -> None:
    env = build(num_envs=2)
    env.reset(seed=0)
    env.set_state(env.get_state(0), place=1)
    state = env.get_state()

    def future(reseed: Any) -> np.ndarray:
        env.set_state(state, reseed=reseed)
        return env.step(np.array([3, 3]))[0]

    saved = future(None)
    np.testing.assert_array_equal(saved[0], saved[1])
    counted = future(7)
    np.testing.assert_array_equal(counted, future([7, 8]))
    assert not np.array_equal(counted[0], counted[1])
    np.testing.assert_array_equal(future([7, None])[1], saved[1])
    single = WorldEnv(FakeWorld())
    single.set_state(state["states"][0], reseed=7)
    np.testing.assert_array_equal(single.step(3)[0], counted[0])
    env.set_state(state["states"][0], place=1, reseed=7)
    np.testing.assert_array_equal(env.step(np.array([3, 3]))[0][1], counted[0])


BAD_STATES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "nothing": lambda state: None,
    "a number": lambda state: 3,
    "empty bytes": lambda state: b"",
    "cut bytes": lambda state: state_to_bytes(state)[:-100],
    "a single walk": lambda state: state["states"][0],
    "too few": lambda state: {**state, "states": state["states"][:2]},
    "no list": lambda state: {**state, "states": {"0": 1}},
    "another version": lambda state: {**state, "version": 0},
    "another mode": lambda state: {**state, "autoreset_mode": "SameStep"},
    "the last one damaged": lambda state: {**state, "states": [*state["states"][:2], {**state["states"][2], "context": {}}]},
    "the last one of other weights": lambda state: {
        **state,
        "states": [*state["states"][:2], {**state["states"][2], "weights": "x"}],
    },
    "the last one without words": lambda state: {
        **state,
        "states": [*state["states"][:2], {**state["states"][2], "generator": {"bit_generator": "MT19937"}}],
    },
}


@pytest.mark.parametrize("name", BAD_STATES)
def test_a_state_that_does_not_fit_changes_nothing(name: str) -> None:
    env = build()
    env.reset(seed=1)
    go_on(env, 2)
    before = state_to_bytes(env.get_state())
    earlier = build()
    earlier.reset(seed=8)
    with pytest.raises(StateError):
        env.set_state(BAD_STATES[name](earlier.get_state()))
    assert state_to_bytes(env.get_state()) == before


@pytest.mark.parametrize("reseed", [-1, 1.5, "7", True, [1, 2], [1, 2, "3"], [1, 2, -3]])
def test_a_wrong_seed_changes_nothing(reseed: Any) -> None:
    env = build()
    env.reset(seed=1)
    state = env.get_state()
    go_on(env, 1)
    before = state_to_bytes(env.get_state())
    with pytest.raises(StateError, match="seed"):
        env.set_state(state, reseed=reseed)
    with pytest.raises(StateError, match="seed"):
        env.branch(np.zeros((NUM, 2), int), reseed=reseed)
    assert state_to_bytes(env.get_state()) == before


@pytest.mark.parametrize("place", [-1, NUM, True, 1.0, "0"])
def test_a_wrong_place_is_refused(place: Any) -> None:
    env = build()
    env.reset(seed=1)
    with pytest.raises(StateError, match="place of a sub-environment"):
        env.get_state(place)
    with pytest.raises(StateError, match="place of a sub-environment"):
        env.set_state(env.get_state(0), place=place)


def test_same_step_never_stands_at_an_end() -> None:
    ended = WorldEnv(FakeWorld(), horizon=1)
    ended.reset(seed=0)
    ended.step(0)
    env = build(AutoresetMode.SAME_STEP)
    env.reset(seed=0)
    with pytest.raises(StateError, match="over"):
        env.set_state(ended.get_state(), place=1)
    build(AutoresetMode.NEXT_STEP).set_state(ended.get_state(), place=1)


def test_nothing_before_the_first_reset_but_a_state() -> None:
    env, other = build(), build()
    for call in (env.get_state, lambda: env.branch([[0]] * NUM)):
        with pytest.raises(ResetNeeded, match="reset"):
            call()
    other.reset(seed=4)
    env.set_state(other.get_state())
    assert_equal(go_on(env, 2), go_on(other, 2))


def test_branches_of_all_walks_are_those_of_single_ones_in_one_call() -> None:
    env = build(reset_options={"goal_image": FakeWorld().starts[1].frames[0]})
    env.reset(seed=2)
    go_on(env, 2)
    before, calls = state_to_bytes(env.get_state()), env.world.model_calls  # type: ignore[attr-defined]
    rows: list[list[int]] = [[0, 1, 2, 3], [2], [1, 1]]
    futures = env.branch(rows)
    assert env.world.model_calls == calls + 2, "one to imagine all futures, one to score them"  # type: ignore[attr-defined]
    assert state_to_bytes(env.get_state()) == before
    for place, row in enumerate(rows):
        single = WorldEnv(FakeWorld(), horizon=HORIZON)
        single.set_state(env.get_state(place))
        for ours, theirs in zip(futures[place], single.branch(row), strict=True):
            np.testing.assert_array_equal(ours.frame, theirs.frame)
            assert (ours.action, ours.reward, dict(ours.info)) == (theirs.action, theirs.reward, dict(theirs.info))
    square = env.branch(np.array([[0, 1], [2, 3], [1, 1]]))
    np.testing.assert_array_equal(square[0][1].frame, futures[0][1].frame)
    np.testing.assert_array_equal(square[2][0].frame, futures[2][0].frame)


def test_branches_with_seeds() -> None:
    env = build(num_envs=2)
    env.reset(seed=2)
    rows = [[3, 3], [3]]
    first, second = env.branch(rows, reseed=5), env.branch(rows, reseed=[[5, 6], None])
    np.testing.assert_array_equal(first[0][0].frame, first[0][1].frame)
    np.testing.assert_array_equal(second[0][0].frame, first[0][0].frame)
    assert not np.array_equal(second[0][0].frame, second[0][1].frame)
    np.testing.assert_array_equal(second[1][0].frame, env.branch([[], [3]])[1][0].frame)


@pytest.mark.parametrize("actions", [[0, 1, 2], [[0], [1]], [[0], [1], 2], 3, None, "Stay", ["Stay"] * 3, [[0], [1], [4]]])
def test_bad_branches(actions: Any) -> None:
    env = build()
    env.reset(seed=0)
    with pytest.raises(ActionError):
        env.branch(actions)


def test_a_walk_that_is_over_has_no_futures() -> None:
    env = build(horizon=1)
    env.reset(seed=0)
    go_on(env, 1)
    assert env.branch([[], [], []]) == [[], [], []]
    with pytest.raises(ResetNeeded):
        env.branch([[0], [], []])


def test_the_state_of_the_checkpoint_goes_on_frame_for_frame(checkpoint: str) -> None:
    """Walks of one length: a restored vector computes in the live shapes, hence the same bits."""
    env, other = (gym.make_vec("BagelNavigate-v0", num_envs=3, checkpoint=checkpoint) for _ in range(2))
    actions = [np.array(each) for each in ([0, 1, 2], [3, 0, 1], [2, 2, 0])]
    env.reset(seed=3)
    env.step(actions[0])
    state = state_from_bytes(state_to_bytes(env.unwrapped.get_state()))  # type: ignore[attr-defined]
    frames = [env.step(each)[0] for each in actions[1:]]
    other.unwrapped.set_state(state)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(np.stack([other.step(each)[0] for each in actions[1:]]), np.stack(frames))


def test_branches_of_the_checkpoint_are_near_its_steps(checkpoint: str) -> None:
    env: Any = gym.make_vec("BagelNavigate-v0", num_envs=2, checkpoint=checkpoint).unwrapped
    env.reset(seed=3)
    env.step(np.array([0, 1]))
    futures = env.branch([[0, 1, 2], [3]])
    frames, *_ = env.step(np.array([1, 3]))
    for ours, theirs in ((futures[0][1].frame, frames[0]), (futures[1][0].frame, frames[1])):
        assert np.mean(ours == theirs) >= 0.999
        assert np.abs(ours.astype(int) - theirs).max() <= 1
