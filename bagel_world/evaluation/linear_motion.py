"""Linear motion: the baseline for falling bodies. Every body goes on as it went between the last two frames it was seen in.

The picture of a body, cut out of the last given frame, is moved in the picture plane by the velocity of its middle between
the last two given frames. What it uncovers is filled from the newest given frame that shows the background there. Which pixels
are whose, and where the middles are, is the simulator's truth: no estimate of motion from the pictures alone could do better at
this. Spin, shadows, gravity and collisions are what linear motion does not know.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bagel_world.evaluation.scenes import Owners
from bagel_world.types import Frame

Points = npt.NDArray[np.float64]


def move_on(frames: Frame, owners: Owners, centers: Points, times: Sequence[float], order: Sequence[int], ahead: float) -> Frame:
    """The frame that linear motion expects.

    Args:
        frames: the given frames, oldest first, at least two; uint8, shape (k, height, width, 3).
        owners: which body each of their pixels shows, shape (k, height, width).
        centers: where the middle of each body appears in each of them, pixels x and y, shape (k, bodies, 2).
        times: of the given frames, in any unit.
        order: the bodies from the farthest to the nearest, for those in front hide those behind.
        ahead: how far the wanted frame is after the last given one, in the unit of `times`.

    Returns:
        uint8, shape (height, width, 3).
    """
    picture = background(frames, owners).astype(np.float64)
    last = frames[-1].astype(np.float64)
    moved = (centers[-1] - centers[-2]) / (times[-1] - times[-2]) * ahead
    for body in order:
        cover = (owners[-1] == body).astype(np.float64)[..., None]
        layer = shift_picture(np.concatenate([cover, cover * last], axis=-1), *moved[body].tolist())
        picture = picture * (1 - layer[..., :1]) + layer[..., 1:]
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def background(frames: Frame, owners: Owners) -> Frame:
    """What is behind the bodies: the newest pixel of every place that shows none.

    Where bodies were always in front, it is filled in from both sides of the row.
    """
    behind, found = frames[-1].copy(), np.zeros(frames.shape[1:3], np.bool_)
    for frame, owner in zip(frames[::-1], owners[::-1], strict=True):
        fresh = ~found & ~_with_border(owner >= 0)
        behind[fresh] = frame[fresh]
        found |= fresh
    for row, known in zip(behind, found, strict=True):
        if known.any() and not known.all():
            missing, there = np.flatnonzero(~known), np.flatnonzero(known)
            row[missing] = np.stack([np.interp(missing, there, row[there, channel]) for channel in range(3)], axis=-1)
    return behind


def _with_border(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """A mask and the pixels next to it: edges are smoothed, so that a body tints what it touches."""
    wide = mask.copy()
    wide[1:] |= mask[:-1]
    wide[:-1] |= mask[1:]
    wide[:, 1:] |= mask[:, :-1]
    wide[:, :-1] |= mask[:, 1:]
    return wide


def shift_picture(picture: npt.NDArray[np.float64], right: float, down: float) -> npt.NDArray[np.float64]:
    """A picture (height, width, channels) moved by fractions of pixels, bilinear; zeros come in at the edges."""
    whole_x, whole_y = int(np.floor(right)), int(np.floor(down))
    part_x, part_y = right - whole_x, down - whole_y
    shifted = np.zeros_like(picture)
    for x, weight_x in ((whole_x, 1 - part_x), (whole_x + 1, part_x)):
        for y, weight_y in ((whole_y, 1 - part_y), (whole_y + 1, part_y)):
            if weight_x * weight_y:
                shifted += weight_x * weight_y * _rolled(picture, x, y)
    return shifted


def _rolled(picture: npt.NDArray[np.float64], right: int, down: int) -> npt.NDArray[np.float64]:
    height, width = picture.shape[:2]
    moved = np.zeros_like(picture)
    if abs(right) >= width or abs(down) >= height:
        return moved
    rows, columns = slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0))
    from_rows, from_columns = slice(max(-down, 0), height + min(-down, 0)), slice(max(-right, 0), width + min(-right, 0))
    moved[rows, columns] = picture[from_rows, from_columns]
    return moved
