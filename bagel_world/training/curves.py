"""Curves for TensorBoard, where it is installed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bagel_world.errors import MissingExtraError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_LOG = logging.getLogger(__name__)


class Curves:
    """Writes the numbers of a run as curves; without TensorBoard it says so once and does nothing.

    Args:
        folder: where TensorBoard looks for them.
        step: the run goes on behind this step; what was written after it is taken back.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._writer: SummaryWriter | None = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            note = MissingExtraError("tensorboard", "train", "Writing curves for TensorBoard")
            _LOG.warning("%s. Training goes on without; log.jsonl has the same numbers.", note)
            return
        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Add a point to the curve of every number."""
        if self._writer is not None:
            for name, value in values.items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
