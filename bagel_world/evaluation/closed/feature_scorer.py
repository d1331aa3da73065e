"""FeatureScorer: how alike frame and goal picture are to a network that knows photographs, not to the world itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bagel_world.images import to_pixels
from bagel_world.perception import Perception
from bagel_world.types import Frame
from bagel_world.world.protocol import World
from bagel_world.world.scoring import Candidate, goal_pictures

_MAPS = 3
_BATCH = 32


class FeatureScorer:
    """Every part of one picture looks for the part of the other that is most like it; the mean of how alike they are.

    Parts are EffNet-Lite features at stride 8. Where a part is found does not count, so that a step aside costs little; how large
    and how finely patterned it is does, so that a step nearer gains. On views around goal pictures of validation houses it told
    near from far best of two dozen comparisons of such features.

    Args:
        network: gives the features; None loads EfficientNet-Lite0 with its ImageNet weights.

    Raises:
        MissingExtraError: the extra `eval` is not installed.
    """

    source = "effnet"
    calibration = "Mean best cosine of EffNet-Lite features (stride 8) between both pictures, in [-1, 1]; 1 for equal frames."
    model_calls = 1
    judges_success = True
    success_distance = 0.2

    def __init__(self, network: Perception | None = None) -> None:
        self._network = Perception.load() if network is None else network
        self._goal: tuple[Frame, Tensor] | None = None

    def score(self, world: World, candidates: Sequence[Candidate]) -> list[float]:
        """How alike every frame and its goal picture are.

        Raises:
            ConfigError: a goal without a picture.
        """
        pictures = goal_pictures(self.source, candidates, "Use 'judge' for goals in words.")
        if not candidates:
            return []
        shown = self._parts_of(np.stack([candidate.frame for candidate in candidates]))
        wanted = torch.stack([self._parts_of_goal(goal) for goal in pictures])
        alike = shown @ wanted.transpose(1, 2)
        return ((alike.amax(dim=1).mean(dim=1) + alike.amax(dim=2).mean(dim=1)) / 2).tolist()

    def _parts_of_goal(self, goal: Frame) -> Tensor:
        if self._goal is None or self._goal[0] is not goal:  # one goal stands for a whole walk
            self._goal = (goal, self._parts_of(goal[None])[0])
        return self._goal[1]

    @torch.inference_mode()
    def _parts_of(self, frames: Frame) -> Tensor:
        """[frames, places, channels]: unit vectors."""
        pixels = torch.from_numpy(to_pixels(frames))
        maps = [self._network.feature_maps(part, _MAPS)[-1] for part in pixels.split(_BATCH)]
        return F.normalize(torch.cat(maps).flatten(2).transpose(1, 2), dim=-1)
