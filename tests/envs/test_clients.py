"""Programs nobody here wrote run unmodified: Gymnasium's vector wrappers and processes, and TorchRL."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import vector as wrappers

from bagel_world.envs import WorldEnv, WorldVectorEnv
from bagel_world.envs.registry import ENTRY_POINTS, NAVIGATE_ID
from bagel_world.world.fake import FakeWorld

NUM, HORIZON = 3, 4

WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "RecordEpisodeStatistics": wrappers.RecordEpisodeStatistics,
    "NormalizeReward": wrappers.NormalizeReward,
    "NormalizeObservation": wrappers.NormalizeObservation,
    "ClipReward": partial(wrappers.ClipReward, min_reward=-0.01, max_reward=0.01),
    "FlattenObservation": wrappers.FlattenObservation,
    "GrayscaleObservation": wrappers.GrayscaleObservation,
    "RescaleObservation": lambda env: wrappers.RescaleObservation(
        wrappers.DtypeObservation(env, np.float32), np.float32(0), np.float32(1)
    ),
    "DictInfoToList": wrappers.DictInfoToList,
}


def without_clocks(value: Any) -> Any:
    """RecordEpisodeStatistics reports the seconds an episode took."""
    if isinstance(value, dict):
        return {key: without_clocks(item) for key, item in value.items() if key not in ("t", "_t")}
    return [without_clocks(item) for item in value] if isinstance(value, list) else value


def assert_equal(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        assert data_equivalence(without_clocks(mine), without_clocks(other), exact=True)


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("name", WRAPPERS)
def test_a_vector_wrapper_sees_what_it_would_see_over_singles(name: str, mode: AutoresetMode) -> None:
    world, settings = FakeWorld(), {"horizon": HORIZON, "reset_options": {"goal_image": FakeWorld().starts[0].frames[0]}}
    bare = SyncVectorEnv([lambda: WorldEnv(world, **settings)] * NUM, autoreset_mode=mode)
    try:
        singles = WRAPPERS[name](bare)
    except ValueError:  # Gymnasium's observation wrappers refuse some modes of any environment
        with pytest.raises(ValueError, match="autoreset_mode"):
            WRAPPERS[name](WorldVectorEnv(world, NUM, autoreset_mode=mode, **settings))
        return
    native = WRAPPERS[name](WorldVectorEnv(world, NUM, autoreset_mode=mode, **settings))
    assert native.observation_space == singles.observation_space
    assert_equal(native.reset(seed=3), singles.reset(seed=3))
    generator = np.random.default_rng(0)
    for _ in range(3 * HORIZON):
        actions = generator.integers(0, 4, NUM)
        ours = native.step(actions)
        assert_equal(ours, singles.step(actions))
        if mode is AutoresetMode.DISABLED and (ours[2] | ours[3]).any():
            # Of all: SyncVectorEnv takes the mask out of the options, so that its wrappers see no other kind of reset.
            masks = [{"reset_mask": np.ones(NUM, np.bool_)} for _ in range(2)]
            assert_equal(native.reset(options=masks[0]), singles.reset(options=masks[1]))


def test_statistics_of_an_episode_are_the_sum_of_its_rewards() -> None:
    goal = {"goal_image": FakeWorld().starts[1].frames[0]}
    env = wrappers.RecordEpisodeStatistics(WorldVectorEnv(FakeWorld(), 2, horizon=3, reset_options=goal, success_distance=0.0))
    env.reset(seed=0)
    rewards = []
    for action in (1, 0, 2):
        _, reward, _, truncated, infos = env.step(np.array([action, action]))
        rewards.append(reward)
    assert truncated.all()
    assert infos["episode"]["l"].tolist() == [3, 3]
    np.testing.assert_allclose(infos["episode"]["r"], np.sum(rewards, axis=0))
    assert np.abs(infos["episode"]["r"]).min() > 0


def test_statistics_of_the_others_outlive_a_reset_of_one() -> None:
    bare = WorldVectorEnv(FakeWorld(), 2, horizon=3, autoreset_mode=AutoresetMode.DISABLED)
    env = wrappers.RecordEpisodeStatistics(bare)
    env.reset(seed=0)
    env.step(np.array([1, 1]))
    env.reset(options={"reset_mask": np.array([True, False])})
    env.step(np.array([1, 1]))
    infos = env.step(np.array([1, 1]))[-1]
    assert infos["_episode"].tolist() == [False, True]
    assert infos["episode"]["l"].tolist() == [0, 3]


@pytest.mark.parametrize("render_mode", [None, "rgb_array", "human", "ansi"])
@pytest.mark.parametrize("action_mode", ["discrete", "text", "either"])
@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_gymnasium_check_env(name: str, action_mode: str, render_mode: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    env = gym.make(name, checkpoint="fake", action_mode=action_mode, render_mode=render_mode)
    check_env(env.unwrapped)


@pytest.mark.parametrize("action_mode", ["discrete", "text", "either"])
@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_gymnasium_check_env_with_everything_on(name: str, action_mode: str) -> None:
    goal = {"goal_text": "the red side"}
    settings = {"think": True, "consistency": True, "consistency_redraws": 1, "reset_options": goal}
    check_env(gym.make(name, checkpoint="fake", action_mode=action_mode, **settings).unwrapped)


@pytest.mark.slow
def test_singles_in_processes_of_their_own_equal_singles_in_this_one(checkpoint: str) -> None:
    make = partial(gym.make, f"bagel_world:{NAVIGATE_ID}", checkpoint=checkpoint, horizon=2)
    processes = AsyncVectorEnv([make] * 2, context="spawn")
    singles = SyncVectorEnv([make] * 2)
    try:
        assert_equal(processes.reset(seed=5), singles.reset(seed=5))
        for actions in ([0, 1], [2, 3], [1, 1], [0, 2]):
            assert_equal(processes.step(np.array(actions)), singles.step(np.array(actions)))
    finally:
        processes.close()


@pytest.mark.parametrize("action_mode", ["discrete", "text"])
def test_torchrl_check_env_specs(checkpoint: str, action_mode: str) -> None:
    envs = pytest.importorskip("torchrl.envs")
    checks = pytest.importorskip("torchrl.envs.utils")
    env = envs.GymEnv(NAVIGATE_ID, checkpoint=checkpoint, action_mode=action_mode, horizon=4)
    checks.check_env_specs(env)
    walk = env.rollout(10)
    assert walk.batch_size == (4,)
    assert walk["next", "truncated"].flatten().tolist() == [False, False, False, True]


@pytest.mark.parametrize("action_mode", ["discrete", "text"])
def test_a_torchrl_rollout_shows_the_frames_of_the_environment(checkpoint: str, action_mode: str) -> None:
    torch = pytest.importorskip("torch")
    envs = pytest.importorskip("torchrl.envs")
    tensordict = pytest.importorskip("tensordict")
    actions: list[Any] = [0, 1, 2] if action_mode == "discrete" else ["Move forward", "Look left", "go back"]
    single = gym.make(NAVIGATE_ID, checkpoint=checkpoint, action_mode=action_mode)
    frames = [single.reset(seed=7)[0], *(single.step(action)[0] for action in actions)]
    env = envs.GymEnv(NAVIGATE_ID, checkpoint=checkpoint, action_mode=action_mode, categorical_action_encoding=True)
    step = env.reset(seed=7)
    shown = [step["pixels"].numpy()]
    for action in actions:
        said = torch.tensor(action) if action_mode == "discrete" else tensordict.NonTensorData(action)
        step = envs.step_mdp(env.step(step.set("action", said)))
        shown.append(step["pixels"].numpy())
    np.testing.assert_array_equal(np.stack(shown), np.stack(frames))
