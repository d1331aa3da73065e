"""The stages of a recipe: autoencoder, tokenizer, world model, decoder, export. Each is skipped when its result is there."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from bagel_world.episodes.damage import Damage
from bagel_world.episodes.sample_folder import SampleFolder
from bagel_world.errors import RecordingError, TrainingError
from bagel_world.files import replace_text
from bagel_world.model.bagel import Bagel
from bagel_world.model.checkpoint import VAE_FILE, WEIGHTS_FILE, Checkpoint, load, load_vae, packing_rules, save, save_tensors
from bagel_world.model.config import BagelConfig
from bagel_world.model.tokenizer import Tokenizer
from bagel_world.model.vae import Vae
from bagel_world.training.adapter import save_lora
from bagel_world.training.autoencoder import AutoencoderTrainer
from bagel_world.training.checkpoint import check_base, load_averages, states
from bagel_world.training.config import TrainingConfig
from bagel_world.training.data.batches import WalkBatches
from bagel_world.training.data.feeds import Feed, MixedFeed, SampleFeed, WalkFeed
from bagel_world.training.data.imagined import Imagine, told_windows
from bagel_world.training.data.interleave import WalkSampler
from bagel_world.training.data.latents import LatentTable
from bagel_world.training.data.material import gather_actions, gather_pictures, gather_texts
from bagel_world.training.data.sources import SourceConfig, open_samples
from bagel_world.training.data.walks import Walks, WalkSource, gather_walks, identity_of
from bagel_world.training.data.words import train_tokenizer
from bagel_world.training.decoder import DecoderConfig
from bagel_world.training.decoder_stage import train_decoder
from bagel_world.training.dense import part_experts, tie_experts
from bagel_world.training.fingerprint import base_fingerprint, digest
from bagel_world.training.lora import add_lora
from bagel_world.training.picture_loss import PictureLoss
from bagel_world.training.ranks import Ranks
from bagel_world.training.sample_feed import check_sources, sample_feed
from bagel_world.training.trainer import Trainer, scale_inputs
from bagel_world.training.vae_trainer import Progress
from bagel_world.training.warm_start import warm_up
from bagel_world.training.workers import step_threads

_LOG = logging.getLogger(__name__)

Preview = Callable[[int, Checkpoint], dict[str, float]]

RECIPE, FIGURES = "recipe.json", "mot.json"
"""In a run folder: what is trained there, and what became of it once the last step is done."""

_VAE, _TOKENIZER, _MOT, _DECODER = "ae.safetensors", "tokenizer", "mot", "decoder"
_VALIDATION_BATCH = 8
_SHOWN = 8
"""Action words in one message."""


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
        self._tokenizer: Tokenizer | None = None
        self.device = config.torch_device() if ranks is None else ranks.device
        finished = config.start_from is not None or config.autoencoder_from is not None or (config.run / _VAE).is_file()
        if ranks is not None and not finished:
            raise TrainingError(
                f"Several processes train the world model together, and {config.run} has no autoencoder yet. "
                "Train it first with one process: bagel-world train RECIPE --set mot.steps=1 --set mot.optimizer.matrix_rate=0 "
                "--set decoder=null. Then go on with --resume"
            )
        if self.device.type == "cuda":
            torch.set_float32_matmul_precision("high")  # TF32: its rounding is far below the noise of a training step
        self.shape = config.model_shape()
        begun = (config.run / RECIPE).is_file()
        if ranks is not None:
            ranks.wait()  # nobody writes it before all have looked
        if begun and not resume:
            raise TrainingError(f"{config.run} already holds a run. Go on with --resume, or name another with --set run=FOLDER.")

    @property
    def exported(self) -> Path:
        """Where the checkpoint folder goes."""
        return self.config.run / "checkpoint"

    @property
    def has_exported(self) -> bool:
        """Whether the checkpoint folder is there, whole."""
        return all((self.exported / name).is_file() for name in (WEIGHTS_FILE, VAE_FILE))

    def walks(self, split: str) -> Walks:
        """Decoded footage of "train" or "validation"; without any, the pictures of samples at the size of the world's frames."""
        cache = self.config.run / "cache" / split
        if not self.config.train:
            damage = Damage(self.config.skip_damaged)
            return gather_pictures(self.sources(split), self.shape.world.frame_size, cache, damage=damage)
        damage = Damage(self.config.skip_damaged, kind="episode")
        return gather_walks(self.config.train if split == "train" else self.config.validation, cache, damage=damage)

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
        """Train the autoencoder, or take the finished one. The run folder is this recipe's from here on."""
        if self.ranks is None or self.ranks.leads:
            _write_text(self.config.run / RECIPE, self.config.model_dump_json(indent=2) + "\n")
            self._check_decoder()
        finished = self.finished_autoencoder()
        if not states(self.config.run / _MOT):
            self._rehearse_once()
        vae = finished or self._trained_autoencoder(progress)
        return vae.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - fresh or read, it encodes the same

    def finished_autoencoder(self) -> Vae | None:
        """The autoencoder of the checkpoint that the recipe names, or of this run; None where it has to be trained."""
        named = self.config.start_from or self.config.autoencoder_from
        if named is not None:
            return load_vae(named, device=self.device)
        path = self.config.run / _VAE
        return self._read_vae(path) if path.is_file() else None

    def _read_vae(self, path: Path) -> Vae:
        vae = Vae(self.shape.vae_config).to(self.device)
        try:
            vae.load_state_dict(load_file(path))
        except (RuntimeError, SafetensorError) as error:
            raise TrainingError(
                f"Expected an autoencoder of this recipe's shape in {path}, but it is another or damaged. "
                "Resume with the preset that the run began with, or train in another run folder."
            ) from error
        return vae.eval()

    def _trained_autoencoder(self, progress: Progress | None) -> Vae:
        torch.manual_seed(self.config.seed)
        vae, path, warm = Vae(self.shape.vae_config).to(self.device), self.config.run / _VAE, self.config.warm_start
        if warm is not None and BagelConfig.from_folder(warm).vae_config == vae.config:
            vae.load_state_dict(load_vae(warm).state_dict())
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
        return _finished(vae, path, {"steps": trainer.step, **figures})

    def _rehearse_once(self) -> None:
        """Rehearse in one process, before the others go on."""
        if self.ranks is None:
            self._rehearse()
            return
        self.tokenizer()  # they meet for that
        with self.ranks.leader_first():
            if self.ranks.leads:
                self._rehearse()

    def _rehearse(self) -> None:
        """Look at all that the world model learns from: what is wrong with it shows before hours go into a training.

        Raises:
            TrainingError: frames of another size than the world's, walks without any of its actions or shorter than a window, a
                batch of them that cannot be shared equally, or no samples to measure on.
            RecordingError: damaged samples, or samples that are too long, more than may be skipped.
        """
        self._check_frame_size()
        if self.config.train:
            self._walk_slices()
        self._check_words()
        for split in ("train", "validation"):
            if self.config.train:
                walks = self.walks(split)
                self._check_footage(walks, self.config.train if split == "train" else self.config.validation)
                walks.windows(self.config.mot.walk.frames, setting="mot.walk.frames")
            if self.config.samples:
                _LOG.info("looking at the samples of %r", split)
                opened = [each.open() for each in self.sources(split)]
                skip, tokenizer = self.config.skip_damaged, self.tokenizer()
                check_sources(opened, self.config.mot, shape=self.shape, tokenizer=tokenizer, skip=skip)

    def _check_decoder(self) -> None:
        """Check what the last stage will need, before the first.

        Raises:
            TrainingError: the recipe cannot teach a decoder.
            MissingExtraError: it compares features and their network is not installed.
        """
        config, workers = self.config.decoder, step_threads(self.config.workers, self.device)
        if config is None:
            return
        if not self.shape.world.capabilities.imagine:
            raise TrainingError(
                "The decoder learns from what is imagined, and world.capabilities.imagine is false. Leave out decoder."
            )
        if config.batch % workers:
            raise TrainingError(f"Expected a decoder.batch that {workers} workers can share equally, got {config.batch}.")
        height, width = self.shape.world.frame_size
        if self.shape.world.transforms.vae.size(width, height) != (width, height):
            raise TrainingError(
                "The decoder learns from frames as they are, and world.transforms.vae resizes those of "
                f"{height} x {width} pixels (world.frame_size). Leave out decoder, or name a rule that keeps them."
            )
        PictureLoss(config, self.device)
        for split in ("train", "validation"):
            told_windows(self.walks(split), config.window)

    def _check_frame_size(self) -> None:
        height, width = self.shape.world.frame_size
        stride, most = self.shape.latent_stride, self.shape.max_latent_size
        if height % stride or width % stride or max(height, width) > stride * most:
            raise TrainingError(
                f"Expected a world.frame_size of whole latent tokens, {stride} pixels each and at most {most} a side, "
                f"got {height} x {width}. Set multiples of {stride} up to {stride * most}, or take another preset."
            )

    def _check_footage(self, walks: Walks, sources: Sequence[WalkSource]) -> None:
        height, width = walks.frames.shape[1:3]
        if (height, width) != self.shape.world.frame_size:
            wanted = " x ".join(map(str, self.shape.world.frame_size))
            raise TrainingError(
                f"Expected frames of {wanted} pixels (world.frame_size), got {height} x {width} in "
                f"{', '.join(str(each.folder) for each in sources)}. Record at that size (--size), or set world.frame_size "
                "to the size of the footage."
            )

    def _check_words(self) -> None:
        """Check that the actions of the footage are among those that the world will offer.

        Raises:
            TrainingError: a world that begins fresh will offer none of its walks' actions.
        """
        offered = list(dict.fromkeys(word for words in self.shape.world.tasks.values() for word in words))
        walks = {*self.walks("train").actions} - {""} if self.config.train else set[str]()
        heard = walks if walks & {*offered} else walks | gather_actions(self.config.samples)
        known = heard & {*offered}
        unknown = sorted(walks - known if known else heard)  # where some are known, other words of samples are free text
        few = [", ".join(map(repr, words[:_SHOWN])) + ", ..." * (len(words) > _SHOWN) for words in (unknown, offered)]
        if walks and not known and self.config.start_from is None:
            raise TrainingError(
                f"Expected footage with some of the actions that the world will offer ({few[1]}), it has {few[0]}. "
                "Name those as action_words: [...], or by task as world.tasks."
            )
        if unknown:
            _LOG.warning(
                "the footage has the actions %s, and the world will offer %s alone: name all that it should offer as "
                "action_words: [...], or by task as world.tasks",
                *few,
            )

    def tokenizer(self) -> Tokenizer:
        """Learn the tokenizer from the actions of all tasks and all texts there are, or take the finished one."""
        if self._tokenizer is None:  # once: where several processes train they meet here
            self._tokenizer = self._found_tokenizer()
        return self._tokenizer

    def _found_tokenizer(self) -> Tokenizer:
        if self.config.start_from is not None:
            return Tokenizer.from_folder(self.config.start_from)
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
        _write_figures(self.config.run / FIGURES, {"steps": trainer.step, **figures})
        if trainer.lora is not None:
            save_lora(trainer.lora, self.config.run / "adapter")
            trainer.lora.merge()
        return self._parted(trainer.bagel)

    def _whole(self, trainer: Trainer, figures: dict[str, float]) -> Bagel:
        """The averaged weights of a training by several processes, read back from the state that they saved together.

        Only the first process, which exports, has room for all of them: the others keep their shards.
        """
        assert self.ranks is not None
        self.ranks.wait()
        if not self.ranks.leads:
            return trainer.bagel
        _write_figures(self.config.run / FIGURES, {"steps": trainer.step, **figures})
        return self._averaged_model()

    def _averaged_model(self) -> Bagel:
        """The averaged weights of the newest state, with what low-rank updates learned merged into them."""
        bagel, run, lora = self.fresh_model(), self.config.run / _MOT, None
        if self.config.mot.lora is not None:
            lora = add_lora(bagel, self.config.mot.lora, torch.Generator().manual_seed(self.config.seed))
            check_base(run, lora.base)
        load_averages(run, bagel if lora is None else lora)
        if lora is not None:
            lora.merge()
        return self._parted(bagel)

    def _parted(self, bagel: Bagel) -> Bagel:
        """A trained model, with two experts and layers as they were written, whatever it was trained as."""
        bagel.mot._compiled_call_impl = None  # what is asked of it now has other shapes in every call
        if self.config.mot.dense:
            part_experts(bagel)
        return bagel.eval()

    def decoder(
        self, bagel: Bagel, vae: Vae, tokenizer: Tokenizer, imagine: Imagine, progress: Callable[[str], Progress] | None = None
    ) -> Vae:
        """Train the decoder on what the finished world model imagines, or take the finished one.

        Args:
            bagel: the trained world model.
            vae: the autoencoder it was trained with; its decoder is trained in place.
            tokenizer: that of the recipe.
            imagine: what imagines with a checkpoint; training knows no world.
            progress: what follows each part of it, by name.
        """
        config = self.config.decoder
        if config is None:
            return vae
        folder = self._decoder_folder(config, bagel, vae)
        path = folder / _VAE
        if path.is_file():
            return self._read_vae(path)
        checkpoint = Checkpoint(config=self.shape, bagel=bagel, vae=vae.eval(), tokenizer=tokenizer)
        figures = train_decoder(
            checkpoint,
            config,
            train=self.walks("train"),
            validation=self.walks("validation"),
            imagine=imagine,
            folder=folder,
            seed=self.config.seed,
            workers=step_threads(self.config.workers, self.device),
            progress=progress,
        )
        return _finished(vae, path, figures)

    def _decoder_folder(self, config: DecoderConfig, bagel: Bagel, vae: Vae) -> Path:
        """Where the decoder that paints what this model imagines is trained: what imagines or learns otherwise has another."""
        world, cadence = self.shape.world, {"validate_every", "save_every", "keep_states", "explosion"}
        sampling = world.sampling.get("default", {})
        settings = [sampling, world.context, config.model_dump(mode="json", exclude=cadence), self.config.seed]
        weights = [base_fingerprint(bagel), digest(vae.named_parameters())]
        return self.config.run / _DECODER / identity_of([*weights, *settings])

    def fresh_model(self) -> Bagel:
        """The model before its first step."""
        if self.config.start_from is not None:
            return self._begun(load(self.config.start_from, device=self.device).bagel)
        generator = torch.Generator().manual_seed(self.config.seed)
        bagel = Bagel(self.shape)
        bagel.initialize(generator)
        scale_inputs(bagel, generator)
        bagel.to(self.device)
        if self.config.warm_start is not None:
            left = warm_up(bagel, self.tokenizer(), load(self.config.warm_start, device=self.device))
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
            run=self.config.run / _MOT,
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
            batches = WalkBatches(sampler, rules, batch=mot.batch, slices=self._walk_slices(), balanced=mot.balance_texts)
            return WalkFeed(batches, steps=mot.steps, loaders=self.config.loaders)
        walk = mot.walk.model_copy(update={"imagined_share": 0.0})
        sampler = WalkSampler(latents, tokenizer, walk, seed=self.config.seed + 1)
        slices = -(-mot.validation_windows // _VALIDATION_BATCH)
        return WalkFeed(WalkBatches(sampler, rules, batch=mot.validation_windows, slices=slices, balanced=mot.balance_texts))

    def _walk_slices(self) -> int:
        """Parts of the windows of a step: each thread or process has its own, and takes them one after the other.

        Raises:
            TrainingError: several parts are asked for, and they would not be equal.
        """
        mot, ranks = self.config.mot, self.ranks
        sharing = min(mot.batch, step_threads(self.config.workers, self.device) if ranks is None else ranks.count)
        if mot.accumulate > 1 and mot.batch % (sharing * mot.accumulate):
            raise TrainingError(
                f"Expected a mot.batch that {sharing} {'workers' if ranks is None else 'processes'} can share equally, in "
                f"{mot.accumulate} parts each (mot.accumulate), got {mot.batch}. "
                f"Set it to a multiple of {sharing * mot.accumulate}, or lower mot.accumulate."
            )
        return sharing * mot.accumulate

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
        """The averaged weights of the newest state, whether training has finished or goes on beside: the run is only read.

        Raises:
            TrainingError: there is no state yet, or it is of another training.
        """
        vae = self.finished_autoencoder() if states(self.config.run / _MOT) else None
        if vae is None:
            raise TrainingError(f"There is no state of the world model in {self.config.run / _MOT} yet. Train first.")
        bagel = self._averaged_model()
        if self.config.decoder is not None:
            taught = self._decoder_folder(self.config.decoder, bagel, vae) / _VAE
            if taught.is_file():
                vae = self._read_vae(taught)
            else:
                _LOG.warning("no decoder has learned to paint what these weights imagine: the autoencoder is exported as it was")
        return Checkpoint(config=self.shape, bagel=bagel, vae=vae, tokenizer=self.tokenizer())

    def export(self, bagel: Bagel, vae: Vae, tokenizer: Tokenizer) -> Path:
        """Write the checkpoint folder in the published layout; its path."""
        save(self.exported, config=self.shape, bagel=bagel, vae=vae, tokenizer=tokenizer)
        return self.exported


def _has_split(source: SourceConfig, split: str) -> bool:
    try:
        return isinstance(open_samples(source.folder, split=split), SampleFolder)
    except RecordingError:
        return False


def _finished(vae: Vae, path: Path, figures: dict[str, float]) -> Vae:
    """Keep an autoencoder that is trained, and what it does on held-out pictures beside it."""
    _write_figures(path.with_suffix(".json"), figures)
    try:
        save_tensors(path, dict(vae.named_parameters()))
    except OSError as error:
        raise TrainingError(f"Could not write {path}: {error}. Free some space and resume.") from error
    return vae.eval()


def _write_figures(path: Path, figures: dict[str, float]) -> None:
    _write_text(path, json.dumps(figures, indent=2) + "\n")


def _write_text(path: Path, text: str) -> None:
    try:
        replace_text(path, text)
    except OSError as error:
        raise TrainingError(
            f"Could not write {path}: {error}. Free some space and resume, or name another run folder."
        ) from error
