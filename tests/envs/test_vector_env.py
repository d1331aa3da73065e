"""WorldVectorEnv equals SyncVectorEnv over WorldEnvs, frame by frame, in every autoreset mode."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from PIL import Image

from bagel_world.envs import WorldEnv, WorldVectorEnv, state_to_bytes
from bagel_world.errors import ActionError, ConfigError, ImageError, StateError
from bagel_world.world.fake import FakeWorld

MODES = list(AutoresetMode)
NUM = 3


def pair(mode: AutoresetMode, num_envs: int = NUM, **settings: Any) -> tuple[WorldVectorEnv, SyncVectorEnv]:
    world = FakeWorld()
    singles = SyncVectorEnv([lambda: WorldEnv(world, **settings)] * num_envs, autoreset_mode=mode)
    return WorldVectorEnv(world, num_envs, autoreset_mode=mode, **settings), singles


def assert_equal(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        assert data_equivalence(mine, other, exact=True)


def actions_for(mode: str, generator: np.random.Generator) -> Any:
    ids, texts = generator.integers(0, 4, NUM), generator.choice(["Look left", "Move forward", "", "go on"], NUM).tolist()
    if mode == "either":
        return tuple((1, text) if place % 2 else (0, place) for place, text in zip(ids.tolist(), texts, strict=True))
    return ids if mode == "discrete" else tuple(texts)


@pytest.mark.parametrize("action_mode", ["discrete", "text", "either"])
@pytest.mark.parametrize("with_goal", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_equal_to_singles(mode: AutoresetMode, with_goal: bool, action_mode: str) -> None:
    goal = FakeWorld().starts[0].frames[0]
    defaults = {"goal_image": goal} if with_goal else None
    vector, singles = pair(mode, horizon=5, action_mode=action_mode, reset_options=defaults, success_distance=0.6)
    assert_equal(vector.reset(seed=7), singles.reset(seed=7))
    generator = np.random.default_rng(1)
    ends = 0
    for _ in range(40):
        actions = actions_for(action_mode, generator)
        ours, theirs = vector.step(actions), singles.step(actions)
        assert_equal(ours, theirs)
        over = ours[2] | ours[3]
        ends += int(over.sum())
        if mode is AutoresetMode.DISABLED and over.any():
            options = {"reset_mask": over}
            assert_equal(vector.reset(options=dict(options)), singles.reset(options=dict(options)))
    assert ends >= 18
    assert_equal(vector.reset(), singles.reset())


@pytest.mark.parametrize("mode", MODES)
def test_resets_with_options_and_seeds(mode: AutoresetMode) -> None:
    vector, singles = pair(mode, horizon=4)
    image = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    for seed, options in [
        ([5, 1, 9], {"image": image}),
        ([2, None, 4], {}),
        (None, {"goal_image": image}),
        (3, {"reset_mask": np.array([True, False, True])}),
        (None, {"reset_mask": np.array([False, True, False]), "goal_image": image}),
    ]:
        assert_equal(vector.reset(seed=seed, options=dict(options)), singles.reset(seed=seed, options=dict(options)))
        assert_equal(vector.step(np.array([0, 1, 2])), singles.step(np.array([0, 1, 2])))


def test_a_state_begins_all_of_them() -> None:
    vector, singles = pair(AutoresetMode.NEXT_STEP)
    env = WorldEnv(FakeWorld())
    env.reset(seed=4)
    env.step(1)
    state = state_to_bytes(env.get_state())
    for seed in (None, 12):
        assert_equal(vector.reset(seed=seed, options={"state": state}), singles.reset(seed=seed, options={"state": state}))
        assert_equal(vector.step(np.array([3, 3, 3])), singles.step(np.array([3, 3, 3])))
    first, second, third = vector.step(np.array([3, 3, 3]))[0]
    assert not np.array_equal(first, second)
    assert not np.array_equal(second, third)


def test_thoughts_and_callables_equal_too() -> None:
    vector, singles = pair(AutoresetMode.SAME_STEP, horizon=3, think=True, reward=lambda frame, goal: frame.mean() / 255)
    assert_equal(vector.reset(seed=2), singles.reset(seed=2))
    for step in range(8):
        actions = np.array([step % 4, 1, 2])
        assert_equal(vector.step(actions), singles.step(actions))


def test_one_call_of_the_world_per_step() -> None:
    world = FakeWorld()
    vector = WorldVectorEnv(world, 16)
    vector.reset(seed=0)
    calls = world.model_calls
    vector.step(np.zeros(16, int))
    assert world.model_calls == calls + 1


def test_one_step_of_a_batch_is_near_the_singles(make: Callable[..., WorldEnv], checkpoint: str) -> None:
    env = make()
    vector = gym.make_vec("BagelNavigate-v0", num_envs=4, checkpoint=checkpoint)
    observations, _ = vector.reset(seed=3)
    frames, *_ = vector.step(np.array([0, 1, 2, 3]))
    for place in range(4):
        np.testing.assert_array_equal(env.reset(seed=3 + place)[0], observations[place])
        frame = env.step(place)[0]
        assert np.mean(frame == frames[place]) >= 0.999
        assert np.abs(frame.astype(int) - frames[place]).max() <= 1


def test_the_callers_options_stay_as_they_are() -> None:
    vector, _ = pair(AutoresetMode.DISABLED)
    vector.reset(seed=0)
    mask = np.array([True, False, True])
    options = {"reset_mask": mask}
    vector.reset(options=options)
    assert options == {"reset_mask": mask}


def test_disabled_refuses_to_step_what_is_over() -> None:
    vector, _ = pair(AutoresetMode.DISABLED, horizon=1)
    vector.reset(seed=0)
    vector.step(np.array([3, 3, 3]))
    with pytest.raises(ResetNeeded):
        vector.step(np.array([3, 3, 3]))


def test_a_bad_action_moves_nobody() -> None:
    vector, singles = pair(AutoresetMode.NEXT_STEP)
    vector.reset(seed=0)
    singles.reset(seed=0)
    for bad in ([0, 1, 4], [0, 1], 3, "Stay", None, np.array([0.5, 0, 0]), [None] * 3):
        with pytest.raises(ActionError):
            vector.step(bad)
    assert_equal(vector.step(np.array([0, 1, 2])), singles.step(np.array([0, 1, 2])))


@pytest.mark.parametrize("mask", [[True, False, True], np.array([1, 0, 1]), np.array([True]), np.zeros(3, bool)])
def test_bad_masks(mask: Any) -> None:
    vector, _ = pair(AutoresetMode.DISABLED)
    vector.reset(seed=0)
    with pytest.raises(ConfigError, match="reset_mask"):
        vector.reset(options={"reset_mask": mask})


def test_bad_settings() -> None:
    with pytest.raises(ConfigError, match="NextStep"):
        WorldVectorEnv(FakeWorld(), 2, autoreset_mode="next")
    with pytest.raises(ConfigError, match="num_envs"):
        WorldVectorEnv(FakeWorld(), 0)
    vector, _ = pair(AutoresetMode.NEXT_STEP)
    with pytest.raises(ResetNeeded):
        vector.step(np.array([0, 0, 0]))
    with pytest.raises(ConfigError, match="seed"):
        vector.reset(seed=[1, 2])


def test_spaces_and_metadata() -> None:
    vector, singles = pair(AutoresetMode.SAME_STEP)
    assert vector.observation_space == singles.observation_space
    assert vector.action_space == singles.action_space
    assert vector.single_observation_space == singles.single_observation_space
    assert vector.single_action_space == singles.single_action_space
    assert vector.metadata == singles.metadata
    assert vector.reset(seed=0)[0] in vector.observation_space


def test_rendering_in_every_mode(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    frames = WorldVectorEnv(FakeWorld(), 2, render_mode="rgb_array")
    observations, _ = frames.reset(seed=0)
    rendered = frames.render()
    assert isinstance(rendered, tuple)
    np.testing.assert_array_equal(np.stack(rendered), observations)
    texts = WorldVectorEnv(FakeWorld(), 2, render_mode="ansi")
    texts.reset(seed=0)
    assert [type(text) for text in texts.render() or ()] == [str, str]
    human = WorldVectorEnv(FakeWorld(), 2, render_mode="human")
    human.reset(seed=0)
    assert human.render() is None
    assert "\u2580" in capsys.readouterr().out
    human.close()


@pytest.mark.parametrize("mode", MODES)
def test_seeds_are_told_as_their_own_tells_them(mode: AutoresetMode) -> None:
    vector, singles = pair(mode)
    vector.reset(seed=7)
    singles.reset(seed=7)
    assert vector.np_random_seed == singles.np_random_seed == (7, 8, 9)
    vector.reset()
    assert vector.np_random_seed == (7, 8, 9)
    with pytest.raises(ConfigError, match="whole number"):
        vector.reset(seed=1.5)  # type: ignore[arg-type]


def test_a_next_episode_that_cannot_begin_leaves_all_walks_where_they_were(tmp_path: Path) -> None:
    picture = tmp_path / "start.png"
    Image.fromarray(FakeWorld().starts[0].frames[0]).save(picture)
    vector = WorldVectorEnv(FakeWorld(), 2, autoreset_mode="SameStep", horizon=2, reset_options={"image": str(picture)})
    vector.reset(seed=0)
    vector.step([0, 0])
    before = state_to_bytes(vector.get_state())
    picture.rename(tmp_path / "gone.png")
    with pytest.raises(ImageError):
        vector.step([1, 1])
    assert state_to_bytes(vector.get_state()) == before
    (tmp_path / "gone.png").rename(picture)
    *_, truncated, _ = vector.step([1, 1])
    assert truncated.all()


def test_a_walk_that_is_over_cannot_begin_where_none_ever_stands_at_its_end() -> None:
    single = WorldEnv(FakeWorld(), horizon=1)
    single.reset(seed=0)
    single.step(0)
    vector = WorldVectorEnv(FakeWorld(), 2, autoreset_mode="SameStep")
    with pytest.raises(StateError, match="SameStep"):
        vector.reset(options={"state": single.get_state()})


def test_a_copy_goes_its_own_way_through_the_same_world() -> None:
    vector = WorldVectorEnv(FakeWorld(), 2)
    vector.reset(seed=3)
    twin = copy.deepcopy(vector)
    assert twin.world is vector.world
    assert_equal(vector.step([0, 1]), twin.step([0, 1]))
    vector.step([1, 1])
    state = vector.get_state()
    twin.reset(seed=9)
    assert state_to_bytes(vector.get_state()) == state_to_bytes(state)


def test_states_of_many_walks_say_what_they_are() -> None:
    vector, single = WorldVectorEnv(FakeWorld(), 2), WorldEnv(FakeWorld())
    vector.reset(seed=0)
    single.reset(seed=0)
    state = vector.get_state()
    for refused in (lambda: single.set_state(state), lambda: vector.set_state(state, place=0)):
        with pytest.raises(StateError, match="vector environment"):
            refused()
    single.set_state(state["states"][0])
