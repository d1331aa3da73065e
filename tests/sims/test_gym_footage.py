from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from bagel_world.errors import ActionError, ConfigError, SimulatorError, UnknownNameError
from bagel_world.sims.gym_footage import action_in_words, frame_reader, open_env, record_episode, words_of
from bagel_world.sims.gym_policies import Act
from bagel_world.types import Action, Episode
from tests.sims import drawn_env

HERE = "tests.sims.drawn_env"
RIGHT = drawn_env.always_right(None, None)


def episode_of(name: str, act: Act = RIGHT, *, steps: int = 3, size: tuple[int, int] | None = None) -> Episode:
    env = open_env(f"{HERE}:{name}", {})
    words = words_of(env)
    return record_episode(env, act, read=frame_reader(env), words=words, steps=steps, seed=5, size=size, metadata={"who": "me"})


def dots(episode: Episode) -> list[int]:
    return [int(np.argmax(frame[0, :, 0])) for frame in episode.frames]


@pytest.mark.parametrize("name", ["Walk", "Seen"])
def test_frames_are_rendered_or_observed(name: str) -> None:
    episode = episode_of(name)
    start = dots(episode)[0]
    assert dots(episode) == [start, start + 1, start + 2, start + 3]
    assert episode.frames.shape == (4, 12, 16, 3)
    assert [action.id for action in episode.actions] == [1, 1, 1]
    assert episode.metadata == {
        "who": "me",
        "seed": 5,
        "rewards": [start + 1.0, start + 2.0, start + 3.0],
        "terminated": False,
        "truncated": False,
    }


def test_an_environment_may_end_an_episode_before_its_time() -> None:
    episode = episode_of("Walk", steps=100)
    assert dots(episode)[-1] == 15
    assert len(episode) == 15 - dots(episode)[0]
    assert episode.metadata["terminated"] is True


def test_frames_are_cropped_to_the_middle_and_resized() -> None:
    assert episode_of("Walk", size=(24, 24)).frames.shape == (4, 24, 24, 3)
    wide = episode_of("Walk", size=(6, 16))
    np.testing.assert_array_equal(wide.frames, 100)  # the dot is in the row that was cut off


def test_an_environment_without_frames_hears_what_is_missing() -> None:
    with pytest.raises(ConfigError, match=r"uint8 pictures.*Blind renders \['human'\] and observes Box"):
        open_env(f"{HERE}:Blind", {})
    with pytest.raises(ConfigError, match="uint8 pictures"):
        open_env(f"{HERE}:Walk", {}, "observation")
    with pytest.raises(ConfigError, match="uint8 pictures"):
        open_env(f"{HERE}:Seen", {}, "render")
    with pytest.raises(UnknownNameError, match="auto, render, observation"):
        open_env(f"{HERE}:Walk", {}, "camera")


@pytest.mark.parametrize("env_id", ["CartPole-v99", "Cartpole-v1", "no_such_package:Env-v0", f"{HERE}:Wlak"])
def test_unknown_environments_get_a_hint(env_id: str) -> None:
    with pytest.raises(UnknownNameError, match=r"Expected an environment.*package:Name-v0"):
        open_env(env_id, {})


def test_options_reach_the_environment() -> None:
    assert open_env(f"{HERE}:Walk", {"height": 30}).unwrapped.height == 30
    with pytest.raises(ConfigError, match="'depth'"):
        open_env(f"{HERE}:Walk", {"depth": 3})


def test_an_environment_that_cannot_start_or_render_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, **_: object) -> None:
        raise RuntimeError("no display")

    env = open_env(f"{HERE}:Walk", {})
    with pytest.raises(SimulatorError, match="Walk could not render"):
        frame_reader(env)(None)  # before its reset
    env.reset()
    monkeypatch.setattr(drawn_env.Walk, "render", lambda self: None)
    with pytest.raises(SimulatorError, match="Walk to render an array, got NoneType"):
        frame_reader(env)(None)
    monkeypatch.setattr(drawn_env.Walk, "render", lambda self: np.zeros((2, 3, 4, 5)))
    with pytest.raises(SimulatorError, match="no frame"):
        frame_reader(env)(None)
    monkeypatch.setattr(drawn_env.Walk, "__init__", broken)
    with pytest.raises(SimulatorError, match="RuntimeError: no display"):
        open_env(f"{HERE}:Walk", {})


def test_frames_that_change_their_size_are_refused_unless_a_size_is_given() -> None:
    with pytest.raises(SimulatorError, match=r"frames of one size.*\(13, 16\), \(14, 16\)"):
        episode_of("Growing")
    assert episode_of("Growing", size=(8, 8)).frames.shape == (4, 8, 8, 3)


def test_words_are_the_given_ones_or_the_environment_s_or_numbers() -> None:
    assert words_of(open_env(f"{HERE}:Walk", {}), ("Left", "Right")) == ("Left", "Right")
    assert words_of(open_env(f"{HERE}:Walk", {})) == ("Action 0", "Action 1")
    assert words_of(open_env(f"{HERE}:Named", {})) == ("Step back", "Step ahead")
    assert words_of(open_env(f"{HERE}:Pushed", {})) == ()
    assert words_of(open_env("bagel_world:BagelNavigate-v0", {"checkpoint": "fake"}))[0] == "Move forward"


def test_meanings_of_actions_are_words(monkeypatch: pytest.MonkeyPatch) -> None:
    env = open_env(f"{HERE}:Walk", {})
    monkeypatch.setattr(env.unwrapped, "get_action_meanings", lambda: ["NOOP", "RIGHT_FIRE"], raising=False)
    assert words_of(env) == ("Noop", "Right fire")
    monkeypatch.setattr(env.unwrapped, "get_action_meanings", lambda: ["NOOP"])
    assert words_of(env) == ("Action 0", "Action 1")


def test_words_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 action words for Walk, got 3"):
        words_of(open_env(f"{HERE}:Walk", {}), ("a", "b", "c"))
    with pytest.raises(ConfigError, match="empty text"):
        words_of(open_env(f"{HERE}:Walk", {}), ("a", " "))
    with pytest.raises(ConfigError, match="not discrete"):
        words_of(open_env(f"{HERE}:Pushed", {}), ("a", "b"))


def test_actions_of_every_space_can_be_said() -> None:
    words = ("a", "b", "c")
    assert action_in_words(np.int64(7), spaces.Discrete(3, start=5), words) == Action(text="c", id=2)
    assert action_in_words(np.array([0.5, -1.0, -0.001, 10.0]), spaces.Box(-9, 99, (4,)), ()) == Action(text="Action 0.5 -1 0 10")
    assert action_in_words(np.array([3, 0]), spaces.MultiDiscrete([4, 2]), ()) == Action(text="Action 3 0")
    both = spaces.Dict({"a": spaces.Discrete(3), "b": spaces.Box(0, 1, (2,))})
    assert action_in_words({"a": 2, "b": np.array([0.25, 1.0])}, both, ()) == Action(text="Action 2 0.25 1")
    assert action_in_words("Look left", spaces.Text(20), ()) == Action(text="Look left")
    with pytest.raises(ConfigError, match="512 characters"):
        action_in_words(np.zeros(400), spaces.Box(-1, 1, (400,)), ())


def test_a_policy_must_choose_what_is_there() -> None:
    with pytest.raises(ActionError, match=r"Discrete\(2\), got 7"):
        episode_of("Walk", drawn_env.wrong(None, None))
