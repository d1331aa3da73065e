from __future__ import annotations

import numpy as np
import pytest

from bagel_world.video.cuts import find_cross_fades, find_cuts, find_gaps
from tests.video.conftest import MakeTimeline
from tests.video.films import black, faded, mixed, pan, zoom

THRESHOLD = 0.3


def places(flags: np.ndarray) -> list[int]:
    return np.flatnonzero(flags).tolist()


def test_every_cut_is_found_at_its_picture(timeline: MakeTimeline) -> None:
    film = timeline([*pan(0, 40), *zoom(1, 25), *pan(2, 33, step=6), *pan(3, 30)])
    assert places(find_cuts(film, THRESHOLD)) == [40, 65, 98]


@pytest.mark.parametrize("step", [1.0, 4.0, 16.0, 32.0])
def test_a_pan_is_no_cut(timeline: MakeTimeline, step: float) -> None:
    """Up to a fifth of the width from one picture to the next."""
    film = timeline(pan(4, 60, step=step))
    cuts = find_cuts(film, THRESHOLD)
    assert places(cuts) == []
    assert places(find_cross_fades(film, cuts)) == []


def test_neither_zoom_nor_light_is_a_cut(timeline: MakeTimeline) -> None:
    film = timeline([*zoom(5, 40, rate=0.98), *faded(zoom(5, 40, rate=0.98)[-1:] * 40, 1.0, 0.5)])
    assert places(find_cuts(film, THRESHOLD)) == []


def test_a_flash_is_no_cut(timeline: MakeTimeline) -> None:
    frames = pan(6, 48)
    frames[20] = frames[21] = np.full_like(frames[20], 255)
    frames[22] = (frames[22] * 0.5 + 127).astype(np.uint8)
    assert places(find_cuts(timeline(frames), THRESHOLD)) == []


def test_dark_films_have_cuts_too(timeline: MakeTimeline) -> None:
    film = timeline([*faded(pan(7, 30), 0.3, 0.3), *faded(pan(8, 30), 0.3, 0.3)])
    assert places(find_cuts(film, THRESHOLD)) == [30]


@pytest.mark.parametrize("count", [12, 24, 48])
def test_a_cross_fade_is_found_and_little_else(timeline: MakeTimeline, count: int) -> None:
    before, after = pan(9, 48 + count, step=1), pan(10, 48 + count, step=1)
    film = timeline([*before[:48], *mixed(before[48:], after[:count]), *after[count:]])
    cuts = find_cuts(film, THRESHOLD)
    assert places(cuts) == []
    fading = places(find_cross_fades(film, cuts))
    assert set(range(48 + count // 3, 48 + 2 * count // 3)) <= set(fading)
    assert min(fading) >= 48 - 8
    assert max(fading) < 48 + count + 8


def test_a_cut_is_no_cross_fade(timeline: MakeTimeline) -> None:
    film = timeline([*pan(11, 48), *pan(12, 48)])
    assert places(find_cross_fades(film, find_cuts(film, THRESHOLD))) == []


def test_gaps_are_long_waits_and_new_sizes(timeline: MakeTimeline) -> None:
    film = timeline(black(8))
    film.times[5:] += 1.2
    film.sizes[2:] = (100, 50)
    assert places(find_gaps(film)) == [2, 5]


def test_slow_films_have_no_gaps(timeline: MakeTimeline) -> None:
    film = timeline(black(8))
    film.times[:] = np.arange(8) * 3.0
    assert places(find_gaps(film)) == []
