"""The stage in which a decoder learns to paint what a world model imagines: first that imagines, then the decoder learns."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from bagel_world.model.checkpoint import Checkpoint
from bagel_world.training.data.imagined import Imagine, Imagined, imagine_walks
from bagel_world.training.data.walks import Walks, identity_of
from bagel_world.training.decoder import DecoderConfig, DecoderTrainer
from bagel_world.training.vae_trainer import Progress


def train_decoder(
    checkpoint: Checkpoint,
    config: DecoderConfig,
    *,
    train: Walks,
    validation: Walks,
    imagine: Imagine,
    folder: Path,
    seed: int,
    workers: int,
    progress: Callable[[str], Progress] | None = None,
) -> dict[str, float]:
    """Train the decoder of a checkpoint in place; the figures.

    Args:
        checkpoint: the world model that imagines, and the autoencoder whose decoder learns.
        config: how.
        train: walks to learn from.
        validation: walks to measure on.
        imagine: what imagines with a checkpoint.
        folder: for what was imagined, states and log; what is there already is taken.
        seed: decides everything random.
        workers: threads that imagine, and that share a step.
        progress: what follows each part of the work, by its name.
    """
    shown = (lambda _: None) if progress is None else progress
    imagined = partial(_imagined, checkpoint, config, imagine, folder, workers)
    held_out = -(-config.validation_frames // config.ahead)
    measured = imagined(validation, held_out, seed + 1, shown("imagining to measure"))
    learned = imagined(train, config.windows, seed, shown("imagining to learn"))
    trainer = DecoderTrainer(
        checkpoint.vae,
        config,
        train=learned,
        validation=measured,
        run=folder,
        seed=seed,
        workers=workers,
        progress=shown("decoder"),
    )
    trainer.resume()
    figures = trainer.train()
    return {"steps": trainer.step, **figures}


def _imagined(
    checkpoint: Checkpoint,
    config: DecoderConfig,
    imagine: Imagine,
    folder: Path,
    workers: int,
    walks: Walks,
    windows: int,
    seed: int,
    progress: Progress | None,
) -> Imagined:
    """What the model imagines, or imagined before."""
    name = identity_of([windows, config.context, config.ahead, seed, walks.identity, walks.weights])
    path = folder / f"imagined-{name}.safetensors"
    if path.is_file():
        return Imagined.load(path, walks)
    found = imagine_walks(
        checkpoint,
        walks,
        imagine,
        windows=windows,
        context=config.context,
        ahead=config.ahead,
        seed=seed,
        workers=workers,
        progress=progress,
    )
    found.save(path)
    return found
