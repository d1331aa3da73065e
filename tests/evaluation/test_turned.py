from __future__ import annotations

import numpy as np
import pytest

from bagel_world.evaluation.metrics import psnr
from bagel_world.evaluation.turned import turn_view

RAMP = np.broadcast_to(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], (64, 64, 3)).copy()


def test_no_turn_changes_nothing() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    np.testing.assert_array_equal(turn_view(frame, 0.0, field_of_view=60.0), frame)


def test_what_was_left_of_the_middle_comes_into_the_middle() -> None:
    """At 90 degrees the focal length is half the side, so that a ray of 26.57 degrees (slope 1/2) is halfway to the edge."""
    turned = turn_view(RAMP, float(np.rad2deg(np.arctan(0.5))), field_of_view=90.0)
    assert abs(int(turned[32, 31, 0]) - int(RAMP[32, 15, 0])) <= 4
    back = turn_view(RAMP, -float(np.rad2deg(np.arctan(0.5))), field_of_view=90.0)
    np.testing.assert_allclose(back.astype(int), 255 - 3 - turned[:, ::-1].astype(int), atol=1)


def test_beyond_the_edge_stands_the_edge() -> None:
    turned = turn_view(RAMP, 30.0, field_of_view=60.0)
    assert (turned[32, :31] == RAMP[32, 0]).all()
    assert (turn_view(RAMP, 170.0, field_of_view=60.0) <= 255).all()


@pytest.mark.parametrize(("word", "degrees", "shared"), [(1, 30.0, slice(40, 64)), (2, -30.0, slice(0, 24))])
def test_houses_turn_as_the_homography_says(word: int, degrees: float, shared: slice) -> None:
    from bagel_world.errors import SimulatorError
    from bagel_world.sims.house import FIELD_OF_VIEW, House

    try:
        house = House(split="test")
        before, _ = house.reset(seed=1)
    except SimulatorError as error:
        pytest.skip(str(error))
    after = house.step(word)[0]
    turned = turn_view(before, degrees, field_of_view=FIELD_OF_VIEW)
    signal = psnr(turned[None, :, shared], after[None, :, shared])[0]
    others = [(-degrees, FIELD_OF_VIEW), (degrees, FIELD_OF_VIEW - 5), (degrees, FIELD_OF_VIEW + 5), (0.0, FIELD_OF_VIEW)]
    for other, view in others:
        assert signal > psnr(turn_view(before, other, field_of_view=view)[None, :, shared], after[None, :, shared])[0] + 3
    house.close()
