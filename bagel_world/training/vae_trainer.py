"""What the trainings of the autoencoder and of its decoder alone have in common: the loop, its log, its states."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from bagel_world.errors import TrainingError
from bagel_world.training.checkpoint import KEEP_RULE, load_facts, load_run, save_run
from bagel_world.training.ema import Ema
from bagel_world.training.guard import EXPLOSION, EXPLOSION_RULE, LossGuard
from bagel_world.training.metrics import RunLog, gradient_energy, psnr
from bagel_world.training.optim import Optimizer, OptimizerConfig, rate_factor
from bagel_world.training.workers import Losses, Precision, Workers

_LOG = logging.getLogger(__name__)

Progress = Callable[[int, int, dict[str, float]], None]
"""What follows a training: called after every step with (step, steps, losses)."""


class VaeTrainerConfig(BaseModel):
    """How long, how fast, and how often to look."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=4000, gt=0, description="Steps of this stage.")
    batch: int = Field(default=8, gt=0, description="Pictures per step.")
    precision: Precision = Field(default="float32", description="In which matrices are multiplied: float32 or bfloat16.")
    optimizer: OptimizerConfig = OptimizerConfig()
    ema_decay: float = Field(default=0.995, ge=0, lt=1, description="Share of the averaged weights that every step keeps.")
    explosion: float | None = Field(default=EXPLOSION, gt=1, description=EXPLOSION_RULE)
    validation_frames: int = Field(default=192, gt=0, description="Held-out pictures that are measured on.")
    validate_every: int = Field(default=250, gt=0, description="Steps from one measurement on held-out data to the next.")
    save_every: int = Field(default=250, gt=0, description="Steps from one saved state to the next.")
    keep_states: int = Field(default=2, ge=1, description=KEEP_RULE)


_Config = TypeVar("_Config", bound=VaeTrainerConfig)
_Slice = TypeVar("_Slice")


class VaeTrainer(ABC, Generic[_Config, _Slice]):
    """Trains a module on pictures; every step's batch is a function of (seed, step), so a resumed run equals one never stopped.

    Args:
        module: trained in place, on the device where it is.
        config: how.
        run: folder for states and log.
        seed: decides everything random.
        workers: threads that share a step; on a GPU one does it all.
        progress: called after every step with (step, steps, losses).
    """

    def __init__(
        self,
        module: nn.Module,
        config: _Config,
        *,
        run: Path,
        seed: int,
        workers: int,
        progress: Progress | None,
    ) -> None:
        self.run = run
        self.step = 0
        self.config = config
        self._seed = seed
        self._device = next(module.parameters()).device
        self._named = dict(module.named_parameters())
        matrices = {name for name, parameter in self._named.items() if parameter.ndim == 4}
        self._workers = Workers(workers, self._device, config.precision)
        if config.batch % self._workers.count:
            raise TrainingError(f"Expected a batch that {self._workers.count} workers can share equally, got {config.batch}.")
        self._optimizer = Optimizer(self._named, matrices, config.optimizer, self._workers.pool)
        self.ema = Ema(module, config.ema_decay)
        run.mkdir(parents=True, exist_ok=True)
        self._log = RunLog(run / "log.jsonl")
        self._guard = LossGuard(run, config.explosion)
        self._progress = progress

    @abstractmethod
    def _batch(self) -> list[_Slice]:
        """What the next step learns from, a slice per worker."""

    @abstractmethod
    def _losses(self, part: _Slice) -> Losses:
        """The losses of a slice."""

    @abstractmethod
    def _tensors(self, part: _Slice) -> dict[str, Tensor]:
        """Everything in a slice, to look at what went wrong."""

    @abstractmethod
    def _figures(self) -> dict[str, float]:
        """What the module does on held-out pictures, as it is."""

    def _before_step(self) -> None:
        """What is to be done to the weights before the next step."""

    def _after_update(self) -> None:
        """What is to be done to the weights after a step."""

    def train(self) -> dict[str, float]:
        """Train to the last step and leave the averaged weights in the module; its validation figures."""
        parameters = list(self._named.values())
        began = time.perf_counter()
        while self.step < self.config.steps:
            self._before_step()
            slices = self._batch()
            losses = self._workers.backward(parameters, self._losses, slices)
            self._guard.check(self.step, losses["loss"], partial(self._all_tensors, slices))
            losses["gradient"] = self._optimizer.clip()
            self._guard.check_gradient(self.step, losses["gradient"], partial(self._all_tensors, slices))
            self._optimizer.step(rate_factor(self.step, self.config.steps, self.config.optimizer))
            self.ema.update()
            self.step += 1
            self._after_step(losses, time.perf_counter() - began)
        self.ema.swap()
        figures = self.validate(swap=False)
        self._log.write(self.step, final=True, **figures)
        return figures

    def _all_tensors(self, slices: Sequence[_Slice]) -> dict[str, Tensor]:
        return {f"{place}/{name}": tensor for place, part in enumerate(slices) for name, tensor in self._tensors(part).items()}

    def _after_step(self, losses: dict[str, float], seconds: float) -> None:
        if self.step % 20 == 0:
            self._log.write(self.step, seconds=round(seconds, 1), **losses)
        self._after_update()
        if self.step % self.config.validate_every == 0:
            figures = self.validate()
            self._log.write(self.step, **figures)
            _LOG.info("step %d: %s", self.step, {name: round(value, 3) for name, value in figures.items()})
        if self.step % self.config.save_every == 0:
            self.save()
        if self._progress is not None:
            self._progress(self.step, self.config.steps, losses)

    @torch.no_grad()
    def validate(self, *, swap: bool = True) -> dict[str, float]:
        """Figures of the averaged weights on held-out pictures."""
        if swap:
            self.ema.swap()
        figures = self._figures()
        if swap:
            self.ema.swap()
        return figures

    def save(self) -> Path:
        """Write the state of the run."""
        facts, keep = {"guard": self._guard.state()}, self.config.keep_states
        return save_run(self.run, self.step, self._named, self.ema, self._optimizer, facts, keep=keep)

    def resume(self) -> bool:
        """Go on from the newest state; False where there is none."""
        step = load_run(self.run, self._named, self.ema, self._optimizer)
        self._log.cut(step or 0)
        if step is None:
            return False
        self._guard.restore(load_facts(self.run).get("guard", {}))
        self.step = step
        return True


class Likeness:
    """PSNR and sharpness of decoded pictures, gathered batch by batch."""

    def __init__(self) -> None:
        self._ratios: list[Tensor] = []
        self._gradients: list[Tensor] = []
        self._energies: list[Tensor] = []

    def add(self, decoded: Tensor, pixels: Tensor) -> None:
        """One batch and what it should be."""
        self._ratios.append(psnr(decoded, pixels))
        self._gradients.append(gradient_energy(decoded))
        self._energies.append(gradient_energy(pixels))

    @property
    def psnr(self) -> float:
        """Mean PSNR in dB."""
        return float(torch.cat(self._ratios).mean())

    @property
    def sharpness(self) -> float:
        """Share of the real gradient."""
        return float(torch.cat(self._gradients).mean() / torch.cat(self._energies).mean())
