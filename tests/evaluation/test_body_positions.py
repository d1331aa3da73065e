from __future__ import annotations

import numpy as np
import pytest

from bagel_world.evaluation.body_positions import position_error, position_rows
from bagel_world.evaluation.compared import Compared


def scene(x: int, y: int, side: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """A textured square on gray, and its mask."""
    frame, mask = np.full((side, side, 3), 128, np.uint8), np.zeros((side, side), np.bool_)
    frame[y : y + 8, x : x + 8] = np.random.default_rng(0).integers(0, 256, (8, 8, 3))[:, : side - x]
    mask[y : y + 8, x : x + 8] = True
    return frame, mask


@pytest.mark.parametrize("shift", [(0, 0), (3, 4), (-5, 0), (2, -2)])
def test_the_error_is_how_far_the_body_lies_from_its_place(shift: tuple[int, int]) -> None:
    real, mask = scene(16, 16)
    shown, _ = scene(16 + shift[0], 16 + shift[1])
    assert position_error(real, mask, shown, reach=5) == pytest.approx(np.hypot(*shift))


def test_a_body_that_is_gone_counts_as_the_best_of_nothing_and_not_beyond_reach() -> None:
    real, mask = scene(16, 16)
    assert position_error(real, mask, np.full_like(real, 128), reach=5) == 0.0
    far, _ = scene(30, 16)
    assert position_error(real, mask, far, reach=5) <= np.hypot(5, 5)


def test_a_body_half_out_of_the_picture_is_compared_by_what_is_inside() -> None:
    real, mask = scene(33, 16)
    shown, _ = scene(30, 16)
    assert position_error(real, mask, shown, reach=4) == pytest.approx(3.0)


def test_only_bodies_that_moved_count() -> None:
    real, mask = scene(16, 16)
    moved, _ = scene(18, 16)
    owners = np.where(mask, 0, -1).astype(np.int32)
    compared = Compared(
        real=np.stack([real, real]),
        against={"imagined": np.stack([moved, moved]), "copy last": np.stack([real, real])},
        samples={"all actions": np.ones(2, np.bool_), "none": np.zeros(2, np.bool_)},
        groups=np.array(["a", "b"]),
        seed=0,
    )
    rows = list(position_rows(compared, np.stack([owners, owners]), np.array([[4.0], [0.5]])))
    assert [(row.name, row.n, row.value) for row in rows] == [
        ("imagined, all actions", 1, pytest.approx(2.0)),
        ("copy last, all actions", 1, pytest.approx(0.0)),
    ]
    assert not list(position_rows(compared, np.stack([owners, owners]), np.full((2, 1), np.nan)))
