"""How fast a recipe trains on this machine, and where the time of its steps goes. Fresh weights are as fast as others."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field

from bagel_world.model.vae import Vae
from bagel_world.training.config import TrainingConfig
from bagel_world.training.stages import Stages

_NEVER = 10**9


class TrainingSpeedConfig(BaseModel):
    """What to measure, and how often."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    warm_up: int = Field(default=20, ge=1, description="Steps that do not count: latents are encoded and paths get warm.")
    steps: int = Field(default=200, ge=2, description="Steps, warm-up included.")
    packs: int = Field(default=500, ge=1, description="Packs of samples whose fill is measured, where there are samples.")


def training_speed(recipe: TrainingConfig, config: TrainingSpeedConfig, folder: Path) -> dict[str, list[float]]:
    """Figures of every counted step by name; `pack_fill`, of every pack.

    `step_seconds` and the shares of them that forward and backward, the optimizer and waiting for data take; `learning_peak` and
    `step_peak`, the arithmetic that the losses ask for over what the machine's matrix products reach in that time.

    Args:
        recipe: its data and model are measured.
        config: how often.
        folder: for decoded frames and latents.
    """
    changes = {"steps": config.steps, "validate_every": _NEVER, "save_every": _NEVER, "preview_every": _NEVER}
    mot = recipe.mot.model_copy(update={**changes, "validation_windows": 1, "validation_packs": 1, "tensorboard": False})
    stages = Stages(recipe.model_copy(update={"run": folder, "mot": mot}), resume=True)
    torch.manual_seed(recipe.seed)
    vae = stages.finished_autoencoder() or Vae(stages.shape.vae_config).to(stages.device)
    trainer = stages.trainer(stages.fresh_model(), vae.eval(), stages.tokenizer())
    laps: list[dict[str, float]] = []
    trainer.progress = lambda step, steps, losses: laps.append(trainer.pace.last())
    trainer.train()
    counted = laps[config.warm_up :]
    figures = {name: [lap[name] for lap in counted] for name in counted[0]}
    if recipe.samples:
        feed = stages.sample_feed("train", vae, stages.tokenizer())
        fills: list[float] = []
        while len(fills) < config.packs:
            fills += [make().tokens / feed.capacity for make in feed.slices(len(fills))]
        figures["pack_fill"] = fills[: config.packs]
    return figures
