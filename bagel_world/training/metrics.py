"""Numbers that say how training goes, and the file they are kept in."""

from __future__ import annotations

import json
import time
from collections import deque
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bagel_world.errors import TrainingError
from bagel_world.files import replace_text
from bagel_world.training.curves import Curves
from bagel_world.training.losses import differences, luma


def psnr(one: Tensor, other: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB per picture, shape (batch,), of pixels in [-1, 1]; what lies outside is clamped."""
    error = (one.clamp(-1, 1) - other.clamp(-1, 1)).square().mean(dim=(1, 2, 3)) / 4
    return -10 * torch.log10(error.clamp_min(1e-10))


def gradient_energy(pixels: Tensor) -> Tensor:
    """Mean absolute gradient of luma per picture, shape (batch,): the measure of sharpness."""
    down, right = differences(luma(pixels.clamp(-1, 1)))
    return 0.5 * (down.abs().mean(dim=(1, 2)) + right.abs().mean(dim=(1, 2)))


class Pace:
    """How fast the last steps went.

    Args:
        steps: how many of the last steps count.

    Attributes:
        peak: floating-point operations per second that the machine does at best, where that is known.
    """

    def __init__(self, steps: int = 20) -> None:
        self.peak: float | None = None
        self._steps: deque[tuple[float, float, float, float, float]] = deque(maxlen=steps)
        self._began = self._waited = self._learned = 0.0

    def start(self) -> None:
        """A step begins, and waits for its data."""
        self._began = time.perf_counter()

    def fed(self) -> None:
        """The data is there."""
        self._waited = time.perf_counter() - self._began

    def learned(self) -> None:
        """The gradients are there."""
        self._learned = time.perf_counter() - self._began

    def done(self, tokens: float, flop: float = 0.0, made: float = 0.0) -> None:
        """The step is done.

        Args:
            tokens: that it has learned from.
            flop: floating-point operations that took.
            made: seconds in which its threads, on average, made data instead of learning from it: waiting as well.
        """
        self._steps.append((time.perf_counter() - self._began, self._waited + made, self._learned, tokens, flop))

    def figures(self) -> dict[str, float]:
        """How fast it went.

        `tokens_per_second`; `data_wait`, the share of the time that went into waiting for data and making it; `mfu`, the share of
        the machine's peak that the step's arithmetic came to, optimizer and all else included in the time.
        """
        seconds, waited, _, tokens, flop = (sum(each) for each in zip(*self._steps, strict=True))
        figures = {"tokens_per_second": round(tokens / seconds, 1), "data_wait": round(waited / seconds, 4)}
        return figures if self.peak is None else {**figures, "mfu": round(flop / seconds / self.peak, 4)}

    def last(self) -> dict[str, float]:
        """Where the time of the last step went: `step_seconds`, shares of it, and its arithmetic over the peak's.

        `learning_share` is that of forward and backward, `optimizer_share` of all that comes after, `data_share` of waiting for
        data and making it; `learning_peak` and `step_peak` are the shares of the peak over forward and backward, and over the
        whole step.
        """
        seconds, waited, learned, _, flop = self._steps[-1]
        peak = float("inf") if self.peak is None else self.peak
        return {
            "step_seconds": seconds,
            "learning_share": (learned - waited) / seconds,
            "optimizer_share": (seconds - learned) / seconds,
            "data_share": waited / seconds,
            "learning_peak": flop / (learned - waited) / peak,
            "step_peak": flop / seconds / peak,
        }


class RunLog:
    """`log.jsonl`: one JSON object per line, each with its step.

    Attributes:
        path: the file.
        curves: also get what is written; None for none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.curves: Curves | None = None

    def write(self, step: int, **values: Any) -> None:
        """Append a row."""
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **values}) + "\n")
        except OSError as error:
            raise TrainingError(f"Could not write {self.path}: {error}. Free some space and resume.") from error
        if self.curves is not None:
            self.curves.write(step, values)

    def rows(self) -> list[dict[str, Any]]:
        """Every row; a last line that was cut off is left out."""
        if not self.path.is_file():
            return []
        rows = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return rows

    def cut(self, step: int) -> None:
        """Forget what was written after this step, and final rows: a resumed run writes them again."""
        if self.path.is_file():
            rows = [row for row in self.rows() if row["step"] <= step and not row.get("final")]
            replace_text(self.path, "".join(json.dumps(row) + "\n" for row in rows))
