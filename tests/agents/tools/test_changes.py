from __future__ import annotations

import numpy as np
import pytest

from bagel_world.agents.tools.changes import VISIBLE, change_between


def black(height: int = 2, width: int = 6) -> np.ndarray:
    return np.zeros((height, width, 3), dtype=np.uint8)


def test_equal_views_have_not_changed() -> None:
    change = change_between(black(), black())
    assert (change.share, change.thirds) == (0.0, (0.0, 0.0, 0.0))
    assert str(change) == "nothing visible changes"


def test_a_change_is_counted_where_it_is() -> None:
    after = black()
    after[:, 4:, 1] = 255
    change = change_between(black(), after)
    assert change.share == pytest.approx(1 / 3)
    assert change.thirds == (0.0, 0.0, 1.0)
    assert str(change) == "33 % of the picture changes, most of it on the right"


def test_a_change_everywhere_has_no_place() -> None:
    assert str(change_between(black(), black() + np.uint8(200))) == "100 % of the picture changes"


def test_what_nobody_sees_does_not_count() -> None:
    assert change_between(black(), black() + np.uint8(VISIBLE)).share == 0.0
    assert change_between(black(), black() + np.uint8(VISIBLE + 1)).share == 1.0
    # uint8 must not wrap around: 10 - 250 is a change of 240, not of 16.
    assert change_between(black() + np.uint8(10), black() + np.uint8(250)).share == 1.0


def test_the_narrowest_pictures_have_thirds_too() -> None:
    assert change_between(black(1, 1), black(1, 1) + np.uint8(255)).thirds == (1.0, 0.0, 0.0)
