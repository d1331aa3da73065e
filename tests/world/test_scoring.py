"""Scorers: what they return for known pictures, and that none depends on its neighbors in a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bagel_world.errors import CapabilityError, ConfigError, OutputError, UnknownNameError
from bagel_world.world.fake import FakeWorld
from bagel_world.world.scoring import (
    SCORER_NAMES,
    CallableScorer,
    Candidate,
    Goal,
    GoalImageScorer,
    JudgeScorer,
    RandomScorer,
    Scorer,
    ask_scorer,
    make_scorer,
)
from tests.world.loose import NO_SCORES, Loose

RED, BLUE = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)
RED[..., :4, 0] = 255
BLUE[..., :4, 2] = 255


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


def test_goal_image_is_the_similarity_of_the_world(world: FakeWorld) -> None:
    candidates = [Candidate(frame=RED, goal=Goal(image=goal)) for goal in (RED, BLUE)]
    scores = GoalImageScorer().score(world, candidates)
    assert scores == world.similarity([RED, RED], [RED, BLUE])
    assert scores[0] == 1.0
    assert [GoalImageScorer().score(world, [candidate])[0] for candidate in candidates] == scores


def test_goal_image_asks_for_a_picture(world: FakeWorld) -> None:
    with pytest.raises(ConfigError, match="goal_image"):
        GoalImageScorer().score(world, [Candidate(frame=RED, goal=Goal(text="the red room"))])


def test_the_judge_is_asked_about_the_context_or_the_newest_frame_alone(world: FakeWorld) -> None:
    asked: list[tuple[int, str]] = []

    class Witness(FakeWorld):
        def judge(self, contexts: Sequence[Any], goals: Sequence[str]) -> list[float]:
            asked.extend((len(context.frames), goal) for context, goal in zip(contexts, goals, strict=True))
            return super().judge(contexts, goals)

    witness, goal = Witness(), Goal(text="red")
    context = witness.observe(BLUE).say("Stay").observe(RED)
    seen = Candidate(frame=RED, goal=goal, context=context)
    bare = Candidate(frame=BLUE, goal=goal)
    assert JudgeScorer().score(witness, [seen, bare]) == [1.0, 0.0]
    assert JudgeScorer(sees="frame").score(witness, [seen, bare]) == [1.0, 0.0]
    assert asked == [(2, "red"), (1, "red"), (1, "red"), (1, "red")]


def test_the_judge_asks_for_words_and_for_a_world_that_writes(world: FakeWorld) -> None:
    with pytest.raises(ConfigError, match="goal_text"):
        JudgeScorer().score(world, [Candidate(frame=RED, goal=Goal(image=BLUE))])

    class Mute(FakeWorld):
        can_write = False  # type: ignore[assignment]

    with pytest.raises(CapabilityError, match="'judge' needs a world that was taught to write, Mute"):
        JudgeScorer().score(Mute(), [Candidate(frame=RED, goal=Goal(text="red"))])


def test_random_scores_follow_the_seed_alone(world: FakeWorld) -> None:
    scores = RandomScorer().score(world, [Candidate(frame=RED, goal=Goal(), seed=seed) for seed in range(1000)])
    again = RandomScorer().score(world, [Candidate(frame=BLUE, goal=Goal(image=RED), seed=seed) for seed in range(1000)])
    assert scores == again
    assert 0.0 <= min(scores) < max(scores) < 1.0
    assert np.mean(scores) == pytest.approx(0.5, abs=0.03)


def test_a_function_scores_frame_and_goal(world: FakeWorld) -> None:
    def redness(frame: np.ndarray, goal: Goal) -> float:
        assert goal.text == "red"
        return float(frame[..., 0].mean() / 255)

    scorer = make_scorer(redness)
    assert isinstance(scorer, CallableScorer)
    assert scorer.source == "callable:redness"
    goal = Goal(text="red")
    assert scorer.score(world, [Candidate(frame=RED, goal=goal), Candidate(frame=BLUE, goal=goal)]) == [0.5, 0.0]


def test_a_function_cannot_write_to_the_frame(world: FakeWorld) -> None:
    def vandal(frame: np.ndarray, goal: Goal) -> float:
        frame[:] = 0
        return 0.0

    with pytest.raises(ValueError, match="read-only"):
        CallableScorer(vandal).score(world, [Candidate(frame=RED.copy(), goal=Goal())])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "high", [1, 2]])
def test_a_function_must_return_a_finite_number(world: FakeWorld, value: Any) -> None:
    with pytest.raises(OutputError, match="finite"):
        CallableScorer(lambda frame, goal: value).score(world, [Candidate(frame=RED, goal=Goal())])


def test_numbers_of_any_kind_are_scores(world: FakeWorld) -> None:
    candidates = [Candidate(frame=RED, goal=Goal())] * 2
    scores = ask_scorer(Loose(np.float32(0.5), 1), world, candidates)
    assert scores == [0.5, 1.0]
    assert {type(score) for score in scores} == {float}


@pytest.mark.parametrize("scores", NO_SCORES)
def test_what_is_no_score_names_the_scorer(world: FakeWorld, scores: tuple[Any, ...]) -> None:
    with pytest.raises(OutputError, match="loose"):
        ask_scorer(Loose(*scores), world, [Candidate(frame=RED, goal=Goal())])


@pytest.mark.parametrize("scorer", [GoalImageScorer(), JudgeScorer(), RandomScorer(), CallableScorer(lambda frame, goal: 0.0)])
def test_every_scorer_says_what_its_numbers_mean(scorer: Scorer) -> None:
    assert isinstance(scorer, Scorer)
    assert scorer.source
    assert len(scorer.calibration.split()) > 5
    assert make_scorer(scorer) is scorer


def test_names() -> None:
    assert SCORER_NAMES == ("none", "goal_image", "judge", "random", "reach")
    assert make_scorer("none") is None
    assert make_scorer("goal_image") == GoalImageScorer()
    assert make_scorer("random") == RandomScorer()
    assert make_scorer("judge") == JudgeScorer()
    with pytest.raises(UnknownNameError, match="Did you mean 'random'"):
        make_scorer("rando")
    with pytest.raises(ConfigError, match="Scorer"):
        make_scorer(7)  # type: ignore[arg-type]


def test_a_goal_is_true_when_there_is_something_to_reach() -> None:
    assert not Goal()
    assert Goal(image=RED)
    assert Goal(text="here")
