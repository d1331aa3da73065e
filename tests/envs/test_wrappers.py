"""Wrappers show what they promise, pass check_env, and let states and branches through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import imageio.v3 as iio
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from PIL import Image

from bagel_world.cli import main
from bagel_world.envs import WorldEnv, state_from_bytes, state_to_bytes
from bagel_world.envs.registry import NAVIGATE_ID
from bagel_world.envs.wrappers import FrameHistory, Recorder, Resize, TimeLimit
from bagel_world.errors import ConfigError, StateError
from bagel_world.types import Transition
from bagel_world.world.fake import FakeWorld
from bagel_world.world.record import load_episode
from bagel_world.world.replay import replay
from bagel_world.world.weights import shipped
from tests.envs.conftest import walk

KINDS = ("limit", "history", "resize", "recorder", "all")


@pytest.fixture
def wrap(tmp_path: Path) -> Callable[..., Any]:
    def wrapped(kind: str, env: gym.Env[Any, Any] | None = None) -> Any:
        env = WorldEnv(FakeWorld()) if env is None else env
        if kind in ("resize", "all"):
            env = Resize(env, (24, 40))
        if kind in ("limit", "all"):
            env = TimeLimit(env, 6)
        if kind in ("history", "all"):
            env = FrameHistory(env, 3)
        if kind in ("recorder", "all"):
            env = Recorder(env, str(tmp_path), movie=None)
        return env

    return wrapped


def assert_branch_is_step(transition: Transition, step: tuple[Any, ...]) -> None:
    frame, reward, terminated, truncated, info = step
    np.testing.assert_array_equal(transition.frame, frame)
    found = (transition.reward or 0.0, transition.terminated, transition.truncated, dict(transition.info))
    assert found == (reward, terminated, truncated, info)


@pytest.mark.filterwarnings("ignore:.*different from the unwrapped version.*")
@pytest.mark.parametrize("kind", KINDS)
def test_check_env(kind: str, wrap: Callable[..., Any]) -> None:
    check_env(wrap(kind, gym.make(NAVIGATE_ID, checkpoint="fake").unwrapped))


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_brings_the_same_future_back(kind: str, wrap: Callable[..., Any]) -> None:
    env = wrap(kind, gym.make(NAVIGATE_ID, checkpoint="fake"))
    env.reset(seed=3)
    walk(env, [0, 1])
    state = state_to_bytes(env.get_state())
    future = [env.step(action) for action in (2, 1, 0, 3)]
    for restore in (env, wrap(kind)):
        restore.reset(seed=99)
        walk(restore, [1])
        restore.set_state(state)
        again = [restore.step(action) for action in (2, 1, 0, 3)]
        for one, other in zip(future, again, strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            assert one[1:] == other[1:]
    fresh = wrap(kind)
    shown = fresh.reset(options={"state": state})[0]
    np.testing.assert_array_equal(shown, fresh.observation if isinstance(fresh, FrameHistory) else shown)
    np.testing.assert_array_equal(fresh.step(2)[0], future[0][0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_branch_shows_what_a_step_would(kind: str, wrap: Callable[..., Any]) -> None:
    env = wrap(kind)
    env.reset(seed=1)
    for _ in range(6):
        branches = env.branch([0, 1, 2, 3])
        assert_branch_is_step(branches[2], env.step(2))
    env.reset()
    reseeded = env.branch([0, 0], reseed=[1, 2])
    assert not np.array_equal(reseeded[0].frame, reseeded[1].frame)


@pytest.mark.parametrize("kind", ["limit", "history", "all"])
def test_a_state_from_below_the_wrapper_is_refused_and_nothing_moves(kind: str, wrap: Callable[..., Any]) -> None:
    env, twin = wrap(kind), wrap(kind)
    for each in (env, twin):
        each.reset(seed=1)
        each.step(1)
    with pytest.raises(StateError, match=r"without its part.*env\.unwrapped"):
        env.set_state(env.unwrapped.get_state())
    state = env.get_state()
    for damage in ({"elapsed": -1, "history": []}, {"elapsed": "1", "history": [np.zeros((2, 2, 3), np.uint8)] * 3}, {}):
        broken = {**state, "wrappers": [{"name": part["name"], **damage} for part in state["wrappers"]]}
        with pytest.raises(StateError, match="does not fit"):
            env.set_state(broken)
    with pytest.raises(StateError, match="weights"):
        env.set_state({**state, "weights": "others"})
    one, other = env.step(2), twin.step(2)
    np.testing.assert_array_equal(one[0], other[0])
    assert one[1:] == other[1:]


def test_wrapped_specs_travel(wrap: Callable[..., Any]) -> None:
    env = wrap("all", gym.make(NAVIGATE_ID, checkpoint="fake"))
    assert env.spec is not None
    twin = gym.make(EnvSpec.from_json(env.spec.to_json()))
    np.testing.assert_array_equal(twin.reset(seed=4)[0], env.reset(seed=4)[0])
    assert twin.observation_space.shape == (3, 24, 40, 3)
    env.close()
    twin.close()


def test_the_time_limit_counts_across_states() -> None:
    env = TimeLimit(WorldEnv(FakeWorld()), 3)
    env.reset(seed=0)
    assert [env.step(3)[3] for _ in range(2)] == [False, False]
    state = env.get_state()
    assert state["wrappers"] == [{"name": "TimeLimit", "elapsed": 2}]
    assert [each.truncated for each in env.branch([0, 1])] == [True, True]
    env.reset()
    env.set_state(state)
    assert env.elapsed_steps == 2
    assert env.step(3)[3] is True
    env.reset(options={"state": env.unwrapped.get_state()})
    assert env.elapsed_steps == 0
    for bad in (0, -1, True, 2.5):
        with pytest.raises(ConfigError, match="max_episode_steps"):
            TimeLimit(env, bad)  # type: ignore[arg-type]


def test_the_history_holds_the_last_frames() -> None:
    env, plain = FrameHistory(WorldEnv(FakeWorld()), 3), WorldEnv(FakeWorld())
    frames = [plain.reset(seed=2)[0], *walk(plain, [0, 1, 2])]
    observations = [env.reset(seed=2)[0], *walk(env, [0, 1, 2])]
    padded = [frames[0]] * 2 + frames
    for place, observation in enumerate(observations):
        np.testing.assert_array_equal(observation, np.stack(padded[place : place + 3]))
    assert env.observation_space == gym.spaces.Box(0, 255, (3, 64, 64, 3), np.uint8)
    kept = observations[1].copy()
    env.step(0)
    np.testing.assert_array_equal(observations[1], kept)


def test_resizing_leaves_the_world_alone() -> None:
    env, plain = Resize(WorldEnv(FakeWorld()), (32, 16)), WorldEnv(FakeWorld())
    for shown, frame in zip(
        [env.reset(seed=2)[0], *walk(env, [0, 1])], [plain.reset(seed=2)[0], *walk(plain, [0, 1])], strict=True
    ):
        np.testing.assert_array_equal(shown, np.array(Image.fromarray(frame).resize((16, 32), Image.Resampling.BICUBIC)))
    flat = gym.wrappers.FlattenObservation(plain)
    for inner, size in ((flat, (8, 8)), (plain, (8,)), (plain, (0, 8)), (plain, (8.0, 8)), (plain, 8), (plain, "64")):
        with pytest.raises(ConfigError, match=r"Resize before|\(height, width\)"):
            Resize(inner, size)  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [{}, {"think": True}, {"action_mode": "text"}])
def test_a_recorded_episode_replays(settings: dict[str, Any], tmp_path: Path) -> None:
    env = Recorder(WorldEnv(FakeWorld(), horizon=4, **settings), str(tmp_path), movie="mp4")
    text = "action_mode" in settings
    actions: list[Any] = ["Look left", "", "wander off", "Look right"] if text else [1, 0, 0, 2]
    frames = [env.reset(seed=5, options={"prompt": "A house."})[0], *walk(env, actions)]
    episode = load_episode(tmp_path / "episode-00000")
    np.testing.assert_array_equal(episode.frames, np.stack(frames))
    again = replay(FakeWorld(), episode)
    np.testing.assert_array_equal(again.frames, episode.frames)
    assert again.thoughts == episode.thoughts
    assert (episode.thoughts is not None) == bool(settings.get("think"))
    expected = (
        ["Look left", "", "wander off", "Look right"] if text else ["Look left", "Move forward", "Move forward", "Look right"]
    )
    assert [action.text for action in episode.actions] == expected
    assert episode.actions[0].id == 1
    assert (episode.metadata["truncated"], episode.metadata["terminated"]) == (True, False)
    assert len(iio.imread(tmp_path / "episode-00000" / "walk.mp4", plugin="pyav")) == 5


def test_every_episode_gets_a_folder(tmp_path: Path) -> None:
    env = Recorder(WorldEnv(FakeWorld(), horizon=2), str(tmp_path), movie=None)
    env.reset(seed=0)
    walk(env, [0, 1])  # to its end
    env.reset()
    walk(env, [2])  # interrupted by a reset
    env.reset()
    state = env.get_state()  # nothing happened yet: nothing to write
    env.set_state(state)
    walk(env, [3])
    state = env.get_state()
    walk(env, [1])  # to its end
    env.set_state(state, reseed=8)
    walk(env, [1])
    env.close()
    env.close()
    episodes = [load_episode(tmp_path / f"episode-{place:05d}") for place in range(4)]
    assert len(list(tmp_path.iterdir())) == 4
    assert [len(episode) for episode in episodes] == [2, 1, 2, 1]
    for episode in episodes:
        np.testing.assert_array_equal(replay(FakeWorld(), episode).frames, episode.frames)
    np.testing.assert_array_equal(episodes[3].frames[0], episodes[2].frames[1])
    assert not np.array_equal(episodes[3].frames[1], episodes[2].frames[2])
    more = Recorder(WorldEnv(FakeWorld()), str(tmp_path), movie=None)
    more.reset(seed=0)
    more.step(0)
    more.close()
    assert (tmp_path / "episode-00004" / "episode.json").is_file()


def test_the_recorder_needs_a_world() -> None:
    with pytest.raises(ConfigError, match="WorldEnv"):
        Recorder(gym.make("CartPole-v1"), "out")
    with pytest.raises(ConfigError, match="movie"):
        Recorder(WorldEnv(FakeWorld()), "out", movie="avi")  # type: ignore[arg-type]
    with pytest.raises(StateError, match="no states"):
        TimeLimit(gym.make("CartPole-v1"), 3).get_state()


def test_a_recorded_walk_of_the_checkpoint_replays(make: Callable[..., WorldEnv], tmp_path: Path) -> None:
    env = Recorder(make(), str(tmp_path), movie="gif")
    env.reset(seed=5)
    walk(env, [1, 0])
    env.branch([0, 1, 2])
    state = state_from_bytes(state_to_bytes(env.get_state()))
    walk(env, [0, 2])
    env.set_state(state)
    walk(env, [0, 2])
    env.close()
    first, second = (load_episode(tmp_path / f"episode-{place:05d}") for place in range(2))
    np.testing.assert_array_equal(first.frames[2:], second.frames)
    for episode in (first, second):
        np.testing.assert_array_equal(replay(env.unwrapped.world, episode).frames, episode.frames)
    assert len(iio.imread(tmp_path / "episode-00000" / "walk.gif")) == 5


@pytest.mark.parametrize("reseed", [None, 5])
def test_a_saved_walk_goes_on_in_an_environment_that_was_never_reset(reseed: int | None) -> None:
    def make() -> FrameHistory:
        return FrameHistory(gym.make(NAVIGATE_ID, checkpoint="fake"), 2)

    first, other = make(), make()
    first.reset(seed=0)
    state = first.get_state()
    first.set_state(state, reseed=reseed)
    other.set_state(state, reseed=reseed)
    np.testing.assert_array_equal(first.step(1)[0], other.step(1)[0])


def test_recordings_know_the_checkpoint_of_the_environment_by_default(tmp_path: Path) -> None:
    env = Recorder(gym.make(NAVIGATE_ID, checkpoint="fake"), str(tmp_path / "named"), movie=None)
    env.reset(seed=0)
    env.step(1)
    env.close()
    (folder,) = (tmp_path / "named").iterdir()
    assert load_episode(folder).metadata["provenance"]["checkpoint"] == "fake"


def test_a_walk_of_the_default_checkpoint_replays(tmp_path: Path) -> None:
    if "nano-worlds" not in shipped():
        pytest.skip("the checkpoint nano-worlds is not in the package")
    env = Recorder(gym.make("BagelRotate-v0"), str(tmp_path), movie=None)
    env.reset(seed=0)
    env.step(1)
    env.close()
    (folder,) = tmp_path.iterdir()
    with pytest.raises(SystemExit) as ended:
        main(["replay", str(folder)])
    assert not ended.value.code
