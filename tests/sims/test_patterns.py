from __future__ import annotations

import numpy as np
import pytest

from bagel_world.errors import UnknownNameError
from bagel_world.sims.patterns import PATTERNS, SIDE, hue_turned, paint

RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


def test_plain_is_one_color() -> None:
    texture = paint("plain", RED, BLUE, grain=0.0)
    assert texture.shape == (SIDE, SIDE, 3)
    assert (texture == (255, 0, 0)).all()


def test_checks_are_half_of_each_color() -> None:
    texture = paint("checks", RED, BLUE, grain=0.0)
    assert (texture == (0, 0, 255)).all(axis=-1).mean() == 0.5
    assert (texture == (255, 0, 0)).all(axis=-1).mean() == 0.5
    assert tuple(texture[0, 0]) == (255, 0, 0)
    assert tuple(texture[0, SIDE // 4]) == (0, 0, 255)


def test_the_second_color_of_halves_is_above() -> None:
    texture = paint("halves", RED, BLUE, grain=0.0)
    assert (texture[: SIDE // 2] == (0, 0, 255)).all()
    assert (texture[SIDE // 2 :] == (255, 0, 0)).all()


@pytest.mark.parametrize("pattern", sorted(set(PATTERNS) - {"plain"}))
def test_every_other_pattern_shows_both_colors_and_is_its_own(pattern: str) -> None:
    share = paint(pattern, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), grain=0.0)[..., 0] / 255
    assert share.min() < 0.3
    assert share.max() > 0.7
    others = [paint(name, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), grain=0.0)[..., 0] / 255 for name in set(PATTERNS) - {pattern}]
    assert min(np.abs(share - other).mean() for other in others) > 0.02


def test_grain_is_always_the_same() -> None:
    texture = paint("plain", RED, BLUE)
    assert texture.std() > 1
    np.testing.assert_array_equal(texture, paint("plain", RED, BLUE))


def test_a_third_of_a_turn_makes_red_green() -> None:
    red = np.full((2, 2, 3), (255, 0, 0), np.uint8)
    assert hue_turned(red, 0) is red
    assert np.abs(hue_turned(red, 120).astype(int) - (0, 255, 0)).max() <= 6  # hues have 256 steps
    np.testing.assert_array_equal(hue_turned(red, 480), hue_turned(red, 120))


def test_gray_has_no_hue_to_turn() -> None:
    gray = np.full((2, 2, 3), 99, np.uint8)
    np.testing.assert_array_equal(hue_turned(gray, 77), gray)


def test_unknown_patterns_get_a_hint() -> None:
    with pytest.raises(UnknownNameError, match="'stripes'"):
        paint("strips", RED, BLUE)
