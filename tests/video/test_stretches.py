from __future__ import annotations

import numpy as np

from bagel_world.video.config import ClipConfig
from bagel_world.video.cuts import find_cuts, find_gaps
from bagel_world.video.stretches import REASONS, find_stretches, runs
from bagel_world.video.timeline import Timeline
from tests.video.conftest import MakeTimeline
from tests.video.films import black, blurry, faded, pan


def reasons(film: Timeline, config: ClipConfig | None = None) -> list[tuple[str, int, int]]:
    """(reason, start, end) of every dropped stretch."""
    config = config or ClipConfig()
    found = find_stretches(film, find_gaps(film) | find_cuts(film, config.cut_threshold), config)
    return sorted(
        ((reason, *run) for place, reason in enumerate(REASONS) for run in runs(found == place)), key=lambda each: each[1]
    )


def test_a_moving_film_is_kept(timeline: MakeTimeline) -> None:
    assert reasons(timeline(pan(0, 60))) == []


def test_black_and_the_fades_around_it(timeline: MakeTimeline) -> None:
    frames = [*pan(1, 36), *faded(pan(1, 60)[36:], 1.0, 0.0), *black(24), *faded(pan(2, 24), 0.0, 1.0), *pan(2, 60)[24:]]
    out, dark, into = reasons(timeline(frames))
    assert (out[0], dark[0], into[0]) == ("fade", "black", "fade")
    assert 37 <= out[1] <= 44  # light falls from picture 36 on, visibly a little later
    assert out[2] == dark[1]
    assert dark[2] == into[1]
    assert dark[1] <= 60
    assert dark[2] >= 84
    assert 100 <= into[2] <= 107


def test_a_jump_from_black_has_no_fade(timeline: MakeTimeline) -> None:
    assert reasons(timeline([*black(24), *pan(3, 48)])) == [("black", 0, 24)]


def test_a_frozen_stretch_is_dropped_and_a_short_stop_is_not(timeline: MakeTimeline) -> None:
    frames = pan(4, 72)
    assert reasons(timeline([*frames[:36], *[frames[36]] * 48, *frames[37:]])) == [("frozen", 36, 84)]
    assert reasons(timeline([*frames[:36], *[frames[36]] * 12, *frames[37:]])) == []


def test_something_small_that_moves_is_not_frozen(timeline: MakeTimeline) -> None:
    frames = []
    for place in range(48):
        frame = pan(5, 1)[0].copy()
        frame[40:52, 2 * place : 2 * place + 6] = 255 if frame[40:52].mean() < 128 else 0
        frames.append(frame)
    assert reasons(timeline(frames)) == []


def test_a_blurred_stretch_is_dropped_and_a_short_one_is_not(timeline: MakeTimeline) -> None:
    frames = pan(6, 96)
    ((reason, start, end),) = reasons(timeline([*frames[:36], *blurry(frames[36:66]), *frames[66:]]))
    assert reason == "blurred"
    assert 36 <= start <= 42  # blur is measured four times a second
    assert 66 <= end <= 72
    assert reasons(timeline([*frames[:36], *blurry(frames[36:42]), *frames[42:]])) == []


def test_filters_can_be_switched_off(timeline: MakeTimeline) -> None:
    frames = pan(7, 80)
    film = timeline([*frames[:24], *[frames[24]] * 36, *blurry(frames[24:])])
    assert {reason for reason, *_ in reasons(film)} == {"frozen", "blurred"}
    assert reasons(film, ClipConfig(frozen_seconds=None, blur_limit=None)) == []


def test_runs_are_the_unbroken_rows_of_true() -> None:
    assert runs(np.array([True, True, False, True, False])) == [(0, 2), (3, 4)]
    assert runs(np.array([], dtype=bool)) == []
    assert runs(np.array([True])) == [(0, 1)]
