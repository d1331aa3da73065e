"""LoRA: low-rank updates beside frozen linear layers of either expert (Hu et al., arXiv 2106.09685).

An adapted layer computes `W x + (alpha / rank) B A x` (section 4.1, equation 3). A and B live in a `Lora`, a module of its own,
and nowhere in the model: names, order and shapes of the model's parameters stay what checkpoints expect.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor, nn

from bagel_world.errors import ConfigError, TrainingError
from bagel_world.model.bagel import Bagel
from bagel_world.training.fingerprint import base_fingerprint

_LOG = logging.getLogger(__name__)

ExpertName = Literal["understand", "generate"]
Target = Literal["q", "k", "v", "o", "gate", "up", "down"]


class LoraConfig(BaseModel):
    """Which layers get a low-rank update, and how large it may be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(gt=0, description="Rank of every update.")
    alpha: float = Field(gt=0, allow_inf_nan=False, description="An update counts alpha / rank times.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Share of a layer's inputs that its update misses in a step.")
    experts: tuple[ExpertName, ...] = Field(
        default=("understand", "generate"), min_length=1, description="Experts that get updates."
    )
    targets: tuple[Target, ...] = Field(
        default=("q", "k", "v", "o", "gate", "up", "down"), min_length=1, description="Which of their layers do."
    )

    @field_validator("experts", "targets")
    @classmethod
    def _no_name_twice(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError(f"expected every name once, got {names}")
        return names

    @property
    def scale(self) -> float:
        """What B A is multiplied with."""
        return self.alpha / self.rank


class LowRank(nn.Module):
    """The update of one linear layer: A [rank, in] and B [out, rank], float32 whatever the layer is; zero while B is zero."""

    kept: Tensor | None

    def __init__(self, base: nn.Linear, config: LoraConfig) -> None:
        super().__init__()
        device = base.weight.device
        self.scale = config.scale
        self.a = nn.Parameter(torch.zeros(config.rank, base.in_features, device=device, dtype=torch.float32))
        self.b = nn.Parameter(torch.zeros(base.out_features, config.rank, device=device, dtype=torch.float32))
        kept = torch.ones(base.in_features, device=device, dtype=torch.float32) if config.dropout else None
        self.register_buffer("kept", kept, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The update at inputs [..., in], multiplied in their dtype: [..., out]."""
        a = self.a if self.kept is None else self.a * self.kept
        return F.linear(F.linear(x, a.to(x.dtype)), (self.b * self.scale).to(x.dtype))

    @torch.no_grad()
    def matrix(self) -> Tensor:
        """What the update adds to the weight: [out, in], float32."""
        return (self.b * self.scale) @ self.a


class AdaptedLinear(nn.Linear):
    """A linear layer with an update beside it. It shares the weight and bias of the layer whose place it takes."""

    def __init__(self, base: nn.Linear, update: LowRank) -> None:
        super().__init__(base.in_features, base.out_features, bias=base.bias is not None, device="meta")
        self.weight, self.bias = base.weight, base.bias
        self.train(base.training)
        # In a tuple, where modules are not registered: the model must not list the update among its own parameters.
        self._update = (update,)

    def forward(self, input: Tensor) -> Tensor:
        """The layer and its update."""
        return super().forward(input) + self._update[0](input)


class Lora(nn.Module):
    """Every update of one model. As a module it holds the updates alone: what is trained, averaged and stored.

    While it is attached the model's own parameters ask for no gradient. Made by `add_lora` and `adapter.load_lora`.

    Args:
        bagel: what the updates are for; untouched until `attach`.
        config: which updates.

    Raises:
        ConfigError: the model carries updates already, or the rank is more than a layer has.
    """

    def __init__(self, bagel: Bagel, config: LoraConfig) -> None:
        super().__init__()
        if any(isinstance(module, AdaptedLinear) for module in bagel.modules()):
            raise ConfigError("Expected a model without LoRA, this one carries one already. Merge or remove it first.")
        self.config = config
        self.base = base_fingerprint(bagel)
        self.layers = nn.ModuleList(
            nn.ModuleDict({expert: nn.ModuleDict(_updates(block, expert, config)) for expert in config.experts})
            for block in bagel.mot.layers
        )
        self._bagel = (bagel,)  # in a tuple for the reason above
        self._replaced: dict[str, nn.Linear] = {}
        self._learned: list[nn.Parameter] = []

    @property
    def attached(self) -> bool:
        """Whether the model computes with the updates."""
        return bool(self._replaced)

    def attach(self) -> None:
        """Put the updates beside the model's layers and freeze the model."""
        (bagel,) = self._bagel
        self._learned = [parameter for parameter in bagel.parameters() if parameter.requires_grad]
        for parameter in self._learned:
            parameter.requires_grad_(False)
        for place, update in self.updates():
            base = bagel.get_submodule(place)
            assert isinstance(base, nn.Linear)
            self._replaced[place] = base
            bagel.set_submodule(place, AdaptedLinear(base, update))

    def updates(self) -> Iterator[tuple[str, LowRank]]:
        """Every update with the name of its layer in the model."""
        for name, module in self.named_modules():
            if isinstance(module, LowRank):
                yield f"mot.{name}", module

    @torch.no_grad()
    def drop(self, generator: torch.Generator | None) -> None:
        """Draw which inputs the updates miss until the next call; None lets them see everything, as they do at first.

        All tokens of a step miss the same inputs (as in arXiv 1512.05287): a mask that stands still through a step is the same
        for every thread that shares it, when activations are computed again, and inside compiled code.
        """
        share = self.config.dropout
        for _, update in self.updates():
            if update.kept is None:
                continue
            if generator is None:
                update.kept.fill_(1.0)
            else:
                draw = torch.rand(update.kept.shape, generator=generator, device=generator.device)
                update.kept.copy_((draw >= share) / (1 - share))

    def remove(self) -> None:
        """Take the updates off: the model is what it was before, and its parameters learn again where they did.

        Raises:
            TrainingError: they are off already.
        """
        self._check_attached()
        (bagel,) = self._bagel
        for place, base in self._replaced.items():
            adapted = bagel.get_submodule(place)
            assert isinstance(adapted, AdaptedLinear)
            # The model may have been given other parameter objects since, as sharding does.
            base.weight, base.bias = adapted.weight, adapted.bias
            bagel.set_submodule(place, base.train(adapted.training))
        self._replaced = {}
        for parameter in self._learned:
            parameter.requires_grad_(True)

    @torch.no_grad()
    def merge(self) -> None:
        """Add the updates to the model's weights, in float32 and rounded once, then `remove` them. Nothing is dropped.

        Raises:
            TrainingError: they are off already, or hold numbers that are not finite; no weight has changed then.
        """
        self._check_attached()
        for name, parameter in self.named_parameters():
            if not parameter.isfinite().all():
                raise TrainingError(f"Expected finite numbers to merge, but {name} holds others. Go back to an earlier state.")
        (bagel,) = self._bagel
        for place, update in self.updates():
            weight = bagel.get_submodule(place).get_parameter("weight")
            wide = torch.promote_types(weight.dtype, torch.float32)
            weight.copy_(weight.to(wide) + update.matrix().to(wide))
        self.remove()

    def _check_attached(self) -> None:
        if not self.attached:
            raise TrainingError("This LoRA is not on its model: it was merged or removed. Put one on with add_lora or load_lora.")


def add_lora(bagel: Bagel, config: LoraConfig, generator: torch.Generator) -> Lora:
    """Put updates beside layers of a model and freeze it. They change nothing until they are trained: every B is zero.

    Args:
        bagel: the model; of its weights only the updates will learn.
        config: which layers, and how.
        generator: draws every A, normal with a standard deviation of 1 / sqrt(inputs).

    Raises:
        ConfigError: the model carries updates already, or the rank is more than a layer has.
    """
    lora = Lora(bagel, config)
    with torch.no_grad():
        for _, update in lora.updates():
            draw = torch.randn(update.a.shape, generator=generator, device=generator.device)
            update.a.copy_(draw * update.a.shape[1] ** -0.5)
    lora.attach()
    count = sum(parameter.numel() for parameter in lora.parameters())
    _LOG.info("LoRA of rank %d: %d layers, %d parameters", config.rank, len(lora._replaced), count)
    return lora


def _updates(block: nn.Module, expert: str, config: LoraConfig) -> dict[str, nn.Module]:
    updates: dict[str, nn.Module] = {}
    for target in config.targets:
        base = block.get_submodule(f"{expert}.{target}")
        assert isinstance(base, nn.Linear)
        most = min(base.in_features, base.out_features)
        if config.rank > most:
            raise ConfigError(
                f"Expected a LoRA rank of at most {most} for {target!r} of {expert!r} "
                f"({base.in_features} inputs, {base.out_features} outputs), got {config.rank}. "
                f"Lower the rank or take {target!r} out of the targets."
            )
        updates[target] = LowRank(base, config)
    return updates
