"""Gradients of one step by several threads: every thread computes its slice of the batch, single-threaded inside.

Threads that meet once per step lose little on a busy machine; threads that meet inside every operation, as OpenMP's do, lose
most of their time there as soon as another process wants a core. The sum runs in the order of the slices, so that a step's
result depends on the number of slices and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

Slice = TypeVar("Slice")
Precision = Literal["float32", "bfloat16"]
"""In which matrices are multiplied; weights, sums and norms are float32 always (autocast)."""

Losses = dict[str, Tensor]
"""Scalars by name; "loss" is what is minimized."""


def step_threads(threads: int, device: torch.device) -> int:
    """How many of the threads that were asked for share a step: on a GPU one does it all."""
    return threads if device.type == "cpu" else 1


def precision_of(device: torch.device, precision: Precision) -> Callable[[], torch.autocast]:
    """What makes the context of a forward pass."""
    # Without its cache: a weight cast where no gradient is asked for would be found where one is.
    return partial(torch.autocast, device.type, torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False)


class Workers:
    """A pool of threads that share one module's weights.

    Args:
        threads: how many. Where the weights are on a GPU one is enough, and one there is.
        device: where the weights are.
        precision: in which matrices are multiplied.
    """

    def __init__(self, threads: int, device: torch.device, precision: Precision = "float32") -> None:
        self.count = step_threads(threads, device)
        torch.set_num_threads(1)
        self.pool = ThreadPoolExecutor(self.count, initializer=torch.set_num_threads, initargs=(1,)) if self.count > 1 else None
        self._precision = precision_of(device, precision)

    def backward(
        self, parameters: Sequence[nn.Parameter], compute: Callable[[Slice], Losses], slices: Sequence[Slice]
    ) -> dict[str, float]:
        """Set `grad` of every parameter to the mean over the slices; the mean of every loss, 0 where a slice lacks it."""

        def work(part: Slice) -> tuple[tuple[Tensor | None, ...], Losses]:
            with self._precision():
                losses = compute(part)
            loss = losses["loss"]  # without gradient where the slice reaches nothing that learns
            learns = loss.requires_grad
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True) if learns else (None,) * len(parameters)
            return gradients, {name: value.detach() for name, value in losses.items()}

        results = map(work, slices) if self.pool is None else self.pool.map(work, slices)
        share = 1.0 / len(slices)
        totals: list[Tensor | None] = [None] * len(parameters)
        means: dict[str, float] = {}
        for gradients, losses in results:
            for place, part in enumerate(gradients):
                total = totals[place]
                totals[place] = total if part is None else part if total is None else total + part
            for name, value in losses.items():
                means[name] = means.get(name, 0.0) + float(value)
        for parameter, total in zip(parameters, totals, strict=True):
            parameter.grad = None if total is None else total * share
        return {name: total * share for name, total in means.items()}
