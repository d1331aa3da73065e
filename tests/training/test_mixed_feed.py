"""Walks and samples in one run: both teach in every step, and a stop leaves no trace."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bagel_world.errors import TrainingError
from bagel_world.training.data.batches import WalkBatches
from bagel_world.training.data.feeds import Feed, MixedFeed, WalkFeed
from bagel_world.training.data.interleave import WalkConfig, WalkSampler
from bagel_world.training.trainer import Trainer
from tests.training.test_sample_feed import CONFIG as SAMPLES
from tests.training.test_sample_feed import RULES, TOKENIZER, make_feed, make_model
from tests.training.walks import make_latents

CONFIG = SAMPLES.model_copy(update={"steps": 5, "batch": 5, "packs": 3, "walk": WalkConfig(frames=3, copies=1)})


def make_walks(folder: Path) -> WalkFeed:
    sampler = WalkSampler(make_latents(folder / "cache"), TOKENIZER, CONFIG.walk, seed=0)
    return WalkFeed(WalkBatches(sampler, RULES, batch=CONFIG.batch, slices=2))


def make_mixed(folder: Path) -> MixedFeed:
    return MixedFeed(make_walks(folder), make_feed(CONFIG, batch=CONFIG.packs))


def make_trainer(run: Path, train: Feed) -> Trainer:
    return Trainer(make_model(), CONFIG, train=train, validation=train, run=run, workers=2)


def first_losses(run: Path, feed: Feed) -> dict[str, float]:
    trainer = make_trainer(run, feed)
    return trainer._workers.backward(list(trainer._named.values()), trainer._losses, feed.slices(0))


def test_the_losses_of_both_kinds_add_up(tmp_path: Path) -> None:
    walks = first_losses(tmp_path / "a", make_walks(tmp_path))
    samples = first_losses(tmp_path / "b", make_feed(CONFIG, batch=CONFIG.packs))
    mixed = first_losses(tmp_path / "c", make_mixed(tmp_path))
    assert mixed["velocity"] == pytest.approx(walks["velocity"] + samples["velocity"], rel=1e-5)
    assert mixed["text"] == pytest.approx(samples["text"], rel=1e-5)
    assert mixed["loss"] == pytest.approx(walks["loss"] + samples["loss"], rel=1e-5)


def test_a_resumed_training_equals_one_never_stopped(tmp_path: Path) -> None:
    whole = make_trainer(tmp_path / "whole", make_mixed(tmp_path))
    whole.train()
    stopped = make_trainer(tmp_path / "parted", make_mixed(tmp_path))

    def stop(step: int, steps: int, losses: dict[str, float]) -> None:
        del steps, losses
        if step == 4:
            raise KeyboardInterrupt

    stopped.progress = stop
    with pytest.raises(KeyboardInterrupt):
        stopped.train()
    resumed = make_trainer(tmp_path / "parted", make_mixed(tmp_path))
    assert resumed.resume()
    assert resumed.step == 3
    resumed.train()
    for (name, one), (_, other) in zip(whole.bagel.named_parameters(), resumed.bagel.named_parameters(), strict=True):
        assert torch.equal(one, other), name


def test_a_position_of_another_kind_of_run_is_refused(tmp_path: Path) -> None:
    mixed, samples = make_mixed(tmp_path), make_feed(CONFIG)
    with pytest.raises(TrainingError, match="one kind of data, and now from two"):
        mixed.restore(samples.position())
    with pytest.raises(TrainingError, match="now from samples alone"):
        samples.restore(mixed.position())
    with pytest.raises(TrainingError, match="now from walks alone"):
        make_walks(tmp_path).restore(mixed.position())
