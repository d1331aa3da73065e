from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bagel_world.actions import NAVIGATE_WORDS, action_from_id
from bagel_world.errors import CapabilityError, ConfigError
from bagel_world.evaluation.control import ControlConfig, check_control, measure_control
from bagel_world.evaluation.futures import force_actions, imagine_futures, is_free_ahead
from bagel_world.evaluation.kinds import kind_of_episode
from bagel_world.evaluation.loops import HOUSE_LOOPS
from bagel_world.evaluation.metrics import PSNR_OF_EQUAL, ROUNDING_MSE
from bagel_world.evaluation.open_loop import Findings
from bagel_world.evaluation.subject import Subject
from bagel_world.evaluation.windows import Window, draw_windows
from bagel_world.sims.house import step_ahead
from bagel_world.sims.plans import draw_plan
from bagel_world.types import Action, Episode, Frame
from bagel_world.world.fake import FakeWorld
from bagel_world.world.fake_views import move_view

CONFIG = ControlConfig(n=40, loops=10, seed=1, batch=6)


class LeftWorld(FakeWorld):
    """Looks left, whatever it is told."""

    def imagine(self, contexts: Sequence[Any], *, seeds: Sequence[int]) -> list[Frame]:
        return [move_view(context.frames[-1], "Look left").copy() for context in contexts]


def obedient(noise: int = 0) -> Subject:
    return Subject(FakeWorld(frame_size=(48, 48), noise=noise), "fake")


def deaf() -> Subject:
    return Subject(LeftWorld(frame_size=(48, 48)), "left")


def values(findings: Findings, metric: str) -> dict[str, float]:
    return {row.name: row.value for row in findings.rows if row.metric == metric}


def test_an_obedient_world_is_read_right_and_returns(episodes: Sequence[Episode], reader: Any) -> None:
    findings = measure_control(obedient(), episodes, reader, CONFIG)
    assert set(values(findings, "probe_accuracy").values()) == {1.0}
    assert values(findings, "probe_accuracy_ratio") == {"imagined / real pairs": 1.0}
    assert values(findings, "stay_psnr_db") == {"imagined": pytest.approx(PSNR_OF_EQUAL)}
    returned = values(findings, "return_psnr_db")
    for name in ("left, right", "right, left", "full turn"):
        assert returned[f"{name}, end"] == pytest.approx(PSNR_OF_EQUAL)
        assert returned[f"{name}, halfway"] < 25
    assert values(findings, "counterfactual_gap")["other action / other seed"] > 50


def test_the_gap_is_counted_in_seeds(episodes: Sequence[Episode], reader: Any) -> None:
    exact, noisy = (
        values(measure_control(obedient(noise), episodes, reader, CONFIG), "counterfactual_gap")["other action / other seed"]
        for noise in (0, 8)
    )
    # Two draws of whole numbers in -8..8 differ by sqrt(2 * 24); without noise nothing is below the error of rounding.
    assert noisy / exact == pytest.approx(np.sqrt(ROUNDING_MSE / 48), rel=0.05)


def test_a_deaf_world_has_no_gap_and_is_caught_by_the_probe(episodes: Sequence[Episode], reader: Any) -> None:
    findings = measure_control(deaf(), episodes, reader, CONFIG)
    assert values(findings, "counterfactual_gap") == {"other action / other seed": pytest.approx(1.0)}
    accuracy = values(findings, "probe_accuracy")
    assert accuracy["real pairs"] == 1.0
    assert accuracy["imagined pairs, Look left"] == accuracy["other action imposed, Look left"] == 1.0
    assert accuracy["imagined pairs, Look right"] == accuracy["other action imposed, Stay"] == 0.0
    assert values(findings, "stay_psnr_db")["imagined"] < 25
    assert values(findings, "return_psnr_db")["left, right, end"] < 25


def test_walks_that_return_are_walks_that_return() -> None:
    turns = {"Look left": 30, "Look right": -30}
    for words in HOUSE_LOOPS.values():
        x, z, yaw = 0.0, 0.0, 0.0
        for word in words:
            yaw += turns.get(word, 0)
            if word == "Move forward":
                x, z = step_ahead((x, z), yaw)
        assert (x, z, yaw % 360) == pytest.approx((0.0, 0.0, 0.0))
        assert set(words) <= set(NAVIGATE_WORDS)


def test_imposed_actions_differ_and_forward_needs_a_free_way(episodes: Sequence[Episode]) -> None:
    windows = draw_windows(episodes, n=60, context=4, horizon=1, seed=0)
    futures = imagine_futures(obedient(), windows, seed=1, batch=6)
    forced = force_actions(futures, NAVIGATE_WORDS, np.random.default_rng(0))
    assert (forced != futures.recorded).all()
    # Fake footage has no plan: only recorded steps forward are known to be free, and those cannot be imposed.
    assert set(forced.tolist()) == {1, 2, 3}
    free = replace(futures, free=np.ones(60, np.bool_))
    imposed = force_actions(free, NAVIGATE_WORDS, np.random.default_rng(0))
    assert (imposed != futures.recorded).all()
    assert set(imposed.tolist()) == {0, 1, 2, 3}


def test_futures_are_those_of_their_action_and_their_window(episodes: Sequence[Episode]) -> None:
    windows = draw_windows(episodes, n=11, context=4, horizon=1, seed=0)
    futures = imagine_futures(obedient(), windows, seed=1, batch=6)
    for place, window in enumerate(windows):
        for label, word in enumerate(NAVIGATE_WORDS):
            np.testing.assert_array_equal(futures.by_action[place, label], move_view(window.seen[-1], word))
        np.testing.assert_array_equal(futures.again[place], window.frames[4])


def test_the_way_ahead_is_read_from_the_plan_of_the_house(make_walk: Callable[..., Episode]) -> None:
    plan = draw_plan("test", 3)
    walk = make_walk(0)
    rng = np.random.default_rng(0)
    found = set()
    for _ in range(200):
        pose = np.array([rng.uniform(-7, 7), 0.0, rng.uniform(-7, 7), rng.uniform(0, 360)])
        window = Window(
            frames=walk.frames[:2],
            actions=(action_from_id(1, NAVIGATE_WORDS),),
            context=1,
            poses=np.stack([pose, pose]),
            group="3",
            house=("test", 3),
        )
        expected = plan.is_free(*step_ahead((pose[0], pose[2]), pose[3]))
        assert is_free_ahead(window) is expected
        assert not is_free_ahead(replace(window, house=None))
        found.add(expected)
    assert found == {True, False}


def test_walks_that_nobody_knows_to_be_free_are_left_out_with_a_note(make_walk: Callable[..., Episode], reader: Any) -> None:
    walk = make_walk(0, size=(64, 64))
    stay = action_from_id(3, NAVIGATE_WORDS)
    still = Episode(frames=np.repeat(walk.frames[:1], 8, axis=0), actions=(stay,) * 7)
    findings = measure_control(Subject(FakeWorld(noise=0), "fake"), [still], reader, ControlConfig(n=4, loops=4))
    assert not [name for name in values(findings, "return_psnr_db") if name.startswith("forward and back")]
    assert any("'forward and back' was left out" in note for note in findings.notes)


def test_other_words_are_refused(episodes: Sequence[Episode], reader: Any) -> None:
    world = FakeWorld(frame_size=(48, 48), action_words=("Look left", "Look right"))
    with pytest.raises(CapabilityError, match="Move forward"):
        measure_control(Subject(world, "fake"), episodes, reader, CONFIG)


def test_footage_from_elsewhere_is_refused_by_what_it_lacks(episodes: Sequence[Episode]) -> None:
    subject = Subject(FakeWorld(action_words=("Jump", "Fire")), "mine")
    elsewhere = [replace(each, metadata={**each.metadata, "source": "a game"}) for each in episodes]
    with pytest.raises(CapabilityError, match="from elsewhere"):
        check_control(subject, elsewhere, kind_of_episode(elsewhere[0]), ControlConfig())


def test_footage_without_an_action_that_the_world_knows_is_refused(episodes: Sequence[Episode], reader: Any) -> None:
    strange = [replace(each, actions=tuple(Action(text="Jump") for _ in each.actions)) for each in episodes]
    with pytest.raises(ConfigError, match="none of them"):
        measure_control(obedient(), strange, reader, ControlConfig(n=4, loops=2))
