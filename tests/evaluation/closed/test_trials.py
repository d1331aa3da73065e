from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bagel_world.errors import ConfigError, RecordingError
from bagel_world.evaluation.closed.contestants import Decision, Thinker, Wanderer, line_up, planning
from bagel_world.evaluation.closed.maneuvers import Maneuvers
from bagel_world.evaluation.closed.missions import GOAL_RADIUS, Mission, draw_missions
from bagel_world.evaluation.closed.oracle_world import OracleWorld
from bagel_world.evaluation.closed.standings import difference_row, standing_rows
from bagel_world.evaluation.closed.trials import (
    OUTCOMES,
    Outcome,
    StopRule,
    Walked,
    open_outcomes,
    read_outcomes,
    run_missions,
    send,
)
from bagel_world.evaluation.closed.walk_movies import WalkMovies
from bagel_world.evaluation.closed.way_scorer import WayScorer
from bagel_world.world.fake import FakeWorld
from bagel_world.world.scoring import Goal
from tests.evaluation.closed.paper_house import PaperHouse, perfect_scorer, read_pose

RULE = StopRule(at_least=0.92)  # 0.8 m


@pytest.fixture(scope="module")
def missions() -> list[Mission]:
    return draw_missions("test", "image", n=6, seed=1)


def try_all(contestant: Any, house: PaperHouse, scorer: Any, missions: list[Mission], **settings: Any) -> list[Outcome]:
    return [send(contestant, mission, house, scorer, RULE, seed=0, **settings).outcome for mission in missions]  # type: ignore[arg-type]


def test_perfect_imagination_and_a_perfect_scorer_reach_the_goal(missions: list[Mission]) -> None:
    house = PaperHouse()
    scorer = perfect_scorer(house)
    oracle = OracleWorld(house, FakeWorld())  # type: ignore[arg-type]
    best = planning("best", oracle, scorer, rollouts=9, maneuvers=Maneuvers(turns=4, steps=2), commit=6)
    outcomes = try_all(best, house, scorer, missions)
    assert sum(outcome.success for outcome in outcomes) >= 5
    for outcome in outcomes:
        if outcome.success:
            assert outcome.left <= GOAL_RADIUS
            assert outcome.walked >= outcome.shortest - 1.0 - 0.3
            assert 0.4 < outcome.spl <= 1.0
            assert outcome.imagined_frames > 0
    blind = planning("blind", oracle, perfect_scorer(house), rollouts=1, maneuvers=Maneuvers(), commit=6)
    assert sum(outcome.success for outcome in try_all(blind, house, scorer, missions)) <= 3


def test_walks_end_after_sixty_actions_and_count_what_they_cost(missions: list[Mission]) -> None:
    house = PaperHouse()
    wanderer = Wanderer(world=FakeWorld())
    never = StopRule(at_least=2.0)
    walked = send(wanderer, missions[2], house, perfect_scorer(house), never, seed=0)  # type: ignore[arg-type]
    outcome = walked.outcome
    assert (outcome.actions, outcome.stopped, outcome.success) == (60, False, False)
    assert len(walked.frames) == 61
    assert len(walked.words) == len(walked.expected) == 60
    assert set(walked.expected) == {None}
    poses = np.stack([read_pose(frame) for frame in walked.frames])
    steps = np.linalg.norm(np.diff(poses[:, (0, 2)], axis=0), axis=1)
    assert set(np.round(steps, 6)) <= {0.0, 0.5}
    assert outcome.walked == pytest.approx(steps.sum())
    assert outcome.closest <= outcome.left
    again = send(wanderer, missions[2], house, perfect_scorer(house), never, seed=0)  # type: ignore[arg-type]
    assert again.words == walked.words


class Stopper:
    """Stops at once."""

    name, world = "stopper", FakeWorld()

    def decide(self, context: Any, goal: Any, *, step: int, seed: int) -> Decision:
        return Decision(words=(), stops=True)


def test_stopping_far_away_is_no_success(missions: list[Mission]) -> None:
    house = PaperHouse()
    (outcome,) = try_all(Stopper(), house, perfect_scorer(house), missions[1:2])
    assert (outcome.stopped, outcome.success, outcome.spl, outcome.actions) == (True, False, 0.0, 0)
    assert outcome.left == outcome.shortest


def test_the_rule_stops_in_the_middle_of_a_plan(missions: list[Mission]) -> None:
    house = PaperHouse()
    scorer = perfect_scorer(house)
    oracle = OracleWorld(house, FakeWorld())  # type: ignore[arg-type]
    best = planning("best", oracle, scorer, rollouts=9, maneuvers=Maneuvers(turns=4, steps=4), commit=8)
    for mission in missions:
        walked = send(best, mission, house, scorer, RULE, seed=0)  # type: ignore[arg-type]
        scores = [scorer.function(frame, goal_of(walked)) for frame in walked.frames]
        assert all(score < RULE.at_least for score in scores[:-1])
        assert (scores[-1] >= RULE.at_least) == walked.outcome.stopped


def goal_of(walked: Walked) -> Any:
    from bagel_world.world.scoring import Goal

    return Goal(image=walked.goal)


def outcome(contestant: str = "a", mission: int = 0, *, success: bool = True, walked: float = 4.0, place: int = 0) -> Outcome:
    return Outcome(
        contestant=contestant, mission=mission, bin=place, success=success, stopped=True, left=0.5, closest=0.5, shortest=2.0,
        walked=walked, actions=8, model_calls=3, imagined_frames=20, score=0.9, seconds=1.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("walked", "success", "expected"), [(4.0, True, 0.5), (2.0, True, 1.0), (1.2, True, 1.0), (4.0, False, 0.0)]
)
def test_spl_is_the_shortest_over_the_walked_way(walked: float, success: bool, expected: float) -> None:
    assert outcome(walked=walked, success=success).spl == pytest.approx(expected)


class Counting:
    """Sends nobody anywhere, and counts."""

    def __init__(self, break_after: int = 10**9) -> None:
        self.tries: list[tuple[str, int]] = []
        self.break_after = break_after

    def __call__(self, contestant: Any, mission: Mission) -> Walked:
        if len(self.tries) >= self.break_after:
            raise KeyboardInterrupt
        self.tries.append((contestant.name, mission.number))
        frame = np.zeros((8, 8, 3), np.uint8)
        return Walked(outcome=outcome(contestant.name, mission.number), goal=frame, frames=(frame,), words=(), expected=())


def two() -> list[Any]:
    return [Wanderer(world=FakeWorld(), name=name) for name in ("a", "b")]


def test_a_stopped_run_goes_on_where_it_was(missions: list[Mission], tmp_path: Path) -> None:
    stopped = Counting(break_after=5)
    with pytest.raises(KeyboardInterrupt):
        run_missions(two(), missions, stopped, tmp_path, settings={"seed": 0})
    going_on = Counting()
    outcomes = run_missions(two(), missions, going_on, tmp_path, settings={"seed": 0})
    assert len(stopped.tries) == 5
    assert len(going_on.tries) == 7
    assert not set(stopped.tries) & set(going_on.tries)
    assert [(each.contestant, each.mission) for each in outcomes] == [(name, number) for name in "ab" for number in range(6)]
    assert not run_missions(two(), missions, Counting(0), tmp_path, settings={"seed": 0})[12:]


def test_a_line_that_was_cut_off_is_tried_again(missions: list[Mission], tmp_path: Path) -> None:
    run_missions(two(), missions[:2], Counting(), tmp_path, settings={})
    path = tmp_path / OUTCOMES
    text = path.read_text()
    path.write_text(text[:-20])
    again = Counting()
    run_missions(two(), missions[:2], again, tmp_path, settings={})
    assert len(again.tries) == 1
    assert len(list(read_outcomes(path))) == 4
    path.write_text("nonsense\n" + text)
    with pytest.raises(RecordingError, match="Line 1"):
        list(read_outcomes(path))


def test_outcomes_under_other_settings_are_not_mixed(tmp_path: Path) -> None:
    open_outcomes(tmp_path, {"seed": 0, "scorer": "effnet"})
    open_outcomes(tmp_path, {"seed": 0, "scorer": "effnet"})
    with pytest.raises(RecordingError, match=r"other settings \(scorer, stop_at\)"):
        open_outcomes(tmp_path, {"seed": 0, "scorer": "judge", "stop_at": 1})
    assert json.loads((tmp_path / "settings.json").read_text()) == {"seed": 0, "scorer": "effnet"}


@pytest.mark.parametrize(
    ("answer", "own_word", "by_rule"),
    [
        ("Look right", (("Look right",), False), (("Look right",), False)),
        ("Stay", ((), True), (("Look left",), False)),
        ("I see nothing at all, sorry", (("Look left",), False), (("Look left",), False)),
    ],
)
def test_who_thinks_may_stop_by_its_own_word_or_by_the_rule_alone(answer: str, own_word: Any, by_rule: Any) -> None:
    world: Any = SimpleNamespace(ask_many=lambda *asked, **settings: [answer])
    for stops, expected in ((True, own_word), (False, by_rule)):
        decision = Thinker(world=world, stops=stops).decide(FakeWorld().begin(), Goal(text="the duck"), step=0, seed=0)
        assert (decision.words, decision.stops) == expected
        assert decision.model_calls == 1


def test_who_knows_the_way_walks_like_who_sees_it_perfectly(missions: list[Mission]) -> None:
    house: Any = PaperHouse()
    oracle, scorer = OracleWorld(house, FakeWorld()), perfect_scorer(house)
    settings: Any = {"rollouts": 9, "maneuvers": Maneuvers(turns=4, steps=2), "commit": 6}
    tried = [
        try_all(planning("one", oracle, each, **settings), house, scorer, missions)
        for each in (WayScorer(), perfect_scorer(house))
    ]
    knows, sees = ([(each.success, each.left, each.walked, each.actions) for each in outcomes] for outcomes in tried)
    assert knows == sees
    with pytest.raises(ConfigError, match="OracleWorld that was told the way"):
        WayScorer().score(OracleWorld(house, FakeWorld()), [])


def test_everybody_lines_up(missions: list[Mission]) -> None:
    house = PaperHouse()
    names = [
        each.name
        for each in line_up(
            FakeWorld(),
            OracleWorld(house, FakeWorld()),
            perfect_scorer(house),
            rollouts=(9, 1, 3),
            maneuvers=Maneuvers(),
            commit=3,  # type: ignore[arg-type]
        )
    ]
    assert names == [
        "random actions",
        "thought only",
        "thought only, stopped by the rule",
        "planner, random scorer",
        "planner, learned world, 1 rollout",
        "planner, learned world, 3 rollouts",
        "planner, learned world, 9 rollouts",
        "planner, simulator as world",
        "planner, simulator as world and scorer",
    ]


def test_standings_are_means_by_contestant_and_distance() -> None:
    outcomes = [outcome("planner, learned world, 9 rollouts", number, place=number % 3) for number in range(6)]
    outcomes += [outcome("random actions", number, success=number == 0, place=number % 3) for number in range(6)]
    rows = {(row.metric, row.name): row for row in standing_rows(outcomes)}
    assert rows["success_rate", "planner, learned world, 9 rollouts"].value == 1.0
    assert rows["success_rate", "random actions"].value == pytest.approx(1 / 6)
    assert rows["success_rate", "random actions, 1-3 m"].value == 0.5
    assert rows["success_rate", "random actions, 6-10 m"].value == 0.0
    assert rows["spl", "planner, learned world, 9 rollouts, 3-6 m"].value == pytest.approx(0.5)
    assert rows["steps", "random actions"].value == 8
    gain = rows["success_rate_difference", "planner, learned world, 9 rollouts over random actions"]
    assert (gain.n, gain.value) == (6, pytest.approx(5 / 6))


def test_differences_are_paired() -> None:
    # Both win every second mission, but the same ones: no difference, and no doubt about it.
    same = [outcome(name, number, success=number % 2 == 0) for name in "ab" for number in range(20)]
    row = difference_row(same, "a", "b")
    assert (row.value, row.low, row.high) == (0.0, 0.0, 0.0)
    worse = [outcome("a", number, success=False) for number in range(8)] + [outcome("b", number) for number in range(4)]
    row = difference_row(worse, "a", "b")
    assert (row.n, row.value) == (4, -1.0)


def test_the_first_wins_and_failures_are_kept_as_movies(missions: list[Mission], tmp_path: Path) -> None:
    house = PaperHouse()
    scorer = perfect_scorer(house)
    oracle = OracleWorld(house, FakeWorld())  # type: ignore[arg-type]
    best = planning("the best, so far", oracle, scorer, rollouts=9, maneuvers=Maneuvers(), commit=6)
    keep = WalkMovies(tmp_path, each=1).keep
    run_missions(
        [best], missions[:3], partial(send, house=house, scorer=scorer, rule=RULE, seed=0), tmp_path, settings={}, keep=keep
    )  # type: ignore[arg-type]
    names = sorted(path.name for path in (tmp_path / "movies").iterdir())
    assert [name for name in names if "_win_" in name] == ["the_best_so_far_win_0000.gif"]
    assert len(names) <= 2
