"""One training by several processes: `torchrun --nproc-per-node 2 -m bagel_world train RECIPE`.

Weights, gradients, averages and the optimizer's state are sharded by rows (FSDP2, `fully_shard`): a process holds a share of each
and gathers a layer while it computes. What a step learns from does not depend on who computes it: every process draws all slices
of a step and takes every so-manieth. The optimizer works on plain tensors, each process on its own rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bagel_world.errors import ConfigError
from bagel_world.model.bagel import Bagel
from bagel_world.model.mot import Streams
from bagel_world.training.data.batches import Batch
from bagel_world.training.optim import OptimizerConfig
from bagel_world.training.ranks import Ranks
from bagel_world.training.workers import Losses

Slice = TypeVar("Slice")

_NAMES = ("velocity", "text", "loss", "tokens", "flop", "made")


def check_shardable(optimizer: OptimizerConfig, *, lora: bool, dense: bool = False) -> None:
    """Refuse what needs more than a process's own rows.

    Raises:
        ConfigError: Muon, which needs whole matrices, low-rank updates, which are too small to share, or tied experts.
    """
    if optimizer.matrix_rate > 0:
        raise ConfigError(
            "Several processes hold rows of matrices, and Muon moves whole ones. "
            "Set mot.optimizer.matrix_rate to 0, which gives the matrices to AdamW, or train with one process."
        )
    if lora:
        raise ConfigError("Low-rank updates are trained by one process: they are small. Start without torchrun.")
    if dense:
        raise ConfigError("A dense model is trained by one process: its experts are one. Start without torchrun.")


def recompute_layers(bagel: Bagel) -> None:
    """Keep only what goes into a decoder layer, and compute the rest again on the way back: less memory, a third more work."""
    for layer in bagel.mot.layers:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)


def _reach_all_layers(mot: nn.Module, inputs: tuple[Any, ...]) -> None:
    """Ask for the gradient of what enters the layers.

    Processes gather a layer together on the way back too, and one whose slice reaches nothing that learns would stay away.
    """
    del mot
    if torch.is_grad_enabled():
        streams: Streams = inputs[0]
        streams.understand.requires_grad_()
        streams.generate.requires_grad_()


class _Learner(nn.Module):
    """What FSDP wraps: one call that needs all weights. Holds the model, so that its parameters are found."""

    def __init__(self, bagel: Bagel, compute: Callable[[Batch], Losses]) -> None:
        super().__init__()
        self.bagel = bagel
        self._compute = compute
        bagel.mot.register_forward_pre_hook(_reach_all_layers)

    def forward(self, batch: Batch) -> Losses:
        return self._compute(batch)


class ShardedSteps:
    """Gradients of one step by several processes; takes the place of `Workers`.

    Where no slice of a step reaches a parameter, its gradient is zero here and none there: AdamW's momentum moves it on, and
    it decays where others do.

    Args:
        bagel: its parameters become shards, in place.
        compute: the losses of a batch, from the whole weights.
        learns: the names of the parameters that learn.
        ranks: the processes.
        threads: threads of torch in each.
        precision: makes the context in which the forward pass runs.
    """

    pool = None

    def __init__(
        self,
        bagel: Bagel,
        compute: Callable[[Batch], Losses],
        learns: Sequence[str],
        ranks: Ranks,
        *,
        threads: int,
        precision: Callable[[], Any],
    ) -> None:
        from torch.distributed.fsdp import fully_shard  # takes a second to load: only here

        self.count = 1
        self._ranks, self._precision = ranks, precision
        if ranks.device.type == "cpu":
            torch.set_num_threads(threads)
        for name, parameter in bagel.named_parameters():
            parameter.requires_grad_(name in learns)
        learner = _Learner(bagel, compute)
        mesh = dist.init_device_mesh(ranks.device.type, (ranks.count,))
        for layer in bagel.mot.layers:
            fully_shard(layer, mesh=mesh)
        whole = fully_shard(learner, mesh=mesh, reshard_after_forward=True)
        if not hasattr(whole, "set_reduce_scatter_unused_params"):
            raise ConfigError(f"Training by several processes needs torch 2.13 or newer, found {torch.__version__}.")
        # A process whose slices hold no text still takes part when the gradients of the head are added up.
        whole.set_reduce_scatter_unused_params(True)
        self.losses = learner
        self._sharded = dict(bagel.named_parameters())
        self.shards = {name: nn.Parameter(local_rows(each), requires_grad=False) for name, each in self._sharded.items()}

    def backward(
        self, parameters: Sequence[nn.Parameter], compute: Callable[[Slice], Losses], slices: Sequence[Slice]
    ) -> dict[str, float]:
        """Set `grad` of every shard to its rows of the mean over the slices; the mean of every loss.

        Raises:
            ConfigError: the slices cannot be shared equally.
        """
        ranks = self._ranks
        if len(slices) % ranks.count:
            raise ConfigError(
                f"Expected slices of a step that {ranks.count} processes share equally, got {len(slices)}. "
                "Make mot.batch (and mot.packs beside walks) multiples of the number of processes."
            )
        sums = torch.zeros(len(_NAMES), dtype=torch.float64, device=ranks.device)
        for part in slices[ranks.rank :: ranks.count]:
            with self._precision():
                losses = compute(part)
            # FSDP divides the sum over the processes by their number.
            (losses["loss"] * (ranks.count / len(slices))).backward()
            for place, name in enumerate(_NAMES):
                sums[place] += losses[name].detach().to(sums.device) if name in losses else 0.0
        del parameters
        for name, shard in self.shards.items():
            gradient = self._sharded[name].grad
            shard.grad = None if gradient is None else local_rows(gradient)
            self._sharded[name].grad = None
        means = (ranks.total(sums) / len(slices)).tolist()
        return {name: mean for name, mean in zip(_NAMES, means, strict=True) if name != "text" or mean}


def local_rows(tensor: Tensor) -> Tensor:
    """This process's rows of a sharded tensor, sharing its memory."""
    local: Tensor = tensor.to_local()  # type: ignore[operator] - a DTensor
    return local.detach()
