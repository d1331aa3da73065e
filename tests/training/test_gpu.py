"""Training on a GPU: the first steps of the CPU, up to rounding, and a stop that leaves no trace."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bagel_world.model.bagel import Bagel
from bagel_world.model.checkpoint import packing_rules
from bagel_world.training.data.batches import WalkBatches
from bagel_world.training.data.feeds import WalkFeed
from bagel_world.training.data.interleave import WalkConfig, WalkSampler
from bagel_world.training.metrics import RunLog
from bagel_world.training.optim import OptimizerConfig
from bagel_world.training.trainer import MotConfig, Trainer
from tests.training.walks import make_config, make_latents, make_tokenizer

pytestmark = pytest.mark.gpu

CONFIG = MotConfig(
    steps=10,
    batch=4,
    walk=WalkConfig(frames=4, copies=2, imagined_share=0.5),
    optimizer=OptimizerConfig(warmup_steps=1),
    validation_windows=4,
    validate_every=100,
    save_every=5,
    preview_every=100,
)


def _trainer(folder: Path, device: str, config: MotConfig = CONFIG) -> Trainer:
    shape, tokenizer = make_config(), make_tokenizer()
    bagel = Bagel(shape)
    bagel.initialize(torch.Generator().manual_seed(0))
    latents = make_latents(folder / "cache")
    samplers = [WalkSampler(latents, tokenizer, config.walk, seed=seed) for seed in (0, 1)]
    rules = packing_rules(shape, tokenizer)
    train = WalkBatches(samplers[0], rules, batch=config.batch, slices=1 if device == "cuda" else 2)
    feed = WalkFeed(train, steps=config.steps, loaders=2)
    validation = WalkFeed(WalkBatches(samplers[1], rules, batch=config.validation_windows, slices=1))
    return Trainer(bagel.to(device), config, train=feed, validation=validation, run=folder / "run")


def test_the_losses_are_those_of_the_cpu(tmp_path: Path) -> None:
    logs = {}
    for device in ("cpu", "cuda"):
        _trainer(tmp_path / device, device).train()
        logs[device] = [row["loss"] for row in RunLog(tmp_path / device / "run" / "log.jsonl").rows() if "loss" in row]
    assert logs["cuda"] == pytest.approx(logs["cpu"], rel=1e-2)


def test_a_resumed_training_goes_on(tmp_path: Path) -> None:
    _trainer(tmp_path, "cuda", CONFIG.model_copy(update={"steps": 5})).train()
    resumed = _trainer(tmp_path, "cuda")
    assert resumed.resume()
    assert resumed.step == 5
    resumed.train()
    assert resumed.step == 10
