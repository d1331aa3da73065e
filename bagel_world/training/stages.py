"""The stages of a recipe: autoencoder, tokenizer, world model, export. Each is skipped when its result is already there."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file

from bagel_world.errors import TrainingError
from bagel_world.model.bagel import Bagel
from bagel_world.model.checkpoint import Checkpoint, packing_rules, save, save_tensors
from bagel_world.model.tokenizer import Tokenizer
from bagel_world.model.vae import Vae
from bagel_world.training.autoencoder import AutoencoderTrainer
from bagel_world.training.config import TrainingConfig
from bagel_world.training.data.interleave import WalkSampler
from bagel_world.training.data.latents import LatentTable
from bagel_world.training.data.walks import Walks, gather_walks
from bagel_world.training.data.words import train_tokenizer
from bagel_world.training.trainer import Trainer, scale_inputs

_LOG = logging.getLogger(__name__)

Progress = Callable[[int, int, dict[str, float]], None]
Preview = Callable[[int, Checkpoint], dict[str, float]]

_VAE, _TOKENIZER = "ae.safetensors", "tokenizer"


class Stages:
    """One recipe, stage by stage.

    Args:
        config: the recipe.
        resume: go on from what the run folder holds; without it a folder that holds a run is refused.

    Raises:
        TrainingError: the run folder holds a run and `resume` is not set.
    """

    def __init__(self, config: TrainingConfig, *, resume: bool) -> None:
        self.config = config
        self.device = config.torch_device()
        if self.device.type == "cuda":
            torch.set_float32_matmul_precision("high")  # TF32: its rounding is far below the noise of a training step
        self.shape = config.model_shape()
        marker = config.run / "recipe.json"
        if marker.is_file() and not resume:
            raise TrainingError(f"{config.run} already holds a run. Go on with --resume, or name another with --set run=FOLDER.")
        config.run.mkdir(parents=True, exist_ok=True)
        marker.write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @property
    def exported(self) -> Path:
        """Where the checkpoint folder goes."""
        return self.config.run / "checkpoint"

    def walks(self, split: str) -> Walks:
        """Decoded footage of "train" or "validation"."""
        folder = self.config.train if split == "train" else self.config.validation
        return gather_walks(folder, self.config.run / "cache" / split)

    def autoencoder(self, progress: Progress | None = None) -> Vae:
        """Train the autoencoder, or read the finished one."""
        torch.manual_seed(self.config.seed)
        vae = Vae(self.shape.vae_config).to(self.device)
        path = self.config.run / _VAE
        if path.is_file():
            vae.load_state_dict(load_file(path))
            return vae.eval()
        trainer = AutoencoderTrainer(
            vae,
            self.config.autoencoder,
            train=self.walks("train"),
            validation=self.walks("validation"),
            run=self.config.run / "autoencoder",
            seed=self.config.seed,
            workers=self.config.workers,
            progress=progress,
        )
        trainer.resume()
        figures = trainer.train()
        _write_figures(path.with_suffix(".json"), {"steps": trainer.step, **figures})
        save_tensors(path, dict(vae.named_parameters()))
        return vae.eval()

    def tokenizer(self) -> Tokenizer:
        """Learn the tokenizer from the action words and texts of the recipe, or read the finished one."""
        folder = self.config.run / _TOKENIZER
        if folder.is_dir():
            return Tokenizer.from_folder(folder)
        learned = train_tokenizer([*self.config.action_words, *self.config.texts], self.shape.llm_config.vocab_size)
        learned.to_folder(folder)
        return learned

    def mot(self, vae: Vae, tokenizer: Tokenizer, progress: Progress | None = None, preview: Preview | None = None) -> Bagel:
        """Train the world model."""
        trainer = self.trainer(self._fresh_model(), vae, tokenizer, progress, preview)
        trainer.resume()
        figures = trainer.train()
        _write_figures(self.config.run / "mot.json", {"steps": trainer.step, **figures})
        return trainer.bagel.eval()

    def _fresh_model(self) -> Bagel:
        generator = torch.Generator().manual_seed(self.config.seed)
        bagel = Bagel(self.shape)
        bagel.initialize(generator)
        scale_inputs(bagel, generator)
        return bagel.to(self.device)

    def trainer(
        self, bagel: Bagel, vae: Vae, tokenizer: Tokenizer, progress: Progress | None = None, preview: Preview | None = None
    ) -> Trainer:
        """The trainer of the world model, before its first step."""

        def show(step: int, averaged: Bagel) -> dict[str, float]:
            assert preview is not None
            return preview(step, Checkpoint(config=self.shape, bagel=averaged, vae=vae, tokenizer=tokenizer))

        samplers = {}
        for place, split in enumerate(("train", "validation")):
            latents = LatentTable(
                self.walks(split), vae, patch=self.shape.latent_patch_size, cache=self.config.run / "cache" / split
            )
            if self.config.loaders:
                latents.fill()
            walk = self.config.mot.walk if split == "train" else self.config.mot.walk.model_copy(update={"imagined_share": 0.0})
            samplers[split] = WalkSampler(latents, tokenizer, walk, seed=self.config.seed + place)
        return Trainer(
            bagel,
            self.config.mot,
            rules=packing_rules(self.shape, tokenizer),
            train=samplers["train"],
            validation=samplers["validation"],
            run=self.config.run / "mot",
            workers=self.config.workers,
            loaders=self.config.loaders,
            progress=progress,
            preview=None if preview is None else show,
        )

    def averaged(self) -> Checkpoint:
        """The averaged weights of the newest state, whether training has finished or not.

        Raises:
            TrainingError: there is no state yet.
        """
        vae, tokenizer = self.autoencoder(), self.tokenizer()
        trainer = self.trainer(self._fresh_model(), vae, tokenizer)
        if not trainer.resume():
            raise TrainingError(f"There is no state of the world model in {trainer.run} yet. Train first.")
        trainer.ema.swap()
        return Checkpoint(config=self.shape, bagel=trainer.bagel.eval(), vae=vae, tokenizer=tokenizer)

    def export(self, bagel: Bagel, vae: Vae, tokenizer: Tokenizer) -> Path:
        """Write the checkpoint folder in the published layout; its path."""
        save(self.exported, config=self.shape, bagel=bagel, vae=vae, tokenizer=tokenizer)
        return self.exported


def _write_figures(path: Path, figures: dict[str, float]) -> None:
    path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
