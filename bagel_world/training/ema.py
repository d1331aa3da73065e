"""A running average of the weights: what is validated and shipped."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Ema:
    """Exponential moving average of a module's parameters, or of shards of them by name.

    The decay warms up with the number of updates (`(1 + n) / (10 + n)` at most), so that an early average is not the
    initial weights.
    """

    def __init__(self, module: nn.Module | Mapping[str, nn.Parameter], decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._live = dict(module.named_parameters() if isinstance(module, nn.Module) else module)
        self.averages = {name: parameter.detach().clone() for name, parameter in self._live.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages toward the module's weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(list(self.averages.values()), list(self._live.values()), 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange averages and weights; a second call undoes it."""
        for name, parameter in self._live.items():
            kept = parameter.detach().clone()
            parameter.copy_(self.averages[name])
            self.averages[name].copy_(kept)

    @torch.no_grad()
    def load(self, averages: dict[str, Tensor], updates: int) -> None:
        """Take back stored averages."""
        for name, average in self.averages.items():
            average.copy_(averages[name])
        self.updates = updates
