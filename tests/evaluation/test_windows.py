from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from bagel_world.errors import ConfigError
from bagel_world.evaluation.windows import cut_window, draw_windows, is_new_view
from bagel_world.types import Episode

HERE = np.array([1.0, 0.0, 2.0, 350.0])


@pytest.mark.parametrize(
    ("offset", "new"),
    [
        ((0.0, 0.0, 0.0, 0.0), False),
        ((0.25, 0.0, 0.0, 15.0), False),
        ((0.26, 0.0, 0.0, 0.0), True),
        ((0.0, 0.0, 0.0, 16.0), True),
        ((0.0, 0.0, 0.0, 30.0), True),
        ((0.0, 0.0, 0.0, 360.0), False),
        ((0.0, 0.0, 0.0, -355.0), False),
        ((0.2, 0.0, 0.2, 0.0), True),
    ],
)
def test_a_view_is_new_beyond_a_quarter_meter_or_fifteen_degrees(offset: tuple[float, ...], new: bool) -> None:
    assert is_new_view(HERE[None], HERE + np.array(offset)) is new


def test_one_near_frame_of_the_context_makes_a_view_known() -> None:
    far = HERE + np.array([3.0, 0.0, 0.0, 0.0])
    assert is_new_view(np.stack([far, far]), HERE)
    assert not is_new_view(np.stack([far, HERE, far]), HERE)


def test_a_window_is_a_stretch_of_its_episode(make_walk: Callable[..., Episode]) -> None:
    episode = make_walk(3)
    window = cut_window(episode, 2, context=4, horizon=3)
    np.testing.assert_array_equal(window.frames, episode.frames[2:9])
    np.testing.assert_array_equal(window.seen, episode.frames[2:6])
    assert window.poses is not None
    assert episode.poses is not None
    np.testing.assert_array_equal(window.poses, episode.poses[2:9])
    assert window.actions == episode.actions[2:8]
    assert window.asked == episode.actions[5:8]
    assert (window.group, window.house) == ("1", None)


def test_staying_moves_nothing_and_shows_nothing_new(make_walk: Callable[..., Episode]) -> None:
    for number in range(4):
        episode = make_walk(number)
        for start in range(len(episode) - 3):
            window = cut_window(episode, start, context=4, horizon=1)
            if window.asked[0].text == "Stay":
                assert not window.moved
                assert not window.new_view


def test_a_turn_back_shows_a_known_view(make_walk: Callable[..., Episode]) -> None:
    seen = {True: 0, False: 0}
    for number in range(20):
        episode = make_walk(number)
        for start in range(len(episode) - 1):
            window = cut_window(episode, start, context=2, horizon=1)
            back, there = window.actions[0].id, window.asked[0].id
            if {back, there} == {1, 2}:
                assert not window.new_view
                seen[False] += 1
            if back == there == 1:
                assert window.new_view
                seen[True] += 1
    assert min(seen.values()) > 0


def test_footage_without_poses_has_no_new_views(make_walk: Callable[..., Episode]) -> None:
    episode = make_walk(0)
    blind = Episode(frames=episode.frames, actions=episode.actions)
    assert not any(cut_window(blind, start, context=2, horizon=1).new_view for start in range(10))


def keys(windows: Sequence[object]) -> list[bytes]:
    return [window.frames.tobytes() + window.group.encode() for window in windows]  # pyright: ignore[reportAttributeAccessIssue]


def test_windows_are_spread_over_the_episodes_and_follow_the_seed(make_walk: Callable[..., Episode]) -> None:
    episodes = [make_walk(2 * number) for number in range(10)]
    windows = draw_windows(episodes, n=25, context=4, horizon=1, seed=5)
    counts = np.unique([window.group for window in windows], return_counts=True)[1]
    assert sorted(counts.tolist()) == [2] * 5 + [3] * 5
    assert keys(windows) == keys(draw_windows(episodes, n=25, context=4, horizon=1, seed=5))
    assert keys(windows) != keys(draw_windows(episodes, n=25, context=4, horizon=1, seed=6))


def test_every_window_there_is_can_be_drawn_once_and_no_more(make_walk: Callable[..., Episode]) -> None:
    lengths = (3, 4, 9, 5)
    episodes = [make_walk(number, steps=steps) for number, steps in enumerate(lengths)]
    everything = sum(steps - 2 for steps in lengths)
    windows = draw_windows(episodes, n=everything, context=2, horizon=2, seed=0)
    assert len(windows) == everything
    found = {(window.group, window.frames.tobytes()) for window in windows}
    expected = {
        (cut.group, cut.frames.tobytes())
        for episode in episodes
        for start in range(len(episode.frames) - 3)
        for cut in [cut_window(episode, start, context=2, horizon=2)]
    }
    assert found == expected
    with pytest.raises(ConfigError, match=rf"at least {everything + 1} stretches .* in 4 episodes, found {everything}\. .*--n"):
        draw_windows(episodes, n=everything + 1, context=2, horizon=2, seed=0)


def test_no_more_episodes_are_read_than_needed(make_walk: Callable[..., Episode]) -> None:
    class Counting(list[Episode]):
        reads = 0

        def __getitem__(self, index: object) -> Episode:  # type: ignore[override]
            Counting.reads += 1
            return super().__getitem__(index)  # type: ignore[index]

    draw_windows(Counting(make_walk(number) for number in range(10)), n=3, context=4, horizon=1, seed=0)
    assert Counting.reads == 3
