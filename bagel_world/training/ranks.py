"""The processes of one training: who is who, and how they meet."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

_PATIENCE = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Ranks:
    """The processes of a training.

    Attributes:
        rank: this one's number.
        count: how many there are.
        device: where this one computes.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this is the process that logs, reports and tidies up."""
        return self.rank == 0

    def rows(self, total: int) -> slice:
        """This process's rows of a tensor that has so many."""
        share = -(-total // self.count)
        return slice(min(self.rank * share, total), min((self.rank + 1) * share, total))

    def total(self, values: Tensor) -> Tensor:
        """The sum of what every process has."""
        values = values.clone()
        dist.all_reduce(values)
        return values

    def any(self, value: bool) -> bool:
        """Whether it is so for any process."""
        return bool(self.total(torch.tensor(float(value), device=self.device)))

    def wait(self) -> None:
        """Go on when all are here."""
        dist.barrier()

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """The leading process runs the block alone, then the others do: caches on disk are made once."""
        if not self.leads:
            self.wait()
        yield
        if self.leads:
            self.wait()


def join_ranks(device: torch.device) -> Ranks | None:
    """Meet the other processes that torchrun started; None where there is only this one.

    Args:
        device: where to compute; with several GPUs every process takes its own.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return None
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    atexit.register(dist.destroy_process_group)  # its threads must end before the interpreter does, or the process aborts
    return Ranks(dist.get_rank(), count, device)
