"""A small checkpoint folder with random weights and a tokenizer of bytes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from tokenizers import pre_tokenizers
from transformers import Qwen2Tokenizer

from bagel_world.model import checkpoint
from bagel_world.model.config import BagelConfig, preset
from bagel_world.model.tokenizer import Tokenizer
from tests.model.tiny import randomize


def byte_tokenizer() -> Tokenizer:
    """One id per byte, and the marks behind them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    return Tokenizer(Qwen2Tokenizer(vocab={letter: place for place, letter in enumerate(alphabet)}, merges=[]))


def write_folder(folder: Path, config: BagelConfig | None = None, seed: int = 0) -> Path:
    """Write a checkpoint of this shape; weights are rounded to bfloat16 by the format."""
    config = preset("tiny") if config is None else config
    bagel, vae = checkpoint.build(config, "cpu")
    randomize(bagel, seed, spread=0.15)
    randomize(vae, seed + 1, spread=0.15)
    checkpoint.save(folder, config=config, bagel=bagel, vae=vae, tokenizer=byte_tokenizer())
    return folder


def write_untaught(folder: Path, target: Path, ability: str) -> Path:
    """Write a copy of a checkpoint that was never taught an ability."""
    shutil.copytree(folder, target)
    settings = json.loads((target / "bagel_world.json").read_text())
    settings["capabilities"][ability] = False
    (target / "bagel_world.json").write_text(json.dumps(settings))
    return target


def load_folder(folder: Path, dtype: torch.dtype = torch.float32) -> checkpoint.Checkpoint:
    return checkpoint.load(folder, device="cpu", dtype=dtype)
