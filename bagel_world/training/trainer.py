"""Training of the world model: interleaved walks in, velocities of the frames to be painted out.

The step is a function of (seed, step number, weights): a run that was stopped at any moment and resumed from its newest state
goes on exactly as if it had never been stopped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import save_file
from torch import Tensor

from bagel_world.errors import TrainingError
from bagel_world.model.attention import Plan
from bagel_world.model.bagel import Bagel
from bagel_world.model.packing import Packed, PackingRules
from bagel_world.training.checkpoint import load_run, save_run
from bagel_world.training.data.batches import WalkBatch, WalkBatches, collate_walks
from bagel_world.training.data.interleave import WalkConfig, WalkSampler
from bagel_world.training.ema import Ema
from bagel_world.training.losses import text_loss, velocity_loss
from bagel_world.training.metrics import RunLog
from bagel_world.training.optim import Optimizer, OptimizerConfig, rate_factor
from bagel_world.training.workers import Losses, Precision, Workers

_LOG = logging.getLogger(__name__)

_VALIDATION_BATCH = 8


class MotConfig(BaseModel):
    """How the world model is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=4000, gt=0)
    batch: int = Field(default=16, gt=0, description="Windows per step.")
    walk: WalkConfig = WalkConfig()
    velocity_weight: float = Field(default=1.0, ge=0, description="Weight of the squared error of velocities.")
    text_weight: float = Field(default=0.0, ge=0, description="Weight of the cross-entropy of texts; 0 teaches no writing.")
    balance_texts: bool = Field(default=False, description="Weigh the tokens of a text by 1 / sqrt(its length).")
    precision: Precision = "float32"
    compile: bool = Field(default=False, description="Compile the decoder layers: a minute of waiting, then faster on a GPU.")
    optimizer: OptimizerConfig = OptimizerConfig()
    ema_decay: float = Field(default=0.995, ge=0, lt=1)
    validation_windows: int = Field(default=64, gt=0)
    validate_every: int = Field(default=200, gt=0)
    save_every: int = Field(default=100, gt=0)
    preview_every: int = Field(default=500, gt=0)


class Trainer:
    """Trains a `Bagel` on walks.

    Args:
        bagel: trained in place, on the device where it is.
        config: how.
        rules: how its segments become tokens.
        train: draws the windows to learn from.
        validation: draws the windows to measure on.
        run: folder for states and log.
        workers: threads that share a step; on a GPU one does it all.
        loaders: processes that draw batches ahead of time; 0 draws them in the threads of the step.
        progress: called after every step with (step, steps, losses).
        preview: called now and then with (step, model with averaged weights); what it gives goes into the log.
    """

    def __init__(
        self,
        bagel: Bagel,
        config: MotConfig,
        *,
        rules: PackingRules,
        train: WalkSampler,
        validation: WalkSampler,
        run: Path,
        workers: int = 2,
        loaders: int = 0,
        progress: Callable[[int, int, dict[str, float]], None] | None = None,
        preview: Callable[[int, Bagel], dict[str, float]] | None = None,
    ) -> None:
        self.bagel, self.config, self.run = bagel, config, run
        if config.compile:
            bagel.mot.compile(dynamic=True)
        self.step = 0
        self._rules = rules
        self._validation = validation
        self._workers = Workers(workers, bagel.device, config.batch, config.precision)
        self._batches = WalkBatches(train, rules, batch=config.batch, slices=self._workers.count)
        self._loaders = loaders
        self._named = trained_parameters(bagel, writing=config.text_weight > 0)
        self._optimizer = Optimizer(self._named, set(matrix_names(self._named)), config.optimizer, self._workers.pool)
        self.ema = Ema(bagel, config.ema_decay)
        self._progress, self._preview = progress, preview
        run.mkdir(parents=True, exist_ok=True)
        self._log = RunLog(run / "log.jsonl")

    def train(self) -> dict[str, float]:
        """Train to the last step and leave the averaged weights in the model; the validation figures."""
        parameters = list(self._named.values())
        began = time.perf_counter()
        count = self._workers.count
        slices: Iterator[int | WalkBatch] = iter(range(self.step * count, self.config.steps * count))
        if self._loaders:
            slices = self._batches.ahead(self.step * count, self.config.steps * count, self._loaders)
        while self.step < self.config.steps:
            losses = self._workers.backward(parameters, self._losses, [next(slices) for _ in range(count)])
            if not np.isfinite(losses["loss"]):
                raise self._diverged(losses["loss"])
            losses["gradient"] = self._optimizer.step(rate_factor(self.step, self.config.steps, self.config.optimizer))
            self.ema.update()
            self.step += 1
            self._after_step(losses, time.perf_counter() - began)
        self.ema.swap()
        return self.validate(swap=False)

    def _losses(self, part: int | WalkBatch) -> Losses:
        return self._loss_of(self._batches[part] if isinstance(part, int) else part)

    def _loss_of(self, batch: WalkBatch) -> Losses:
        batch = batch.to(self.bagel.device)
        packed, plan = batch.packed, self.bagel.plan(batch.packed)
        if batch.estimates is not None:
            with torch.no_grad():
                packed = batch.estimates.put(packed, self.bagel.velocity(packed, plan=plan))
        return pack_losses(self.bagel, packed, batch.targets, self.config, plan)

    def _after_step(self, losses: dict[str, float], seconds: float) -> None:
        config = self.config
        if self.step % 10 == 0:
            self._log.write(self.step, seconds=round(seconds, 1), **losses)
        if self.step % config.validate_every == 0:
            figures = self.validate()
            self._log.write(self.step, **figures)
            _LOG.info("step %d: %s", self.step, {name: round(value, 4) for name, value in figures.items()})
        if self.step % config.save_every == 0:
            self.save()
        if self._preview is not None and self.step % config.preview_every == 0:
            self.ema.swap()
            with torch.compiler.set_stance("force_eager"):
                figures = self._preview(self.step, self.bagel)
            self.ema.swap()
            self._log.write(self.step, **figures)
        if self._progress is not None:
            self._progress(self.step, config.steps, losses)

    @torch.no_grad()
    @torch.compiler.set_stance("force_eager")
    def validate(self, *, swap: bool = True) -> dict[str, float]:
        """Losses of the averaged weights on fixed windows with fixed noise."""
        if swap:
            self.ema.swap()
        totals: dict[str, float] = {}
        count = self.config.validation_windows
        for first in range(0, count, _VALIDATION_BATCH):
            places = range(first, min(first + _VALIDATION_BATCH, count))
            batch = collate_walks([self._validation.window(0, place) for place in places], self._rules)
            for name, value in self._loss_of(batch).items():
                totals[name] = totals.get(name, 0.0) + float(value) * len(places) / count
        if swap:
            self.ema.swap()
        return {f"validation_{name}": value for name, value in totals.items()}

    def _diverged(self, loss: float) -> TrainingError:
        path = self.run / f"diverged-{self.step:08d}.safetensors"
        samples = [self._batches.sampler.window(self.step, place) for place in range(self.config.batch)]
        tensors = {f"{place}/targets": sample.targets for place, sample in enumerate(samples)}
        tensors |= {f"{place}/timesteps": sample.timesteps for place, sample in enumerate(samples)}
        tensors |= {f"{place}/tokens": sample.tokens for place, sample in enumerate(samples)}
        save_file(tensors, str(path))
        return TrainingError(
            f"The loss of step {self.step} is {loss}. Its batch was saved to {path}. "
            "Resume with a lower learning rate (optimizer.rate, optimizer.matrix_rate)."
        )

    def save(self) -> Path:
        """Write the state of the run."""
        return save_run(self.run, self.step, self._named, self.ema, self._optimizer)

    def resume(self) -> bool:
        """Go on from the newest state; False where there is none."""
        step = load_run(self.run, self._named, self.ema, self._optimizer)
        if step is None:
            return False
        self.step = step
        self._log.cut(self.step)
        return True


def pack_losses(bagel: Bagel, packed: Packed, targets: Tensor, config: MotConfig, plan: Plan | None = None) -> Losses:
    """The losses of one pack; a pack without texts that predict, or without noised images, lacks that part.

    Args:
        bagel: the model.
        packed: the pack.
        targets: velocity at its noised tokens, in sequence order.
        config: the weights of the parts.
        plan: how to attend, where the caller has made it already.
    """
    hidden = bagel.hidden(packed, plan=plan)
    losses: Losses = {}
    loss = hidden.generate.new_zeros(())
    if len(targets):
        losses["velocity"] = velocity_loss(bagel.latent_out(hidden.generate)[packed.noised], targets)
        loss = loss + config.velocity_weight * losses["velocity"]
    if config.text_weight and len(packed.labels):
        logits = bagel.logits(hidden.understand[packed.label_places])
        losses["text"] = text_loss(logits, packed.labels, packed.label_weights if config.balance_texts else None)
        loss = loss + config.text_weight * losses["text"]
    return {**losses, "loss": loss}


def trained_parameters(bagel: Bagel, *, writing: bool) -> dict[str, torch.nn.Parameter]:
    """What training on walks moves: all but fixed tables, the ViT with its connector and, without `writing`, the text head."""
    still = ("vit.", "connector.") if writing else ("vit.", "connector.", "lm_head.")
    return {
        name: parameter for name, parameter in bagel.named_parameters() if parameter.requires_grad and not name.startswith(still)
    }


def matrix_names(named: dict[str, torch.nn.Parameter]) -> list[str]:
    """The parameters that Muon moves: the matrices inside the decoder layers."""
    return [name for name, parameter in named.items() if name.startswith("mot.layers.") and parameter.ndim == 2]


@torch.no_grad()
def scale_inputs(bagel: Bagel, generator: torch.Generator) -> None:
    """Give a fresh model inputs of about unit size; beside the position tables, latents and timesteps would start unheard."""
    for layer in (bagel.latent_in, bagel.timestep_embedding.fc1, bagel.timestep_embedding.fc2):
        layer.weight.normal_(0.0, layer.in_features**-0.5, generator=generator)
