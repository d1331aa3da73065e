"""Real walks: the simulator shows again what it showed when a walk was recorded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bagel_world.actions import NAVIGATE_WORDS
from bagel_world.episodes.shards import read_episodes
from bagel_world.evaluation.real_walks import real_walks
from bagel_world.types import Episode
from bagel_world.world.weights import ASSETS

STEPS = 6


@pytest.fixture(scope="module")
def starts() -> list[Episode]:
    return list(read_episodes(ASSETS / "nano" / "starts"))


def words_of(*episodes: Episode) -> np.ndarray:
    return np.array([[action.text for action in each.actions[1 : STEPS + 1]] for each in episodes]).T


@pytest.mark.sims
def test_the_words_of_recorded_walks_show_their_frames(starts: list[Episode]) -> None:
    walked = [starts[4], starts[1]]
    found = real_walks(starts, np.stack([each.frames[1] for each in walked]), words_of(*walked))
    assert found is not None
    assert found.shape == (2, STEPS + 1, 64, 64, 3)
    for shown, episode in zip(found, walked, strict=True):
        recorded = episode.frames[1 : STEPS + 2]
        assert np.abs(shown.astype(int) - recorded).mean() < 1.0
        assert np.abs(recorded[0].astype(int) - recorded[-1]).mean() > 5.0, "a walk that stays shows nothing"


def test_who_began_elsewhere_or_says_other_words_has_none(starts: list[Episode]) -> None:
    first, words = starts[0].frames[:1], words_of(starts[0])
    assert set(words.ravel()) <= set(NAVIGATE_WORDS)
    assert real_walks(starts, 255 - first, words) is None
    assert real_walks([replace(starts[0], poses=None)], first, words) is None
    assert real_walks(starts, first, np.full((2, 1), "Wait one moment")) is None
