"""Whether scorers are right about success: exact figures for scores that are known, and cases whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bagel_world.errors import ConfigError
from bagel_world.evaluation import calibration
from bagel_world.evaluation.calibration import (
    CalibrationConfig,
    best_threshold,
    calibration_rows,
    draw_cases,
    measure_calibration,
    object_goals,
    picture_goals,
    shows_same,
    threshold_interval,
)
from bagel_world.evaluation.scenes import HouseScenes
from bagel_world.evaluation.subject import Subject
from bagel_world.sims.footage import record_walk
from bagel_world.sims.house import House
from bagel_world.sims.naming import public_name
from bagel_world.sims.plans import draw_plan
from bagel_world.sims.sightings import sightings
from bagel_world.types import Action, Episode
from bagel_world.world.fake import FakeWorld
from bagel_world.world.scoring import Goal, GoalImageScorer, RandomScorer
from tests.evaluation.conftest import FRAME_SIZE

T, F = True, False


@pytest.mark.parametrize(
    ("scores", "truths", "threshold"),
    [
        ([0.0, 0.4, 0.8, 1.0], [F, F, T, T], 0.6),
        ([0.0, 0.4, 0.8, 1.0], [F, T, T, T], 0.2),
        ([0.5, 0.5, 0.5], [T, F, T], 0.5),
        ([0.1, 0.2, 0.3, 0.9], [F, T, F, T], 0.6),
    ],
)
def test_the_best_threshold_lies_between_true_and_false(scores: list[float], truths: list[bool], threshold: float) -> None:
    assert best_threshold(np.array(scores), np.array(truths)) == pytest.approx(threshold)


def test_a_threshold_needs_both_kinds() -> None:
    with pytest.raises(ConfigError, match="true and false"):
        best_threshold(np.array([1.0, 2.0]), np.array([T, T]))


def test_the_interval_of_a_threshold_holds_it() -> None:
    rng = np.random.default_rng(0)
    truths = rng.random(200) < 0.5
    value, low, high = threshold_interval(truths + rng.normal(0, 0.2, 200), truths, np.arange(200).astype(str))
    assert low <= value <= high
    assert 0.3 < low < high < 0.7


def rows_of(scores: Sequence[float], truths: Sequence[bool], scorer: Any = None) -> dict[tuple[str, str], float]:
    groups = (np.arange(len(scores)) // 2).astype(str)
    rows = calibration_rows("x", np.array(scores), np.array(truths), groups, scorer or GoalImageScorer(), 0)
    return {(row.metric, row.name): row.value for row in rows}


def test_rows_count_what_a_scorer_says() -> None:
    rows = rows_of([1.0, 0.96, 0.9, 0.97, 0.2, 0.1], [T, T, T, F, F, F])
    assert rows["auc", "x"] == pytest.approx(7 / 9)
    assert rows["success_accuracy", "x, at its own 0.95"] == pytest.approx(4 / 6)
    assert rows["said_reached", "x, at its own 0.95, reached"] == pytest.approx(2 / 3)
    assert rows["said_reached", "x, at its own 0.95, not reached"] == pytest.approx(1 / 3)


def test_the_best_threshold_is_tried_on_scenes_that_it_was_not_found_on() -> None:
    truths = [T, F] * 6
    known = [0.9, 0.1] * 6
    assert rows_of(known, truths)["success_accuracy", "x, at the best of other scenes"] == 1.0
    groups = np.repeat(["a", "b"], 2)
    scores, truth = np.array([0.9, 0.1, 0.1, 0.9]), np.array([T, F, T, F])
    rows = {row.name: row.value for row in calibration_rows("x", scores, truth, groups, GoalImageScorer(), 0)}
    assert rows["x, at the best of other scenes"] == 0.0


def test_a_scorer_that_judges_nothing_has_no_own_threshold() -> None:
    assert {metric for metric, name in rows_of([0.1, 0.9], [T, F], RandomScorer()) if "own" in name} == set()


def test_the_same_view_is_told_by_poses_or_else_by_pixels(episodes: Sequence[Episode]) -> None:
    episode = episodes[0]
    assert episode.poses is not None
    same = [shows_same(episode, 3, place) for place in range(len(episode.frames))]
    near = np.linalg.norm(episode.poses[:, :3] - episode.poses[3, :3], axis=1) < 0.25
    turned = np.abs((episode.poses[:, 3] - episode.poses[3, 3] + 180) % 360 - 180) < 15
    assert same == (near & turned).tolist()
    blind = replace(episode, poses=None)
    equal = [np.array_equal(frame, episode.frames[3]) for frame in episode.frames]
    assert [shows_same(blind, 3, place) for place in range(len(episode.frames))] == equal


def flickering(episodes: Sequence[Episode]) -> list[Episode]:
    """The same, but no two pictures of a view are equal: as footage of a camera has it."""
    rng = np.random.default_rng(0)
    return [
        replace(each, frames=(each.frames // 4 * 4 + rng.integers(0, 3, each.frames.shape)).astype(np.uint8)) for each in episodes
    ]


def test_half_of_the_cases_are_true_and_all_goals_are_frames_of_the_episode(episodes: Sequence[Episode]) -> None:
    config = CalibrationConfig(n=24, context=2, steps=2)
    episodes = flickering(episodes)
    cases = draw_cases(episodes, config, picture_goals)
    assert [case.truth for case in cases] == [True] * 12 + [False] * 12
    known = {frame.tobytes() for episode in episodes for frame in episode.frames}
    assert all(case.goal.image is not None and case.goal.image.tobytes() in known for case in cases)
    assert all(len(case.window.frames) == 4 for case in cases)
    again = draw_cases(episodes, config, picture_goals)
    assert [each.window.start for each in again] == [each.window.start for each in cases]


def test_the_frame_itself_is_no_goal(episodes: Sequence[Episode]) -> None:
    with pytest.raises(ConfigError, match="found 0 and"):
        draw_cases([replace(each, poses=None) for each in episodes], CalibrationConfig(n=8, context=2, steps=1), picture_goals)
    with pytest.raises(ConfigError, match="no figures of goal pictures"):
        measure_calibration(Subject(FakeWorld(frame_size=FRAME_SIZE), "fake"), episodes, CalibrationConfig(n=8))


@pytest.mark.sims
def test_in_houses_the_same_view_is_drawn_from_nearby() -> None:
    house = House(split="test", size=FRAME_SIZE)
    walks = [
        record_walk(house, steps=8, seed=seed, episode_id=f"walk-{seed}", rng=np.random.default_rng(seed)) for seed in range(2)
    ]
    house.close()
    walks = [replace(each, metadata={**each.metadata, "source": public_name(House), "split": "test"}) for each in walks]
    assert walks[0].poses is not None
    scenes = HouseScenes(FRAME_SIZE)
    views = [scenes.view_near(walks[0], 3, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    scenes.close()
    assert views[0] is not None
    assert np.array_equal(views[0], views[1])
    assert not np.array_equal(views[0], views[2])
    apart = [float(np.abs(views[0].astype(int) - frame).mean()) for frame in walks[0].frames]
    assert 0 < apart[3] < max(apart)
    findings = measure_calibration(
        Subject(FakeWorld(frame_size=FRAME_SIZE), "fake"), walks, CalibrationConfig(n=8, context=2, steps=1)
    )
    assert any(row.name == "goal_image, real frames" for row in findings.rows)


def test_footage_without_false_cases_is_refused(episodes: Sequence[Episode]) -> None:
    still = [replace(each, poses=np.zeros((len(each.frames), 4))) for each in episodes]
    with pytest.raises(ConfigError, match="others that are not"):
        draw_cases(still, CalibrationConfig(n=8, context=2, steps=1), picture_goals)


def test_a_world_that_is_always_right_is_calibrated_perfectly(episodes: Sequence[Episode]) -> None:
    subject = Subject(FakeWorld(frame_size=FRAME_SIZE, noise=0), "fake")
    config = CalibrationConfig(n=32, context=2, steps=2)
    findings = measure_calibration(subject, [replace(each, poses=None) for each in flickering(episodes)], config)
    values = {(row.metric, row.name): row.value for row in findings.rows}
    for shown in ("real", "imagined"):
        assert values["auc", f"goal_image, {shown} frames"] == 1.0
        assert values["said_reached", f"goal_image, {shown} frames, at its own 0.95, reached"] == 1.0
        assert values["auc", f"random, {shown} frames"] < 0.8
    assert values["best_threshold", "goal_image, real frames"] < 1.0
    assert any("footage of houses" in note for note in findings.notes)
    assert subject.frames_imagined == 32 * 2


def walk_in_a_house(seed: int) -> Episode:
    """Poses in front of every object and far from it; the pictures tell nothing."""
    plan = draw_plan("test", seed)
    poses, visible = [], []
    for each in plan.objects:
        for away in (0.6, 3.0):
            poses.append([each.x - each.kind.radius - away, 0.0, each.z, 0.0])
            visible.append((each.kind.name,))
    frames = np.random.default_rng(seed).integers(0, 256, (len(poses), 48, 48, 3), dtype=np.uint8)
    metadata = {"source": "bagel_world.sims.House", "split": "test", "seed": seed, "house": seed, "episode_id": str(seed)}
    stay = (Action(text="Stay", id=3),) * (len(poses) - 1)
    return Episode(frames=frames, actions=stay, poses=np.array(poses), visible=tuple(visible), metadata=metadata)


def test_goals_in_words_are_true_where_one_stands_in_front_of_them() -> None:
    episode = walk_in_a_house(3)
    plan = draw_plan("test", 3)
    assert episode.poses is not None
    assert episode.visible is not None
    for end in range(len(episode.frames)):
        around = {each.name: each for each in sightings(plan, episode.poses[end], episode.visible[end])}
        goals = list(object_goals(episode, end, np.random.default_rng(0)))
        assert len({goal.text for goal, _ in goals}) == len(goals)
        for goal, truth in goals:
            name = (goal.text or "").removeprefix("stand in front of the ")
            assert truth == around[name].reached


def test_the_judge_is_measured_on_houses(monkeypatch: pytest.MonkeyPatch) -> None:
    class Oracle(FakeWorld):
        """Says yes to goals that are marked so."""

        def judge(self, contexts: Sequence[Any], goals: Sequence[str]) -> list[float]:
            return [0.9 if goal.endswith("!") else 0.1 for goal in goals]

    def marked(episode: Episode, end: int, rng: np.random.Generator) -> Any:
        yield Goal(text="here!"), True
        yield Goal(text="there"), False

    monkeypatch.setattr(calibration, "object_goals", marked)
    subject = Subject(Oracle(frame_size=FRAME_SIZE, noise=0), "fake")
    findings = measure_calibration(
        subject, [walk_in_a_house(seed) for seed in range(3)], CalibrationConfig(n=8, context=1, steps=1)
    )
    values = {(row.metric, row.name): row.value for row in findings.rows}
    for sees in ("whole context", "newest frame"):
        for shown in ("real", "imagined"):
            assert values["success_accuracy", f"judge, {sees}, {shown} frames, at its own 0.5"] == 1.0
    assert not any("judge" in note or "in words" in note for note in findings.notes)


def test_who_cannot_write_is_measured_without_a_judge(episodes: Sequence[Episode]) -> None:
    class Mute(FakeWorld):
        can_write = False  # type: ignore[assignment]

    findings = measure_calibration(
        Subject(Mute(frame_size=FRAME_SIZE), "fake"), flickering(episodes), CalibrationConfig(n=8, context=2, steps=1)
    )
    assert findings.notes[0] == "This checkpoint was never taught to write: it has no judge."
    assert not any(row.name.startswith("judge") for row in findings.rows)
