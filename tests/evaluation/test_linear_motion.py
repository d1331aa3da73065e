from __future__ import annotations

import numpy as np
import pytest

from bagel_world.evaluation.kinds import go_on
from bagel_world.evaluation.linear_motion import background, move_on, shift_picture
from bagel_world.evaluation.windows import cut_window
from tests.evaluation.tables import SIDE, SQUARE, KnownSquares, fall


def test_a_body_that_flies_straight_on_is_where_it_is_expected() -> None:
    episode = fall(0, waits=[1, 2, 1, 4])
    window = cut_window(episode, 0, context=3, horizon=2)
    expected = go_on(window, KnownSquares((SIDE, SIDE)).owners(window))
    # The stripes behind it are the same on both sides, so that what was never seen is filled in right.
    np.testing.assert_array_equal(expected, episode.frames[3:])


def test_a_body_that_turns_back_is_expected_on_its_old_way() -> None:
    episode = fall(1, waits=[1, 1, 2], bounce=2)
    window = cut_window(episode, 0, context=3, horizon=1)
    expected = go_on(window, KnownSquares((SIDE, SIDE)).owners(window))
    straight = fall(1, waits=[1, 1, 2])
    np.testing.assert_array_equal(expected[0], straight.frames[3])
    assert not np.array_equal(expected[0], episode.frames[3])


def test_the_pace_is_counted_in_time_not_in_frames() -> None:
    quick, slow = (cut_window(fall(2, waits=[first, 4]), 0, context=2, horizon=1) for first in (1, 2))
    for window in (quick, slow):
        owners = KnownSquares((SIDE, SIDE)).owners(window)
        picture = go_on(window, owners)[0]
        x, y = np.rint(window.metadata["places"][2]).astype(int)
        np.testing.assert_array_equal(picture[y : y + SQUARE, x : x + SQUARE], window.frames[2][y : y + SQUARE, x : x + SQUARE])


def test_nearer_bodies_hide_farther_ones() -> None:
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    owners = np.full((2, 8, 8), -1, np.int32)
    frames[:, 2, 1], frames[:, 2, 5] = 100, 200
    owners[:, 2, 1], owners[:, 2, 5] = 0, 1
    centers = np.array([[[0.0, 2], [6, 2]], [[1, 2], [5, 2]]])
    for order, shown in (([0, 1], 200), ([1, 0], 100)):
        picture = move_on(frames, owners, centers, [0.0, 1.0], order, 2.0)
        assert picture[2, 3].tolist() == [shown] * 3


def test_background_is_the_newest_free_pixel_and_filled_from_the_row_where_there_is_none() -> None:
    frames = np.stack([np.full((3, 9, 3), level, np.uint8) for level in (10, 20, 30)])
    frames[:, :, 8] = 90
    owners = np.full((3, 3, 9), -1, np.int32)
    owners[2, 1, 1] = 0  # hidden in the last frame only
    owners[:, 1, 5] = 0  # hidden in all of them
    found = background(frames, owners)[..., 0]
    # With the pixels next to it a body hides a cross of five.
    assert found[0, 1] == found[2, 1] == 20
    assert (found[1, [0, 1, 2, 3, 7, 8]] == [20, 20, 20, 30, 30, 90]).all()
    assert (found[1, 4:7] == 30).all()


@pytest.mark.parametrize(("right", "down"), [(0, 0), (2, -1), (-3, 2), (9, 0), (0, -9)])
def test_whole_shifts_move_pixels_and_zeros_come_in(right: int, down: int) -> None:
    picture = np.random.default_rng(0).random((6, 7, 2))
    expected = np.zeros_like(picture)
    for y in range(6):
        for x in range(7):
            if 0 <= y - down < 6 and 0 <= x - right < 7:
                expected[y, x] = picture[y - down, x - right]
    np.testing.assert_array_equal(shift_picture(picture, right, down), expected)


def test_half_a_pixel_is_half_of_both_neighbors() -> None:
    picture = np.zeros((3, 5, 1))
    picture[1, 2] = 8.0
    np.testing.assert_allclose(shift_picture(picture, 0.5, 0.0)[1, :, 0], [0, 0, 4, 4, 0])
    np.testing.assert_allclose(shift_picture(picture, 0.0, -0.25)[:, 2, 0], [2, 6, 0])
