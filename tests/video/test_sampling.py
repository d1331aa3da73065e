from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from bagel_world.video.clips import Clip
from bagel_world.video.config import FrameConfig
from bagel_world.video.sampling import sample_times, words_of_clips
from bagel_world.video.sidecar import Word


def clip(start: float = 0.0, end: float = 10.0, pictures: int = 240) -> Clip:
    return Clip(start=start, end=end, pictures=pictures, box=(0, 96, 0, 160), size=(160, 96), hashes=(), prints=())


@given(
    start=some.floats(0, 1e4),
    length=some.floats(0.5, 60),
    pictures=some.integers(2, 500),
    mean=some.floats(2, 16),
    seed=some.integers(0, 2**31),
)
def test_frames_lie_evenly_inside_their_clip(start: float, length: float, pictures: int, mean: float, seed: int) -> None:
    (times,) = sample_times(clip(start, start + length, pictures), FrameConfig(frames=mean, seed=seed), key="film")
    assert 2 <= len(times) <= pictures
    assert start <= times[0]
    assert times[-1] <= start + length + 1e-6
    np.testing.assert_allclose(np.diff(times), length / len(times), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("mean", [2, 2.1, 2.6, 3, 3.3, 4, 7.5])
def test_the_number_of_frames_is_right_on_average(mean: float) -> None:
    config = FrameConfig(frames=mean)
    counts = [len(sample_times(clip(float(start), start + 10.0), config, key="film")[0]) for start in range(2000)]
    assert np.mean(counts) == pytest.approx(mean, abs=0.06)
    assert min(counts) == 2
    assert max(counts) <= 3 + 2 * (mean - 2)


def test_draws_depend_on_seed_film_and_time_alone() -> None:
    def draw(key: str = "film", start: float = 1.0, seed: int = 0) -> list[list[float]]:
        return sample_times(clip(start, start + 9.0), FrameConfig(seed=seed), key=key)

    assert draw() == draw()
    assert draw() != draw(seed=1)
    assert draw() != draw(key="other")
    assert np.subtract(draw()[0][0], 1.0) != np.subtract(draw(start=2.0)[0][0], 2.0)


def test_a_stride_counts_from_the_clips_begin() -> None:
    config = FrameConfig(stride=2.5)
    assert sample_times(clip(1.0, 11.0), config, key="film") == [[1.0, 3.5, 6.0, 8.5, 11.0]]
    assert sample_times(clip(1.0, 3.0), config, key="film") == []


def test_at_actions_every_action_inside_a_clip_is_used_once() -> None:
    words = [Word(start=place / 2, end=(place + 1) / 2, text=str(place)) for place in range(40) if place != 21]
    (told,) = words_of_clips(words, [clip(2.2, 18.0)], seconds=20.0, longest=20.0)
    samples = sample_times(clip(2.2, 18.0), FrameConfig(at_actions=True), key="film", words=told)
    pairs = [pair for times in samples for pair in pairwise(times)]
    assert pairs == [(word.start, word.end) for word in words if word.start >= 2.2 and word.end <= 18.0]
    assert min(len(times) for times in samples) >= 2


def test_no_action_no_sample() -> None:
    config = FrameConfig(at_actions=True)
    assert sample_times(clip(), config, key="film") == []
    assert words_of_clips([Word(start=8.0, end=12.0, text="leaves the clip")], [clip()], seconds=20.0, longest=20.0) == [[]]


def test_actions_go_on_where_a_long_stretch_was_divided_and_end_with_the_film() -> None:
    words = [Word(start=place / 2, end=(place + 1) / 2, text=str(place)) for place in range(100)]
    words[-1] = replace(words[-1], end=math.inf)
    clips = [clip(0.0, 20.0, 601), clip(20.0333, 40.0333, 601), clip(40.0667, 50.0, 299)]
    told = words_of_clips(words, clips, seconds=50.0, longest=20.0)
    assert [word.text for row in told for word in row] == [str(place) for place in range(100)]
    assert told[-1][-1].end == 50.0


def test_no_action_goes_on_behind_a_cut() -> None:
    clips = [clip(0.0, 10.0, 301), clip(10.0333, 20.0, 300)]
    words = [Word(start=9.0, end=11.0, text="across"), Word(start=11.0, end=12.0, text="behind")]
    assert words_of_clips(words, clips, seconds=20.0, longest=20.0) == [[], [words[1]]]


@pytest.mark.parametrize("wrong", [{"size": 100}, {"size": (64, 50)}, {"size": 0}, {"stride": 1.0, "at_actions": True}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"multiples of 16|exclude each other"):
        FrameConfig.model_validate(wrong)
