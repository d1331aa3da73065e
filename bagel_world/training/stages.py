"""The stages of a recipe: autoencoder, tokenizer, world model, export. Each is skipped when its result is already there."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from bagel_world.episodes.damage import Damage
from bagel_world.episodes.sample_folder import SampleFolder
from bagel_world.errors import RecordingError, TrainingError
from bagel_world.files import replace_text
from bagel_world.model.bagel import Bagel
from bagel_world.model.checkpoint import Checkpoint, load, packing_rules, save, save_tensors
from bagel_world.model.tokenizer import Tokenizer
from bagel_world.model.vae import Vae
from bagel_world.training.adapter import save_lora
from bagel_world.training.autoencoder import AutoencoderTrainer
from bagel_world.training.checkpoint import STATES, load_state, part_of
from bagel_world.training.config import TrainingConfig
from bagel_world.training.data.batches import WalkBatches
from bagel_world.training.data.feeds import Feed, MixedFeed, SampleFeed, WalkFeed
from bagel_world.training.data.interleave import WalkSampler
from bagel_world.training.data.latents import LatentTable
from bagel_world.training.data.material import gather_pictures, gather_texts
from bagel_world.training.data.sources import SourceConfig, open_samples
from bagel_world.training.data.walks import Walks, gather_walks
from bagel_world.training.data.words import train_tokenizer
from bagel_world.training.dense import part_experts, tie_experts
from bagel_world.training.ranks import Ranks
from bagel_world.training.sample_feed import check_sources, sample_feed
from bagel_world.training.trainer import Trainer, scale_inputs
from bagel_world.training.warm_start import warm_up
from bagel_world.training.workers import step_threads

_LOG = logging.getLogger(__name__)

Progress = Callable[[int, int, dict[str, float]], None]
Preview = Callable[[int, Checkpoint], dict[str, float]]

_VAE, _TOKENIZER = "ae.safetensors", "tokenizer"
_VALIDATION_BATCH = 8


class Stages:
    """One recipe, stage by stage.

    Args:
        config: the recipe.
        resume: go on from what the run folder holds; without it a folder that holds a run is refused.
        ranks: the processes that train the world model together; None where there is one.

    Raises:
        TrainingError: the run folder holds a run and `resume` is not set; or it lacks what one process must have made before
            several train together.
    """

    def __init__(self, config: TrainingConfig, *, resume: bool, ranks: Ranks | None = None) -> None:
        self.config, self.ranks = config, ranks
        self.device = config.torch_device() if ranks is None else ranks.device
        finished = config.start_from is not None or config.autoencoder_from is not None or (config.run / _VAE).is_file()
        if ranks is not None and not finished:
            raise TrainingError(
                f"Several processes train the world model together, and {config.run} has no autoencoder yet. "
                "Train it first with one process: bagel-world train RECIPE --set mot.steps=1"
            )
        if self.device.type == "cuda":
            torch.set_float32_matmul_precision("high")  # TF32: its rounding is far below the noise of a training step
        self.shape = config.model_shape()
        marker = config.run / "recipe.json"
        if marker.is_file() and not resume:
            raise TrainingError(f"{config.run} already holds a run. Go on with --resume, or name another with --set run=FOLDER.")
        config.run.mkdir(parents=True, exist_ok=True)
        if ranks is None or ranks.leads:
            marker.write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @property
    def exported(self) -> Path:
        """Where the checkpoint folder goes."""
        return self.config.run / "checkpoint"

    @cached_property
    def start(self) -> Checkpoint | None:
        """The checkpoint that the recipe starts from."""
        folder = self.config.start_from
        return None if folder is None else load(folder, device=self.device)

    @cached_property
    def warm(self) -> Checkpoint | None:
        """The checkpoint whose weights a new shape begins with."""
        folder = self.config.warm_start
        return None if folder is None else load(folder, device=self.device)

    def walks(self, split: str) -> Walks:
        """Decoded footage of "train" or "validation"; without any, the pictures of samples at the size of the world's frames."""
        cache = self.config.run / "cache" / split
        if not self.config.train:
            damage = Damage(self.config.skip_damaged)
            return gather_pictures(self.sources(split), self.shape.world.frame_size, cache, damage=damage)
        return gather_walks(self.config.train if split == "train" else self.config.validation, cache)

    def sources(self, split: str) -> tuple[SourceConfig, ...]:
        """The samples of "train" or "validation".

        Raises:
            TrainingError: there are none to measure on.
        """
        if split == "train":
            return self.config.samples
        if self.config.validation_samples:
            return self.config.validation_samples
        found = [each.model_copy(update={"split": split}) for each in self.config.samples if _has_split(each, split)]
        if not found:
            raise TrainingError(
                f"No folder of samples has any of the split {split!r} to measure on. Name some as validation_samples; "
                "`bagel-world data` makes them with --split validation from footage that is not trained on."
            )
        return tuple(found)

    def autoencoder(self, progress: Progress | None = None) -> Vae:
        """Train the autoencoder, or take the finished one."""
        if self.ranks is None and not any((self.config.run / "mot").glob(STATES)):
            self._rehearse()
        if self.start is not None:
            return self.start.vae
        if self.config.autoencoder_from is not None:
            return load(self.config.autoencoder_from, device=self.device).vae
        torch.manual_seed(self.config.seed)
        vae = Vae(self.shape.vae_config).to(self.device)
        path = self.config.run / _VAE
        if path.is_file():
            try:
                vae.load_state_dict(load_file(path))
            except (RuntimeError, SafetensorError) as error:
                raise TrainingError(
                    f"Expected an autoencoder of this recipe's shape in {path}, but it is another or damaged. "
                    "Resume with the preset that the run began with, or train in another run folder."
                ) from error
            return vae.eval()
        if self.warm is not None and self.warm.config.vae_config == vae.config:
            vae.load_state_dict(self.warm.vae.state_dict())
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
        try:
            save_tensors(path, dict(vae.named_parameters()))
        except OSError as error:
            raise TrainingError(f"Could not write {path}: {error}. Free some space and resume.") from error
        return vae.eval()

    def _rehearse(self) -> None:
        """Look at all that the world model learns from: what is wrong with it shows before hours go into a training.

        Raises:
            TrainingError: walks shorter than a window, or no samples to measure on.
            RecordingError: damaged samples, or samples that are too long, more than may be skipped.
        """
        for split in ("train", "validation"):
            if self.config.train:
                self.walks(split).windows(self.config.mot.walk.frames)
            if self.config.samples:
                _LOG.info("looking at the samples of %r", split)
                opened = [each.open() for each in self.sources(split)]
                skip, tokenizer = self.config.skip_damaged, self.tokenizer()
                check_sources(opened, self.config.mot, shape=self.shape, tokenizer=tokenizer, skip=skip)

    def tokenizer(self) -> Tokenizer:
        """Learn the tokenizer from the actions of all tasks and all texts there are, or take the finished one."""
        if self.start is not None:
            return self.start.tokenizer
        folder = self.config.run / _TOKENIZER
        with nullcontext() if self.ranks is None else self.ranks.leader_first():
            return Tokenizer.from_folder(folder) if folder.is_dir() else self._learned_tokenizer(folder)

    def _learned_tokenizer(self, folder: Path) -> Tokenizer:
        actions = [word for words in self.shape.world.tasks.values() for word in words]
        learned = train_tokenizer(
            [*actions, *self.config.texts, *gather_texts(self.config.samples)], self.shape.llm_config.vocab_size
        )
        unfinished = folder.with_name(f".unfinished-{folder.name}")
        learned.to_folder(unfinished)
        unfinished.replace(folder)
        return learned

    def mot(self, vae: Vae, tokenizer: Tokenizer, progress: Progress | None = None, preview: Preview | None = None) -> Bagel:
        """Train the world model."""
        trainer = self.trainer(self.fresh_model(), vae, tokenizer, progress, preview)
        trainer.resume()
        figures = trainer.train()
        if self.ranks is not None:
            return self._whole(trainer, figures)
        _write_figures(self.config.run / "mot.json", {"steps": trainer.step, **figures})
        if trainer.lora is not None:
            save_lora(trainer.lora, self.config.run / "adapter")
            trainer.lora.merge()
        return self._parted(trainer.bagel)

    def _whole(self, trainer: Trainer, figures: dict[str, float]) -> Bagel:
        """The averaged weights of a training by several processes, read back from the state that they saved together."""
        assert self.ranks is not None
        self.ranks.wait()
        if self.ranks.leads:
            _write_figures(self.config.run / "mot.json", {"steps": trainer.step, **figures})
        found = load_state(trainer.run)
        assert found is not None
        bagel = self.fresh_model()
        averages = part_of(found[1], "average/")
        with torch.no_grad():
            for name, parameter in bagel.named_parameters():
                parameter.copy_(averages[name])
        return self._parted(bagel)

    def _parted(self, bagel: Bagel) -> Bagel:
        """A trained model, with two experts whatever it was trained as."""
        if self.config.mot.dense:
            part_experts(bagel)
        return bagel.eval()

    def fresh_model(self) -> Bagel:
        """The model before its first step."""
        if self.config.start_from is not None:
            return self._begun(load(self.config.start_from, device=self.device).bagel)
        generator = torch.Generator().manual_seed(self.config.seed)
        bagel = Bagel(self.shape)
        bagel.initialize(generator)
        scale_inputs(bagel, generator)
        bagel.to(self.device)
        if self.warm is not None:
            left = warm_up(bagel, self.tokenizer(), self.warm)
            _LOG.info("%s has no weights for: %s", self.config.warm_start, ", ".join(left) or "nothing")
        return self._begun(bagel)

    def _begun(self, bagel: Bagel) -> Bagel:
        """The model with its experts as training begins: as they are, equal, or one."""
        if self.config.mot.dense or self.config.copy_understanding:
            tie_experts(bagel)
        if self.config.copy_understanding and not self.config.mot.dense:
            part_experts(bagel)
        return bagel

    def trainer(
        self, bagel: Bagel, vae: Vae, tokenizer: Tokenizer, progress: Progress | None = None, preview: Preview | None = None
    ) -> Trainer:
        """The trainer of the world model, before its first step."""

        def show(step: int, averaged: Bagel) -> dict[str, float]:
            assert preview is not None
            return preview(step, Checkpoint(config=self.shape, bagel=averaged, vae=vae, tokenizer=tokenizer))

        with nullcontext() if self.ranks is None else self.ranks.leader_first():
            feeds = [self._feed(split, vae, tokenizer) for split in ("train", "validation")]
        return Trainer(
            bagel,
            self.config.mot,
            train=feeds[0],
            validation=feeds[1],
            run=self.config.run / "mot",
            seed=self.config.seed,
            workers=self.config.workers,
            progress=progress,
            preview=None if preview is None else show,
            ranks=self.ranks,
        )

    def _feed(self, split: str, vae: Vae, tokenizer: Tokenizer) -> Feed:
        if not self.config.samples:
            return self._walk_feed(split, vae, tokenizer)
        samples = self.sample_feed(split, vae, tokenizer)
        return MixedFeed(self._walk_feed(split, vae, tokenizer), samples) if self.config.train else samples

    def _walk_feed(self, split: str, vae: Vae, tokenizer: Tokenizer) -> WalkFeed:
        mot, rules = self.config.mot, packing_rules(self.shape, tokenizer)
        cache = self.config.run / "cache" / split
        latents = LatentTable(self.walks(split), vae, patch=self.shape.latent_patch_size, cache=cache)
        if self.config.loaders:
            latents.fill()
        if split == "train":
            sampler = WalkSampler(latents, tokenizer, mot.walk, seed=self.config.seed)
            threads = min(mot.batch, step_threads(self.config.workers, self.device) if self.ranks is None else self.ranks.count)
            batches = WalkBatches(sampler, rules, batch=mot.batch, slices=threads)
            return WalkFeed(batches, steps=mot.steps, loaders=self.config.loaders)
        walk = mot.walk.model_copy(update={"imagined_share": 0.0})
        sampler = WalkSampler(latents, tokenizer, walk, seed=self.config.seed + 1)
        slices = -(-mot.validation_windows // _VALIDATION_BATCH)
        return WalkFeed(WalkBatches(sampler, rules, batch=mot.validation_windows, slices=slices))

    def sample_feed(self, split: str, vae: Vae, tokenizer: Tokenizer) -> SampleFeed:
        """Packs of the samples of "train" or "validation"."""
        training = split == "train"
        # Beside walks, whose slices are made by the threads of the step, packs are always drawn ahead: nobody waits for them.
        return sample_feed(
            [each.open() for each in self.sources(split)],
            self.config.mot,
            shape=self.shape,
            vae=vae,
            tokenizer=tokenizer,
            packs=self.config.mot.packs if training and self.config.train else None,
            held_out=not training,
            seed=self.config.seed,
            workers=self.config.loaders if training else 0,
            ahead=training and (self.config.loaders > 0 or bool(self.config.train)),
            damage=Damage(self.config.skip_damaged),
        )

    def averaged(self) -> Checkpoint:
        """The averaged weights of the newest state, whether training has finished or not.

        Raises:
            TrainingError: there is no state yet.
        """
        vae, tokenizer = self.autoencoder(), self.tokenizer()
        trainer = self.trainer(self.fresh_model(), vae, tokenizer)
        if not trainer.resume():
            raise TrainingError(f"There is no state of the world model in {trainer.run} yet. Train first.")
        trainer.ema.swap()
        if trainer.lora is not None:
            trainer.lora.merge()
        return Checkpoint(config=self.shape, bagel=self._parted(trainer.bagel), vae=vae, tokenizer=tokenizer)

    def export(self, bagel: Bagel, vae: Vae, tokenizer: Tokenizer) -> Path:
        """Write the checkpoint folder in the published layout; its path."""
        save(self.exported, config=self.shape, bagel=bagel, vae=vae, tokenizer=tokenizer)
        return self.exported


def _has_split(source: SourceConfig, split: str) -> bool:
    try:
        return isinstance(open_samples(source.folder, split=split), SampleFolder)
    except RecordingError:
        return False


def _write_figures(path: Path, figures: dict[str, float]) -> None:
    try:
        replace_text(path, json.dumps(figures, indent=2) + "\n")
    except OSError as error:
        raise TrainingError(f"Could not write {path}: {error}. Free some space and resume.") from error
