"""WorldEnv keeps the promises of Gymnasium and its own."""

from __future__ import annotations

import copy
import os
import sys
import types
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

from bagel_world.actions import NAVIGATE_WORDS
from bagel_world.envs import WorldEnv, state_to_bytes
from bagel_world.errors import ActionError, CapabilityError, ConfigError, OutputError, UnknownNameError
from bagel_world.world.fake import FakeWorld
from bagel_world.world.scoring import Goal
from tests.envs.conftest import hash_frames, walk
from tests.world.loose import NO_SCORES, Loose

Make = Callable[..., WorldEnv]

INFO_KEYS = {
    "action_text",
    "action_valid",
    "action_error",
    "success",
    "goal_distance",
    "reward_source",
    "context_frames",
    "context_tokens",
    "dropped_frames",
    "model_calls",
}


class Mute(FakeWorld):
    """A world that was never taught to write."""

    can_write = False  # type: ignore[assignment]


@pytest.mark.parametrize("render_mode", [None, "rgb_array", "human", "ansi"])
@pytest.mark.parametrize("action_mode", ["discrete", "text", "either"])
def test_gymnasium_check_env(make: Make, action_mode: str, render_mode: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    check_env(make(action_mode=action_mode, render_mode=render_mode))


def test_stable_baselines_check_env(make: Make) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(make(), warn=True)


def test_spaces_and_words(make: Make) -> None:
    env = make()
    assert env.action_words == NAVIGATE_WORDS
    assert env.action_space == gym.spaces.Discrete(4)
    assert env.observation_space == gym.spaces.Box(0, 255, (*env.world.frame_size, 3), np.uint8)
    text = make(action_mode="text").action_space
    assert "Look to the left, please!" in text
    assert "x" * 512 in text
    assert "x" * 513 not in text


def test_a_seed_decides_everything(make: Make) -> None:
    env, other = make(), make()
    first = [env.reset(seed=5), env.step(0), env.step(1)]
    assert all(
        np.array_equal(ours[0], theirs[0]) and ours[-1] == theirs[-1]
        for ours, theirs in zip(first, [other.reset(seed=5), other.step(0), other.step(1)], strict=True)
    )
    later, later_twin = env.reset()[0], other.reset()[0]
    np.testing.assert_array_equal(later, later_twin)


def test_seeds_pick_different_starts_and_noise() -> None:
    env = WorldEnv(FakeWorld())
    starts = {hash_frames([env.reset(seed=seed)[0]]) for seed in range(40)}
    assert len(starts) == len(env.world.starts)
    image = {"image": np.zeros((64, 64, 3), np.uint8)}
    noise = set()
    for seed in range(10):
        env.reset(seed=seed, options=image)
        noise.add(hash_frames(walk(env, [3])))
    assert len(noise) == 10


def test_ten_frames_are_the_same_in_another_process(make: Make, checkpoint: str, run_python: Callable[[str], str]) -> None:
    actions = [0, 1, 2, 3, 0, 0, 1, 1, 2]
    env = make()
    frames = [env.reset(seed=11)[0], *walk(env, actions)]
    program = f"""
import hashlib, gymnasium as gym
from bagel_world.envs import register_all
register_all()
env = gym.make("BagelNavigate-v0", checkpoint={checkpoint!r})
frames = [env.reset(seed=11)[0]] + [env.step(action)[0] for action in {actions}]
print(hashlib.sha256(b"".join(frame.tobytes() for frame in frames)).hexdigest())
"""
    assert run_python(program) == hash_frames(frames)


def test_an_episode_begins_with_the_first_frames_of_a_start(fake: FakeWorld) -> None:
    for count in (1, 2, 3):
        env = WorldEnv(fake, start_frames=count)
        observation, info = env.reset(seed=0)
        matches = [start for start in fake.starts if np.array_equal(start.frames[count - 1], observation)]
        assert len(matches) == 1
        assert info["context_frames"] == count
        context = env.session.context
        np.testing.assert_array_equal(np.stack(context.frames), matches[0].frames[:count])
        assert context.tokens == 16 * count + sum(len(action.text.split()) for action in matches[0].actions[: count - 1])


def test_the_horizon_truncates_by_itself(make: Make) -> None:
    env = make(horizon=3)
    env.reset(seed=0)
    flags = [env.step(3)[2:4] for _ in range(3)]
    assert flags == [(False, False), (False, False), (False, True)]
    assert all(type(flag) is bool for pair in flags for flag in pair)
    with pytest.raises(ResetNeeded, match="over"):
        env.step(3)
    env.reset()
    assert env.step(3)[3] is False


def test_nothing_works_before_the_first_reset(fake: FakeWorld) -> None:
    env = WorldEnv(fake, render_mode="rgb_array")
    for call in (lambda: env.step(0), env.render, env.get_state, lambda: env.branch([0])):
        with pytest.raises(ResetNeeded, match="reset"):
            call()


@pytest.mark.parametrize("action", [4, 7, -1, None, float("nan"), 0.5, "Look left", "", [1], np.array([1, 2]), True, 10**30])
def test_an_unknown_id_raises_and_the_episode_goes_on(make: Make, action: Any) -> None:
    env, undisturbed = make(), make()
    env.reset(seed=2)
    undisturbed.reset(seed=2)
    with pytest.raises(ActionError, match=r"0\.\.3"):
        env.step(action)
    for step in (0, 1):
        ours, theirs = env.step(step), undisturbed.step(step)
        np.testing.assert_array_equal(ours[0], theirs[0])
        assert ours[1:] == theirs[1:]


@pytest.mark.parametrize("action", ["", "  \n", "x" * 100_000, None, float("nan"), 7, b"Look left", "\ud800", ["Look left"]])
def test_bad_text_is_explained_and_costs_a_step_but_no_model_call(make: Make, action: Any) -> None:
    env = make(action_mode="text", horizon=2)
    before, _ = env.reset(seed=2)
    calls = getattr(env.world, "model_calls", None)
    frame, reward, terminated, truncated, info = env.step(action)
    np.testing.assert_array_equal(frame, before)
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert info["action_valid"] is False
    assert info["action_text"] is None
    assert info["model_calls"] == 0
    assert 0 < len(info["action_error"]) < 300
    assert getattr(env.world, "model_calls", None) == calls
    assert env.step("Look left")[3] is True


def test_any_words_move_the_world(make: Make) -> None:
    env = make(action_mode="text")
    env.reset(seed=2)
    _, _, _, _, info = env.step("  open the door, \u00fcber\u00f6ffnet \U0001f6aa ")
    assert info["action_text"] == "open the door, \u00fcber\u00f6ffnet \U0001f6aa"
    assert (info["action_valid"], info["action_error"], info["model_calls"]) == (True, None, 1)


def test_words_and_ids_are_the_same_action(make: Make) -> None:
    env, text = make(), make(action_mode="text")
    env.reset(seed=4)
    text.reset(seed=4)
    for number, words in enumerate(["Move forward", "look LEFT", "Look right", "Stay"]):
        ours, theirs = env.step(number), text.step(words)
        np.testing.assert_array_equal(ours[0], theirs[0])
        assert ours[-1] == theirs[-1]


def test_infos_have_the_same_keys_everywhere(make: Make) -> None:
    env = make(action_mode="text")
    assert set(env.reset(seed=0)[1]) == INFO_KEYS
    assert set(env.step("Stay")[-1]) == INFO_KEYS
    assert set(env.step("")[-1]) == INFO_KEYS


def test_noise_differs_from_step_to_step() -> None:
    env = WorldEnv(FakeWorld())
    first, _ = env.reset(seed=0)
    second, third = walk(env, [3, 3])
    changes = (second.astype(int) - first, third.astype(int) - second)
    assert not np.array_equal(*changes)
    assert all(np.abs(change).max() == 1 for change in changes)


def test_a_context_is_bounded_and_says_what_it_dropped() -> None:
    env = WorldEnv(FakeWorld(max_frames=4), horizon=100)
    env.reset(seed=0)
    infos = [env.step(0)[-1] for _ in range(10)]
    assert [info["context_frames"] for info in infos] == [3, 4] + [4] * 8
    assert [info["dropped_frames"] for info in infos] == [0, 0, *range(1, 9)]
    assert max(info["context_tokens"] for info in infos) == 4 * 16 + 3 * 2


def test_thoughts_are_said_and_reported(fake: FakeWorld) -> None:
    env = WorldEnv(fake, think=True, action_mode="text")
    _, info = env.reset(seed=0)
    assert set(info) == INFO_KEYS | {"thought"}
    assert info["thought"] is None
    calls = fake.model_calls
    info = env.step("Look left")[-1]
    assert "I Look left." in info["thought"]
    assert (info["model_calls"], fake.model_calls - calls) == (2, 2)
    assert {"thought": info["thought"]} in [item for item in env.session.context.get_state()["items"] if isinstance(item, dict)]
    assert env.step("")[-1]["thought"] is None


def test_thinking_needs_a_thinker() -> None:
    for settings in ({"think": True}, {"reward": "judge"}):
        with pytest.raises(CapabilityError, match="Mute was not"):
            WorldEnv(Mute(), **settings)


def test_rewards_add_up_to_the_progress_and_success_ends_the_episode(make: Make) -> None:
    env = make()
    env.reset(seed=1)
    goal = walk(env, [1, 1])[-1]
    _, info = env.reset(seed=1, options={"goal_image": goal})
    start = info["goal_distance"]
    assert info["reward_source"] == "goal_image"
    assert (info["success"], info["model_calls"]) == (False, 1)
    _, first, terminated, _, _ = env.step(1)
    assert terminated is False
    _, second, terminated, truncated, info = env.step(1)
    assert first + second == pytest.approx(start - info["goal_distance"])
    assert info["goal_distance"] == pytest.approx(0.0, abs=1e-6)
    assert (terminated, truncated, info["success"], info["model_calls"]) == (True, False, True, 5)


def test_without_progress_the_score_itself_is_paid(fake: FakeWorld) -> None:
    env = WorldEnv(fake, progress=False)
    env.reset(seed=1)
    goal = walk(env, [1])[-1]
    env.reset(seed=1, options={"goal_image": goal})
    assert env.step(1)[1] == pytest.approx(1.0)


def test_a_goal_can_be_a_default_of_the_environment(fake: FakeWorld) -> None:
    env = WorldEnv(fake, reset_options={"goal_image": fake.starts[0].frames[0]})
    assert env.reset(seed=0)[1]["reward_source"] == "goal_image"
    assert env.reset()[1]["reward_source"] == "goal_image"


def test_the_random_reward_knows_nothing_and_never_succeeds(fake: FakeWorld) -> None:
    env, twin = WorldEnv(fake, reward="random", progress=False), WorldEnv(fake, reward="random", progress=False)
    env.reset(seed=1)
    twin.reset(seed=1)
    ours = [env.step(0)[1:] for _ in range(20)]
    theirs = [twin.step(1)[1:] for _ in range(20)]
    assert [step[0] for step in ours] == [step[0] for step in theirs]
    assert len({step[0] for step in ours}) == 20
    assert not any(step[1] for step in ours)
    assert ours[0][-1]["reward_source"] == "random"


def test_a_function_rewards(fake: FakeWorld) -> None:
    seen: list[Goal] = []

    def brightness(frame: np.ndarray, goal: Goal) -> float:
        seen.append(goal)
        return float(frame.mean()) / 255.0

    env = WorldEnv(fake, reward=brightness)
    black, white = np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)
    env.reset(seed=0, options={"image": black, "goal_text": "find the light"})
    assert seen[0].text == "find the light"
    frame, reward, terminated, _, info = env.step(3)
    assert info["reward_source"] == "callable:brightness"
    assert reward == pytest.approx(frame.mean() / 255.0)
    assert terminated is False
    env.reset(seed=0, options={"image": white})
    assert env.step(3)[2] is True


def test_a_goal_in_words_is_judged_by_a_world_that_can_write(fake: FakeWorld) -> None:
    env = WorldEnv(fake, success_distance=0.4)
    gray, red = np.full((64, 64, 3), 60, np.uint8), np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 200
    _, info = env.reset(seed=0, options={"image": gray, "goal_text": "turn red"})
    assert (info["reward_source"], info["success"], info["model_calls"]) == ("judge", False, 1)
    assert info["goal_distance"] == pytest.approx(2 / 3)
    _, reward, terminated, _, info = env.step(3)
    assert (abs(reward) < 0.01, terminated, info["model_calls"]) == (True, False, 3)
    env.reset(seed=0, options={"image": red, "goal_text": "turn red"})
    assert env.step(3)[2] is True
    _, info = env.reset(seed=0, options={"image": red, "goal_text": "turn red", "goal_image": gray})
    assert info["reward_source"] == "goal_image"


@pytest.mark.parametrize(("reward", "success"), [("judge", True), ("goal_image", False)])
def test_every_scorer_has_a_success_distance_of_its_own(fake: FakeWorld, reward: str, success: bool) -> None:
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[..., 0], frame[..., 1] = 120, 80
    frame[:32, :, 2] = 40
    other = np.roll(frame, 4, axis=0)
    env = WorldEnv(fake, reward=reward)
    _, info = env.reset(seed=0, options={"image": frame, "goal_text": "red", "goal_image": other})
    assert 0.05 < info["goal_distance"] < 0.5
    assert info["success"] is success


def test_a_goal_in_words_alone_is_kept_and_pays_nothing_where_nobody_can_judge() -> None:
    env = WorldEnv(Mute())
    _, info = env.reset(seed=0, options={"goal_text": "find the door"})
    assert env.session.goal.text == "find the door"
    assert (info["reward_source"], info["goal_distance"], env.step(0)[1]) == ("none", None, 0.0)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"reward": "goal_imge"}, UnknownNameError, "goal_image"),
        ({"reward": 3}, ConfigError, "Scorer"),
        ({"action_mode": "words"}, ConfigError, "action_mode"),
        ({"horizon": 0}, ConfigError, "horizon"),
        ({"horizont": 5}, ConfigError, "'horizon'"),
        ({"render_mode": "rgb"}, ConfigError, "rgb_array"),
        ({"reset_options": {"goal": 1}}, ConfigError, "goal_"),
        ({"success_distance": float("nan")}, ConfigError, "success_distance"),
    ],
)
def test_settings_that_do_not_fit(fake: FakeWorld, settings: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        WorldEnv(fake, **settings)


def test_returned_frames_are_the_callers_own(make: Make) -> None:
    env, twin = make(render_mode="rgb_array"), make(render_mode="rgb_array")
    for frame in (env.reset(seed=0)[0], env.render(), env.step(0)[0], env.render()):
        frame[:] = 0
    twin.reset(seed=0)
    twin.step(0)
    np.testing.assert_array_equal(env.step(1)[0], twin.step(1)[0])


def test_render_modes(make: Make, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    env = make(render_mode="rgb_array")
    frame, _ = env.reset(seed=0)
    np.testing.assert_array_equal(env.render(), frame)
    assert make().render_mode is None
    ansi = make(render_mode="ansi")
    ansi.reset(seed=0)
    assert "\u2580" in ansi.render()
    capsys.readouterr()
    human = make(render_mode="human")
    human.reset(seed=0)
    human.step(1)
    shown = capsys.readouterr().out
    assert "Look left" in shown
    assert human.render() is None
    human.close()
    human.close()


def test_a_deep_copy_shares_the_world_and_goes_its_own_way(fake: FakeWorld) -> None:
    env = WorldEnv(fake)
    env.reset(seed=3)
    env.step(0)
    twin = copy.deepcopy(env)
    assert twin.world is fake
    np.testing.assert_array_equal(twin.step(1)[0], env.step(1)[0])
    np.testing.assert_array_equal(twin.reset()[0], env.reset()[0])
    twin.step(0)
    assert (twin.session.step, env.session.step) == (1, 0)


def test_a_forked_child_keeps_one_torch_thread(fake: FakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(set_num_threads=threads.append))  # type: ignore[arg-type]
    env = WorldEnv(fake)
    env.reset(seed=0)
    env.step(0)
    assert threads == []
    parent = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    env.step(0)
    env.step(0)
    assert threads == [1]


def test_numbers_of_any_kind_are_scores() -> None:
    env = WorldEnv(FakeWorld(), reward=Loose(np.float32(1.0)))
    env.reset(seed=0)
    *_, terminated, _, info = env.step(0)
    assert type(terminated) is bool
    assert type(info["goal_distance"]) is float
    env.set_state(state_to_bytes(env.get_state()))


@pytest.mark.parametrize("scores", NO_SCORES)
def test_what_is_no_score_names_the_scorer(scores: tuple[Any, ...]) -> None:
    with pytest.raises(OutputError, match="loose"):
        WorldEnv(FakeWorld(), reward=Loose(*scores)).reset(seed=0)


def test_a_setting_that_does_nothing_alone_is_refused() -> None:
    with pytest.raises(ConfigError, match="consistency=True"):
        WorldEnv(FakeWorld(), consistency_redraws=3)
