"""Colors of frames in numbers: what fades, washes out or oversaturates over a long walk. Pure numpy.

Batches of frames have shape (n, height, width, 3), uint8.
"""

from __future__ import annotations

import numpy as np

from bagel_world.evaluation.metrics import Values
from bagel_world.types import Frame

CHANNELS = ("red", "green", "blue")


def channel_means(frames: Frame) -> Values:
    """Mean of red, green and blue per frame, 0..255, shape (n, 3)."""
    return frames.mean(axis=(1, 2), dtype=np.float64)


def channel_spreads(frames: Frame) -> Values:
    """Standard deviation of red, green and blue over a frame, shape (n, 3): contrast; near 0 for a washed-out picture."""
    return frames.std(axis=(1, 2), dtype=np.float64)


def saturation(frames: Frame) -> Values:
    """Mean HSV saturation per frame, shape (n,): 0 for grays, 1 for pure colors; black counts as gray."""
    highest = frames.max(axis=-1).astype(np.float64)
    lowest = frames.min(axis=-1).astype(np.float64)
    return ((highest - lowest) / np.maximum(highest, 1.0)).mean(axis=(1, 2))
