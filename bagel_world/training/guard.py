"""The guard of a training: it stops a run whose loss is no number or explodes, and keeps the batch it stopped at."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from bagel_world.errors import TrainingError
from bagel_world.training.checkpoint import states

EXPLOSION = 10.0
"""Times its lowest running mean: a loss that falls stays far below, whatever single batches do."""

EXPLOSION_RULE = "Training stops when the loss is so many times its lowest running mean for 20 steps; null lets it go on."

_WINDOW = 50
_PATIENCE = 20


class LossGuard:
    """Watches the loss of every step.

    Its measure is the lowest running mean of the loss so far, so that a slow rise counts as much as a sudden one; single batches
    may be as bad as they like.

    Args:
        run: folder that the batch is written to.
        explosion: times its lowest running mean that the loss may be, unless it comes back within 20 steps; None allows any.
        rank: the number of this process where several train together, each with its own batch.
    """

    def __init__(self, run: Path, explosion: float | None, *, rank: int | None = None) -> None:
        self._run, self._explosion, self._rank = run, explosion, rank
        self._seen = self._above = 0
        self._mean = self._lowest = math.inf

    def check(self, step: int, loss: float, batch: Callable[[], Mapping[str, Tensor]]) -> None:
        """Take note of the loss of a step.

        Args:
            step: its number.
            loss: its loss.
            batch: gives what it was computed from, to be looked at.

        Raises:
            TrainingError: the loss is no number, or has been too high for 20 steps running.
        """
        if not math.isfinite(loss):
            raise TrainingError(
                f"Expected a finite loss, got {loss} in step {step}. {self._keep(step, batch)} "
                "Resume with a lower learning rate (optimizer.rate, optimizer.matrix_rate)."
            )
        if loss <= 0:  # nothing in the step is learned from, as where texts alone count and none came
            return
        limit = math.inf if self._explosion is None else self._lowest * self._explosion
        self._above = self._above + 1 if loss > limit else 0
        if self._above >= _PATIENCE:
            raise TrainingError(
                f"Expected the loss to fall, got {loss:.4g} in step {step}: for {_PATIENCE} steps it has been more than "
                f"{self._explosion:g} times its lowest running mean, {self._lowest:.4g}. "
                f"{self._keep(step, batch)} {self._way_back(step - _PATIENCE)} with a lower learning rate (optimizer.rate, "
                "optimizer.matrix_rate); where such losses are right, set explosion: null."
            )
        self._seen += 1
        self._mean = loss if self._seen == 1 else self._mean + (loss - self._mean) / min(self._seen, _WINDOW)
        self._lowest = min(self._lowest, self._mean)

    def check_gradient(self, step: int, norm: float, batch: Callable[[], Mapping[str, Tensor]]) -> None:
        """Take note of the gradient of a step, before it moves anything.

        Args:
            step: its number.
            norm: L2 norm of the gradient.
            batch: gives what it was computed from, to be looked at.

        Raises:
            TrainingError: the norm is no number.
        """
        if not math.isfinite(norm):
            raise TrainingError(
                f"Expected a finite gradient, got one of norm {norm} in step {step}; nothing was moved by it. "
                f"{self._keep(step, batch)} Resume with a lower learning rate (optimizer.rate, optimizer.matrix_rate)."
            )

    def state(self) -> dict[str, Any]:
        """What it goes on from, as JSON values; to be taken after a step."""
        return {"seen": self._seen, "above": self._above, "mean": self._mean, "lowest": self._lowest}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave; nothing, as from a state of before there was a guard, begins anew."""
        self._seen, self._above = state.get("seen", 0), state.get("above", 0)
        self._mean, self._lowest = state.get("mean", math.inf), state.get("lowest", math.inf)

    def _way_back(self, last: int) -> str:
        """What to do with the states there are; those after more than `last` steps gave losses that were too high."""
        found, good = states(self._run), states(self._run, last)
        if not found:
            return f"There is no state in {self._run} yet: resume, which begins again,"
        if not good:
            return (
                f"No state of step {last} or before is left in {self._run} (keep_states keeps more of them): "
                "delete those that are there and resume, which begins again,"
            )
        if good == found:
            return f"Resume, from {good[-1].name} in {self._run},"
        return f"Delete the states after {good[-1].name} in {self._run} and resume"

    def _keep(self, step: int, batch: Callable[[], Mapping[str, Tensor]]) -> str:
        """Write the batch beside the log; a sentence that says where it is, or why it is not."""
        mine = "" if self._rank is None else f"-rank{self._rank}"
        path = self._run / f"diverged-{step:08d}{mine}.safetensors"
        try:
            save_file({name: tensor.contiguous() for name, tensor in batch().items()}, path)
        except (OSError, SafetensorError) as error:  # the disk may be full, which is not what stopped the run
            return f"The batch of this step could not be saved to {path} ({error})."
        return f"The batch of this step was saved to {path}."
