"""Turned views: what a camera that turns on the spot would show if the world were the last picture.

Between two pictures of one camera that only turned lies a homography, whatever the depth (Hartley and Zisserman, Multiple View
Geometry, section 8.4). What comes into view is not in the last picture: there stands the nearest pixel of its edge.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bagel_world.types import Frame


def turn_view(frame: Frame, degrees: float, *, field_of_view: float) -> Frame:
    """The picture after a turn on the spot.

    Args:
        frame: uint8, shape (height, width, 3), of a camera that looks straight ahead.
        degrees: to the left, less than 180; negative to the right.
        field_of_view: height of the picture in degrees.
    """
    height, width = frame.shape[:2]
    focal = height / 2 / np.tan(np.deg2rad(field_of_view) / 2)
    rows, columns = np.mgrid[:height, :width]
    right, down = (columns + 0.5 - width / 2) / focal, (rows + 0.5 - height / 2) / focal
    turn = np.deg2rad(degrees)
    # The rays of the new picture in the axes of the old camera; those behind it are brought to its edges.
    ahead = np.maximum(right * np.sin(turn) + np.cos(turn), 1e-6)
    x = (right * np.cos(turn) - np.sin(turn)) / ahead * focal + width / 2 - 0.5
    y = down / ahead * focal + height / 2 - 0.5
    return _sampled(frame, y, x)


def _sampled(frame: Frame, rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]) -> Frame:
    """Bilinear interpolation at places in pixels; beyond an edge, the edge."""
    height, width = frame.shape[:2]
    rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
    top, left = np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    down, across = (rows - top)[..., None], (columns - left)[..., None]
    upper = frame[top, left] * (1 - across) + frame[top, right] * across
    lower = frame[bottom, left] * (1 - across) + frame[bottom, right] * across
    return np.rint(upper * (1 - down) + lower * down).astype(np.uint8)
