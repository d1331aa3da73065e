"""Gradients of one step by several threads: every thread computes its slice of the batch, single-threaded inside.

Threads that meet once per step lose little on a busy machine; threads that meet inside every operation, as OpenMP's do, lose
most of their time there as soon as another process wants a core. The sum runs in the order of the slices, so that a step's
result depends on the number of slices and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor, nn

Slice = TypeVar("Slice")
Losses = dict[str, Tensor]
"""Scalars by name; "loss" is what is minimized."""


class Workers:
    """A pool of threads that share one module's weights."""

    def __init__(self, count: int) -> None:
        torch.set_num_threads(1)
        self.pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))

    def backward(
        self, parameters: Sequence[nn.Parameter], compute: Callable[[Slice], Losses], slices: Sequence[Slice]
    ) -> dict[str, float]:
        """Set `grad` of every parameter to the mean over the slices; the mean of every loss."""

        def work(part: Slice) -> tuple[tuple[Tensor | None, ...], Losses]:
            losses = compute(part)
            gradients = torch.autograd.grad(losses["loss"], parameters, allow_unused=True)
            return gradients, {name: value.detach() for name, value in losses.items()}

        results = list(self.pool.map(work, slices))
        share = 1.0 / len(results)
        for parameter, *parts in zip(parameters, *(gradients for gradients, _ in results), strict=True):
            known = [part for part in parts if part is not None]
            total = known[0] if known else None
            for part in known[1:]:
                total = total + part
            parameter.grad = None if total is None else total * share
        return {name: sum(float(losses[name]) for _, losses in results) * share for name in results[0][1]}
