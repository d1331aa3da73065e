"""Small walks and models that the tests of this room share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from bagel_world.actions import NAVIGATE_WORDS
from bagel_world.model.config import BagelConfig, VaeConfig, preset
from bagel_world.model.tokenizer import Tokenizer
from bagel_world.model.vae import Vae
from bagel_world.training.data.latents import LatentTable
from bagel_world.training.data.walks import Walks
from bagel_world.training.data.words import train_tokenizer

SIDE = 32


def make_walks(episodes: int = 3, frames: int = 6, seed: int = 0) -> Walks:
    """Walks of random pictures; the frames of episode e are about as bright as e."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (episodes * frames, SIDE, SIDE, 3)).astype(np.uint8)
    words = [*rng.choice(NAVIGATE_WORDS[:3], episodes * frames)]
    words[::frames] = [""] * episodes
    return Walks(frames=pictures, starts=np.arange(episodes + 1) * frames, actions=tuple(map(str, words)))


def make_config() -> BagelConfig:
    """The tiny preset, with latents that need no scaling."""
    shape = preset("tiny")
    return shape.model_copy(update={"vae_config": shape.vae_config.model_copy(update={"scale_factor": 1.0, "shift_factor": 0.0})})


def make_vae(config: VaeConfig | None = None) -> Vae:
    """A tiny autoencoder with random weights."""
    torch.manual_seed(0)
    return Vae(config or make_config().vae_config)


def make_latents(folder: Path, walks: Walks | None = None) -> LatentTable:
    """The latents of small walks."""
    return LatentTable(walks or make_walks(), make_vae(), patch=2, cache=folder)


def make_tokenizer() -> Tokenizer:
    """A tokenizer that knows the navigation words."""
    return train_tokenizer(NAVIGATE_WORDS, 512)
