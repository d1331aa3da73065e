from __future__ import annotations

import numpy as np
import pytest

from bagel_world.errors import ConfigError
from bagel_world.evaluation.side_by_side import GAP, HEADER, side_by_side
from bagel_world.world.record import enlarge


def test_every_frame_is_there_whole_next_to_its_twin() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 256, (2, 3, 64, 48, 3), dtype=np.uint8)
    drawn = side_by_side({"real": one, "imagined": other}, ["1. Look left", "2. Stay", "3. Stay"])
    height, width = enlarge(one[0]).shape[:2]
    assert drawn.shape == (3, HEADER + height, 2 * width + GAP, 3)
    for picture, left, right in zip(drawn, one, other, strict=True):
        np.testing.assert_array_equal(picture[HEADER:, :width], enlarge(left))
        np.testing.assert_array_equal(picture[HEADER:, width + GAP :], enlarge(right))
    headers = drawn[:, :HEADER]
    assert not np.array_equal(headers[0], headers[1])
    assert not np.array_equal(headers[1], headers[2])


def test_columns_that_do_not_fit_are_refused() -> None:
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    for columns, captions in (({"a": frames, "b": frames[:1]}, ["x"] * 2), ({"a": frames}, ["x"])):
        with pytest.raises(ConfigError, match="columns of one shape"):
            side_by_side(columns, captions)
