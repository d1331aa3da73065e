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

from bagel_world.errors import TrainingError

Slice = TypeVar("Slice")
Precision = Literal["float32", "bfloat16"]
"""In which matrices are multiplied; weights, sums and norms are float32 always (autocast)."""

Losses = dict[str, Tensor]
"""Scalars by name; "loss" is what is minimized."""


class Workers:
    """A pool of threads that share one module's weights.

    Args:
        threads: how many. Where the weights are on a GPU one is enough, and one there is.
        device: where the weights are.
        batch: what the slices of a step add up to.
        precision: in which matrices are multiplied.

    Raises:
        TrainingError: the threads cannot share the batch equally.
    """

    def __init__(self, threads: int, device: torch.device, batch: int, precision: Precision = "float32") -> None:
        self.count = threads if device.type == "cpu" else 1
        if batch % self.count:
            raise TrainingError(f"Expected a batch that {self.count} workers can share equally, got {batch}.")
        torch.set_num_threads(1)
        self.pool = ThreadPoolExecutor(self.count, initializer=torch.set_num_threads, initargs=(1,)) if self.count > 1 else None
        self._precision = partial(
            # Without its cache: a weight cast where no gradient is asked for would be found where one is.
            torch.autocast,
            device.type,
            torch.bfloat16,
            enabled=precision == "bfloat16",
            cache_enabled=False,
        )

    def backward(
        self, parameters: Sequence[nn.Parameter], compute: Callable[[Slice], Losses], slices: Sequence[Slice]
    ) -> dict[str, float]:
        """Set `grad` of every parameter to the mean over the slices; the mean of every loss."""

        def work(part: Slice) -> tuple[tuple[Tensor | None, ...], Losses]:
            with self._precision():
                losses = compute(part)
            gradients = torch.autograd.grad(losses["loss"], parameters, allow_unused=True)
            return gradients, {name: value.detach() for name, value in losses.items()}

        results = list(map(work, slices) if self.pool is None else self.pool.map(work, slices))
        share = 1.0 / len(results)
        for parameter, *parts in zip(parameters, *(gradients for gradients, _ in results), strict=True):
            known = [part for part in parts if part is not None]
            total = known[0] if known else None
            for part in known[1:]:
                total = total + part
            parameter.grad = None if total is None else total * share
        return {name: sum(float(losses[name]) for _, losses in results) * share for name in results[0][1]}
