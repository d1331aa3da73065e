"""EffNet-Lite features of frames: distances between pairs, vectors for sets; neither LPIPS nor FID, and never called so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bagel_world.evaluation.frechet import FeatureVectors
from bagel_world.evaluation.metrics import Values
from bagel_world.images import to_pixels
from bagel_world.types import Frame

FeatureDistance = Callable[[Frame, Frame], Values]
"""Per pair of frames: 0 for equal ones, larger for more different ones."""

_BATCH = 32
_DEPTH = 4  # feature maps down to a stride of 16, with 112 channels: sets of a few hundred pictures have a covariance


def load_feature_distance() -> FeatureDistance:
    """The distance alone; see `load_features`."""
    return load_features()[0]


def load_features() -> tuple[FeatureDistance, FeatureVectors]:
    """The distance of pairs, and the vectors of pictures: channels of a feature map of stride 16, averaged over places.

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

    @torch.inference_mode()
    def vectors(frames: Frame) -> Values:
        parts = [torch.from_numpy(to_pixels(frames[start : start + _BATCH])) for start in range(0, len(frames), _BATCH)]
        return np.concatenate([network.feature_maps(part, _DEPTH)[-1].mean(dim=(2, 3)).double().numpy() for part in parts])

    return distance, vectors
