"""A dense model as a mixture whose experts are the same weights: as large per token as the mixture, half as large in all.

It trains as one set of weights per layer, and is parted into two equal experts before it is written: every reader of the
published layout takes it.
"""

from __future__ import annotations

from copy import deepcopy

from bagel_world.model.bagel import Bagel
from bagel_world.model.mot import MotBlock


def tie_experts(bagel: Bagel) -> None:
    """Let every token go through the understanding expert: the weights of the other are given up."""
    for layer in bagel.mot.layers:
        assert isinstance(layer, MotBlock)
        layer.generate = layer.understand
    bagel.mot.generate_norm = bagel.mot.understand_norm


def part_experts(bagel: Bagel) -> None:
    """Give a tied model two equal experts again."""
    for layer in bagel.mot.layers:
        assert isinstance(layer, MotBlock)
        layer.generate = deepcopy(layer.understand)
    bagel.mot.generate_norm = deepcopy(bagel.mot.understand_norm)
