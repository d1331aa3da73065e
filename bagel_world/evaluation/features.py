"""EffNet-Lite feature distance between batches of frames; it is neither LPIPS nor FID and is never called so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bagel_world.evaluation.metrics import Values
from bagel_world.images import to_pixels
from bagel_world.types import Frame

FeatureDistance = Callable[[Frame, Frame], Values]
"""Per pair of frames: 0 for equal ones, larger for more different ones."""

_BATCH = 32


def load_feature_distance() -> FeatureDistance:
    """The distance; loads the feature network once.

    Raises:
        MissingExtraError: the extra `eval` is not installed.
    """
    import torch

    from bagel_world.perception import Perception

    network = Perception.load()

    @torch.inference_mode()
    def distance(one: Frame, other: Frame) -> Values:
        parts = []
        for start in range(0, len(one), _BATCH):
            left, right = (torch.from_numpy(to_pixels(each[start : start + _BATCH])) for each in (one, other))
            parts.append(network.distance(left, right).double().numpy())
        return np.concatenate(parts)

    return distance
