from __future__ import annotations

import numpy as np
import pytest
import torch

from bagel_world.errors import ConfigError
from bagel_world.evaluation.closed.feature_scorer import FeatureScorer
from bagel_world.perception import Perception
from bagel_world.world.fake import FakeWorld
from bagel_world.world.scoring import Candidate, Goal, Scorer


@pytest.fixture(scope="module")
def scorer() -> FeatureScorer:
    """Random weights: what is compared does not matter here, only how."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Perception()
        for each in network.parameters():
            torch.nn.init.normal_(each, std=0.2)
    return FeatureScorer(network.eval())


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)


def test_equal_pictures_score_one_and_no_other_does(scorer: FeatureScorer) -> None:
    assert isinstance(scorer, Scorer)
    frames = pictures(3)
    goal = Goal(image=frames[1])
    scores = scorer.score(FakeWorld(), [Candidate(frame=frame, goal=goal) for frame in frames])
    assert scores[1] == pytest.approx(1.0, abs=1e-5)
    assert max(scores[0], scores[2]) < 0.999
    assert min(scores) >= -1.0


def test_it_is_the_mean_best_match_of_parts_both_ways(scorer: FeatureScorer) -> None:
    frame, goal = pictures(2)
    one, other = (scorer._parts_of(each[None])[0] for each in (frame, goal))
    best = [max(float(a @ b) for b in other) for a in one] + [max(float(a @ b) for a in one) for b in other]
    (score,) = scorer.score(FakeWorld(), [Candidate(frame=frame, goal=Goal(image=goal))])
    assert score == pytest.approx(np.mean(best), abs=1e-5)


def test_a_score_does_not_depend_on_the_others_or_on_goals_before(scorer: FeatureScorer) -> None:
    frames = pictures(40)
    goals = [Goal(image=frames[-1]), Goal(image=frames[-2])]
    candidates = [Candidate(frame=frame, goal=goals[place % 2]) for place, frame in enumerate(frames)]
    together = scorer.score(FakeWorld(), candidates)
    alone = [scorer.score(FakeWorld(), [each])[0] for each in candidates[:6]]
    assert together[:6] == pytest.approx(alone, abs=1e-5)
    assert scorer.score(FakeWorld(), []) == []


def test_a_goal_in_words_is_refused(scorer: FeatureScorer) -> None:
    with pytest.raises(ConfigError, match="'judge' for goals in words"):
        scorer.score(FakeWorld(), [Candidate(frame=pictures(1)[0], goal=Goal(text="the duck"))])
