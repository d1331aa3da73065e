"""Body positions: how far from its true place a body appears in a frame, found by moving its true picture until it fits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bagel_world.evaluation.compared import LEAST_REGION, Compared
from bagel_world.evaluation.metrics import mean_interval
from bagel_world.evaluation.report import Row, make_row
from bagel_world.evaluation.scenes import Owners
from bagel_world.types import Frame

REACH = 1 / 8
"""How far a body is looked for around its true place, as a part of the picture's height; a body farther off counts as so far."""

LEAST_MOTION = 1.0
"""Pixels by which the middle of a body must have moved since the last given frame to count."""


def position_error(real: Frame, mask: np.ndarray, shown: Frame, reach: int) -> float:
    """Pixels between where a body is and where it appears.

    Args:
        real: the real frame, uint8, shape (height, width, 3).
        mask: which of its pixels show the body, shape (height, width).
        shown: the frame in which the body is looked for, of the same shape.
        reach: whole pixels by which it is moved at most, in x and in y.

    Returns:
        The length of the shift under which the body's pixels fit best (least mean squared difference); the shortest of equals.
    """
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    body, frame = real[rows, columns].astype(np.float64), shown.astype(np.float64)
    shifts = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).T
    shifts = shifts[np.argsort(np.hypot(*shifts.T), kind="stable")]
    best, found = np.inf, 0.0
    for down, right in shifts:
        y, x = rows + down, columns + right
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        if 2 * inside.sum() < len(rows):
            continue
        error = float(np.square(frame[y[inside], x[inside]] - body[inside]).mean())
        if error < best:
            best, found = error, float(np.hypot(down, right))
    return found


def position_rows(compared: Compared, owners: Owners, moved: np.ndarray) -> Iterator[Row]:
    """The mean position error of the bodies that moved, per label and sample.

    Args:
        compared: the frames.
        owners: which body each pixel of the real frames shows, shape (n, height, width).
        moved: pixels by which the middle of each body moved since the last given frame, shape (n, bodies); NaN where a frame
            has fewer bodies.
    """
    reach = max(1, round(REACH * compared.real.shape[1]))
    counted = [
        (place, body)
        for place in range(len(owners))
        for body in np.flatnonzero(np.nan_to_num(moved[place]) >= LEAST_MOTION).tolist()
        if (owners[place] == body).sum() >= LEAST_REGION
    ]
    if not counted:
        return
    places = np.array([place for place, _ in counted])
    for label, frames in compared.against.items():
        errors = np.array(
            [position_error(compared.real[place], owners[place] == body, frames[place], reach) for place, body in counted]
        )
        for name, mask in compared.samples.items():
            chosen = mask[places]
            if chosen.any():
                interval = mean_interval(errors[chosen], groups=compared.groups[places[chosen]], seed=compared.seed)
                yield make_row("body_position_error_px", f"{label}, {name}", int(chosen.sum()), interval)
