"""Training of the world model: interleaved walks or samples in, velocities of images to be painted and next words out.

The step is a function of (seed, step number, weights): a run that was stopped at any moment and resumed from its newest state
goes on exactly as if it had never been stopped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from torch import Tensor

from bagel_world.errors import ConfigError
from bagel_world.model.attention import Plan
from bagel_world.model.bagel import Bagel
from bagel_world.model.mot import Wanted
from bagel_world.model.packing import Packed
from bagel_world.training.arithmetic import product_peak, step_flop
from bagel_world.training.checkpoint import KEEP_RULE, check_base, load_facts, load_run, save_run
from bagel_world.training.curves import Curves
from bagel_world.training.data.batches import Batch
from bagel_world.training.data.budget import PackConfig
from bagel_world.training.data.feeds import Feed, Slice
from bagel_world.training.data.interleave import WalkConfig
from bagel_world.training.data.segments import SegmentConfig
from bagel_world.training.ema import Ema
from bagel_world.training.guard import EXPLOSION, EXPLOSION_RULE, LossGuard
from bagel_world.training.lora import LoraConfig, add_lora
from bagel_world.training.losses import text_loss, velocity_loss
from bagel_world.training.metrics import Pace, RunLog
from bagel_world.training.optim import Optimizer, OptimizerConfig, rate_factor
from bagel_world.training.parallel import ShardedSteps, check_shardable, recompute_layers
from bagel_world.training.parts import PARTS, check_parts, parameters_of
from bagel_world.training.ranks import Ranks
from bagel_world.training.workers import Losses, Precision, Workers, precision_of

_LOG = logging.getLogger(__name__)


class MotConfig(BaseModel):
    """How the world model is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=4000, gt=0, description="Steps of this stage.")
    batch: int = Field(default=16, gt=0, description="Windows of walks, or packs of samples, per step.")
    packs: int = Field(default=2, gt=0, description="Packs of samples per step where there are windows of walks as well.")
    accumulate: int = Field(
        default=1,
        ge=1,
        description="Parts that the windows of a thread or process are computed in, one after the other: less memory, the same "
        "gradient up to rounding. Packs are parts of their own already.",
    )
    walk: WalkConfig = WalkConfig()
    segments: SegmentConfig = Field(default=SegmentConfig(), description="How samples are cut.")
    pack: PackConfig = Field(default=PackConfig(), description="How samples are packed.")
    trains: tuple[str, ...] | None = Field(
        default=None,
        description=f"Parts that learn, of {', '.join(PARTS)}; the others stay. Left out, whatever the data and weights teach.",
    )
    velocity_weight: float = Field(default=1.0, ge=0, description="Weight of the squared error of velocities.")
    text_weight: float = Field(default=0.0, ge=0, description="Weight of the cross-entropy of texts; 0 teaches no writing.")
    balance_texts: bool = Field(default=False, description="Weigh the tokens of a text by 1 / sqrt(its length).")
    precision: Precision = Field(default="float32", description="In which matrices are multiplied: float32 or bfloat16.")
    recompute: bool = Field(default=False, description="Activation checkpointing: less memory for a third more arithmetic.")
    compile: bool = Field(default=False, description="Compile the decoder layers: a minute of waiting, then faster on a GPU.")
    freeze_understanding: bool = Field(
        default=False, description="Let no gradient into or through the understanding expert, embeddings, ViT and connector."
    )
    dense: bool = Field(default=False, description="One set of weights in place of two experts: a dense model to compare with.")
    optimizer: OptimizerConfig = OptimizerConfig()
    ema_decay: float = Field(default=0.995, ge=0, lt=1, description="Share of the averaged weights that every step keeps.")
    explosion: float | None = Field(default=EXPLOSION, gt=1, description=EXPLOSION_RULE)
    validation_windows: int = Field(default=64, gt=0, description="Windows of walks that are measured on.")
    validation_packs: int = Field(default=8, gt=0, description="Packs of samples that are measured on.")
    validate_every: int = Field(default=200, gt=0, description="Steps from one measurement on held-out data to the next.")
    save_every: int = Field(default=100, gt=0, description="Steps from one saved state to the next.")
    keep_states: int = Field(default=2, ge=1, description=KEEP_RULE)
    preview_every: int = Field(default=500, gt=0, description="Steps from one picture of imagined walks to the next.")
    lora: LoraConfig | None = Field(default=None, description="Train low-rank updates beside frozen weights instead.")
    tensorboard: bool = Field(default=False, description='Write curves for TensorBoard too; needs the extra "train".')

    @field_validator("trains")
    @classmethod
    def _known_parts(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if names is None else check_parts(names)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.lora is not None and self.trains is not None:
            raise ValueError("lora trains nothing but its updates. Leave out trains, or lora")
        if self.dense and (self.lora is not None or self.trains is not None or self.freeze_understanding):
            raise ValueError("dense has one set of weights for everything. Leave out lora, trains and freeze_understanding")
        return self


class Trainer:
    """Trains a `Bagel`.

    Args:
        bagel: trained in place, on the device where it is.
        config: how.
        train: what it learns from.
        validation: what it is measured on: the slices of its first step.
        run: folder for states and log.
        seed: decides how low-rank updates begin and what they miss.
        workers: threads that share a step; on a GPU one does it all.
        progress: called after every step with (step, steps, losses and pace).
        preview: called now and then with (step, model with averaged weights); what it gives goes into the log.
        ranks: the processes that train together, each with the same arguments; None where there is one. They log, report and
            preview through the first alone; previews are left out, for no process holds all weights.

    Raises:
        ConfigError: the recipe asks for what several processes cannot do.
    """

    def __init__(
        self,
        bagel: Bagel,
        config: MotConfig,
        *,
        train: Feed,
        validation: Feed,
        run: Path,
        seed: int = 0,
        workers: int = 2,
        progress: Callable[[int, int, dict[str, float]], None] | None = None,
        preview: Callable[[int, Bagel], dict[str, float]] | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.bagel, self.config, self.run = bagel, config, run
        self.lora = None if config.lora is None else add_lora(bagel, config.lora, torch.Generator().manual_seed(seed))
        if config.recompute:
            recompute_layers(bagel)
        if config.compile:
            bagel.mot.compile(dynamic=True)
        self.step = 0
        self._saved: int | None = None
        self._seed = seed
        self._feed, self._validation = train, validation
        self._held_out: list[Batch] = []
        self._learn: Callable[[Batch], Losses] = self._loss_of
        self.ranks = ranks
        if self.lora is None:
            self._named = parameters_of(bagel, taught_parts(config, shown=train.shows_vit))
        else:
            self._named = dict(self.lora.named_parameters())
        averaged: torch.nn.Module | dict[str, torch.nn.Parameter] = bagel if self.lora is None else self.lora
        if ranks is None:
            self._workers = Workers(workers, bagel.device, config.precision)
        else:
            check_shardable(config.optimizer, lora=self.lora is not None, dense=config.dense)
            self._workers = ShardedSteps(
                bagel,
                self._loss_of,
                list(self._named),
                ranks,
                threads=workers,
                precision=precision_of(bagel.device, config.precision),
            )
            self._learn, averaged = self._workers.losses, self._workers.shards
            self._named = {name: self._workers.shards[name] for name in self._named}
        # Low-rank factors are no matrices to orthogonalize: their product is what acts.
        matrices = set(matrix_names(self._named)) if self.lora is None else set()
        total = None if ranks is None else ranks.total
        self._optimizer = Optimizer(self._named, matrices, config.optimizer, self._workers.pool, total, table_names(bagel))
        self.ema = Ema(averaged, config.ema_decay)
        self._leads = ranks is None or ranks.leads
        self.progress = progress if self._leads else None
        self._preview = preview if ranks is None else None
        run.mkdir(parents=True, exist_ok=True)
        self._log = RunLog(run / "log.jsonl")
        self._guard = LossGuard(run, config.explosion, rank=None if ranks is None else ranks.rank)
        self.pace = Pace()

    def train(self) -> dict[str, float]:
        """Train to the last step and leave the averaged weights in the model; the validation figures."""
        parameters = list(self._named.values())
        dtype = torch.bfloat16 if self.config.precision == "bfloat16" else self.bagel.dtype
        self.pace.peak = product_peak(self.bagel, dtype, self._workers.count, self._workers.pool)
        self.pace.peak *= 1 if self.ranks is None else self.ranks.count
        _LOG.info("matrix products at %.0f GFLOP/s at best", self.pace.peak / 1e9)
        began = time.perf_counter()
        if self.config.tensorboard and self._leads:
            self._log.curves = Curves(self.run / "tensorboard", self.step)
        while self.step < self.config.steps:
            self.pace.start()
            slices = self._feed.slices(self.step)
            self.pace.fed()
            self._drop(self.step)
            losses = self._workers.backward(parameters, self._losses, slices)
            self.pace.learned()
            self._guard.check(self.step, losses["loss"], partial(_tensors, slices))
            losses["gradient"] = self._optimizer.clip()
            self._guard.check_gradient(self.step, losses["gradient"], partial(_tensors, slices))
            self._optimizer.step(rate_factor(self.step, self.config.steps, self.config.optimizer))
            self.ema.update()
            tokens, flop, made = losses.pop("tokens"), losses.pop("flop"), losses.pop("made")
            if self._feed.capacity:
                losses["fill"] = round(tokens / self._feed.capacity, 4)
            threads = self._workers.count if self.ranks is None else self.ranks.count
            self.pace.done(tokens * len(slices), flop * len(slices), made * len(slices) / threads)
            self.step += 1
            self._drop(None)
            self._after_step(losses, time.perf_counter() - began)
        if self.step != self._saved:  # what is exported later is what was learned last
            self.save()
        self.ema.swap()
        if self._log.curves is not None:
            self._log.curves.close()
        return self.validate(swap=False)

    def _drop(self, step: int | None) -> None:
        """What low-rank updates miss in this step; None lets them see everything."""
        if self.lora is not None:
            words = None if step is None else int(np.random.SeedSequence((self._seed, step)).generate_state(1, np.uint64)[0] >> 1)
            self.lora.drop(None if words is None else torch.Generator().manual_seed(words))

    def _losses(self, part: Slice) -> Losses:
        began = time.perf_counter()
        batch = part()
        made = time.perf_counter() - began
        flop = step_flop(self.bagel, batch, writing=self.config.text_weight > 0)
        counts = {"tokens": float(batch.tokens), "flop": flop, "made": made}
        return {**self._learn(batch), **{name: torch.tensor(count, dtype=torch.float64) for name, count in counts.items()}}

    def _loss_of(self, batch: Batch) -> Losses:
        batch = batch.to(self.bagel.device)
        packed, plan = batch.packed, self.bagel.plan(batch.packed)
        paints = batch.estimates is not None
        # Processes go through the layers together: where one paints for itself, all run that pass.
        if paints if self.ranks is None else self.ranks.any(paints):
            with torch.no_grad():
                velocity = self.bagel.velocity(packed, plan=plan)
            packed = packed if batch.estimates is None else batch.estimates.put(packed, velocity)
        shares = {"velocity_share": batch.velocity_share, "text_share": batch.text_share}
        return pack_losses(self.bagel, packed, batch.targets, self.config, plan, **shares)

    def _after_step(self, losses: dict[str, float], seconds: float) -> None:
        config = self.config
        if self.step % 10 == 0:
            self._write(seconds=round(seconds, 1), **losses, **self.pace.figures())
        if self.step % config.validate_every == 0:
            figures = self.validate()
            self._write(**figures)
            _LOG.info("step %d: %s", self.step, {name: round(value, 4) for name, value in figures.items()})
        if self._preview is not None and self.step % config.preview_every == 0:
            self.ema.swap()
            with self._eager():
                figures = self._preview(self.step, self.bagel)
            self.ema.swap()
            self._write(**figures)
        if self.step % config.save_every == 0:  # after all else that belongs to the step: a resumed run begins with the next
            self.save()
        if self.progress is not None:
            self.progress(self.step, config.steps, {**losses, **self.pace.figures()})

    def _write(self, **values: Any) -> None:
        if self._leads:
            self._log.write(self.step, **values)

    @torch.no_grad()
    def validate(self, *, swap: bool = True) -> dict[str, float]:
        """Losses of the averaged weights on fixed windows or packs with fixed noise."""
        if not self._held_out:
            self._held_out = [make() for make in self._validation.slices(0)]
        if swap:
            self.ema.swap()
        totals: dict[str, float] = {}
        with self._eager():
            for batch in self._held_out:
                for name, value in self._learn(batch).items():
                    totals[name] = totals.get(name, 0.0) + float(value) / len(self._held_out)
        if swap:
            self.ema.swap()
        return {f"validation_{name}": value for name, value in totals.items()}

    def _eager(self) -> AbstractContextManager[Any]:
        """Compiled layers as they were written: what is measured has other shapes. Without any, the compiler is not loaded."""
        return torch.compiler.set_stance("force_eager") if self.config.compile else nullcontext()

    def save(self) -> Path:
        """Write the state of the run."""
        facts: dict[str, Any] = {"feed": self._feed.position(), "guard": self._guard.state()}
        if self.lora is not None:
            facts["base"] = self.lora.base
        keep = self.config.keep_states
        path = save_run(self.run, self.step, self._named, self.ema, self._optimizer, facts, self.ranks, keep=keep)
        self._saved = self.step
        return path

    def resume(self) -> bool:
        """Go on from the newest state; False where there is none.

        Raises:
            TrainingError: it cannot be read, or is of another training.
        """
        if self.lora is not None:
            check_base(self.run, self.lora.base)
        step = load_run(self.run, self._named, self.ema, self._optimizer, self.ranks)
        if self._leads:
            self._log.cut(step or 0)
        if step is None:
            return False
        facts = load_facts(self.run)
        self._feed.restore(facts.get("feed", {}))
        self._guard.restore(facts.get("guard", {}))
        self.step = self._saved = step
        return True


def pack_losses(
    bagel: Bagel,
    packed: Packed,
    targets: Tensor,
    config: MotConfig,
    plan: Plan | None = None,
    *,
    velocity_share: float = 1.0,
    text_share: float = 1.0,
) -> Losses:
    """The losses of one pack; a pack without texts that predict, or without noised images, lacks that part.

    Args:
        bagel: the model.
        packed: the pack.
        targets: velocity at its noised tokens, in sequence order.
        config: the weights of the parts.
        plan: how to attend, where the caller has made it already.
        velocity_share: factor of the velocity loss, see `Batch`.
        text_share: factor of the text loss.
    """
    writing = bool(config.text_weight and len(packed.labels))
    wanted = Wanted(packed.label_places if writing else packed.label_places[:0], packed.noised.nonzero()[:, 0])
    hidden = bagel.hidden(packed, plan=plan, wanted=wanted, frozen=config.freeze_understanding)
    losses: Losses = {}
    loss = hidden.generate.new_zeros(())
    if len(targets):
        losses["velocity"] = velocity_share * velocity_loss(bagel.latent_out(hidden.generate), targets)
        loss = loss + config.velocity_weight * losses["velocity"]
    if writing:
        logits = bagel.logits(hidden.understand)
        weights = packed.label_weights if config.balance_texts else None
        losses["text"] = text_share * text_loss(logits, packed.labels, weights)
        loss = loss + config.text_weight * losses["text"]
    return {**losses, "loss": loss}


def _tensors(slices: Sequence[Slice]) -> dict[str, Tensor]:
    """Everything in the slices of a step, to look at what went wrong."""
    return {f"{place}/{name}": each for place, make in enumerate(slices) for name, each in make().tensors().items()}


def taught_parts(config: MotConfig, *, shown: bool) -> tuple[str, ...]:
    """The parts that learn: those of the recipe, or all that the data can teach.

    Args:
        config: the recipe.
        shown: whether the data shows images through the ViT, as samples may and walks do not.

    Raises:
        ConfigError: the data teaches none of those of the recipe.
    """
    idle = set() if shown and config.segments.vit else {"vit", "connector"}
    idle |= set() if config.text_weight else {"head"}
    if config.trains is None:
        return tuple(name for name in PARTS if name not in idle)
    if set(config.trains) <= idle:
        raise ConfigError(
            f"Nothing here teaches {', '.join(config.trains)} (mot.trains). The vit and the connector learn from samples whose "
            "images are shown through the ViT (mot.segments.vit), the head from texts (mot.text_weight)."
        )
    return config.trains


def matrix_names(named: dict[str, torch.nn.Parameter]) -> list[str]:
    """The parameters that Muon moves: the matrices inside the decoder layers."""
    return [name for name, parameter in named.items() if name.startswith("mot.layers.") and parameter.ndim == 2]


def table_names(bagel: Bagel) -> list[str]:
    """The parameters that are looked up row by row: the embeddings of words and of places in the ViT."""
    return [f"{name}.weight" for name, module in bagel.named_modules() if isinstance(module, torch.nn.Embedding)]


@torch.no_grad()
def scale_inputs(bagel: Bagel, generator: torch.Generator) -> None:
    """Give a fresh model inputs of about unit size; beside the position tables, latents and timesteps would start unheard."""
    for layer in (bagel.latent_in, bagel.timestep_embedding.fc1, bagel.timestep_embedding.fc2):
        layer.weight.normal_(0.0, layer.in_features**-0.5, generator=generator)
