from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from typer.testing import CliRunner

from bagel_world.episodes import write_shard
from bagel_world.errors import TrainingError
from bagel_world.model.checkpoint import load
from bagel_world.training.config import read_recipe
from bagel_world.training.stages import Stages
from bagel_world.types import Action, Episode
from tests.training.walks import make_walks

STEPS = {"steps": 4, "validate_every": 2, "save_every": 2}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    walks = make_walks(episodes=2)
    episodes = []
    for number, (start, end) in enumerate(zip(walks.starts[:-1], walks.starts[1:], strict=True)):
        actions = tuple(Action(text=word) for word in walks.actions[start + 1 : end])
        episodes.append(Episode(frames=np.array(walks.frames[start:end]), actions=actions, metadata={"episode_id": f"e{number}"}))
    write_shard(tmp_path / "walks", 0, episodes)
    settings = {
        "preset": "tiny",
        "train": str(tmp_path / "walks"),
        "validation": str(tmp_path / "walks"),
        "run": str(tmp_path / "run"),
        "autoencoder": {**STEPS, "batch": 2, "statistics_frames": 4, "validation_frames": 4},
        "mot": {**STEPS, "batch": 2, "walk": {"frames": 3}, "validation_windows": 2},
        "world": {"capabilities": {"imagine": True, "write": False, "vit": False}},
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def test_command_ends_in_a_checkpoint_that_loads(recipe: Path) -> None:
    import typer

    from bagel_world.cli.train import train

    app = typer.Typer()
    app.command()(train)
    changes = ["--set", "mot.steps=2", "--set", "mot.preview_every=2", "--set", "world.sampling.default.evaluations=1"]
    changes += ["--set", "world.context.see=latents"]
    result = CliRunner().invoke(app, [str(recipe), *changes], catch_exceptions=False)
    assert result.exit_code == 0
    run = recipe.parent / "run"
    with Image.open(run / "previews" / "step-00000002.png") as picture:
        assert picture.size == (6 * 32, 4 * 32)
    found = load(run / "checkpoint")
    assert found.config.world.frame_size == (32, 32)
    assert not found.config.world.capabilities.write
    assert found.tokenizer.decode(found.tokenizer.encode("Look left")) == "Look left"
    stages = Stages(read_recipe(recipe, ["mot.steps=2"]), resume=True)
    for (name, one), (_, other) in zip(stages.averaged().bagel.named_parameters(), found.bagel.named_parameters(), strict=True):
        assert torch.equal(one.to(torch.bfloat16).float(), other), name


def test_a_run_is_not_begun_twice_by_accident(recipe: Path) -> None:
    config = read_recipe(recipe)
    Stages(config, resume=False)
    with pytest.raises(TrainingError, match="--resume"):
        Stages(config, resume=False)
    Stages(config, resume=True)


def test_a_finished_autoencoder_is_read_and_not_trained_again(recipe: Path) -> None:
    stages = Stages(read_recipe(recipe), resume=False)
    trained = stages.autoencoder()
    log = (recipe.parent / "run" / "autoencoder" / "log.jsonl").read_text()
    again = Stages(read_recipe(recipe), resume=True).autoencoder()
    assert (recipe.parent / "run" / "autoencoder" / "log.jsonl").read_text() == log
    for (name, one), (_, other) in zip(trained.named_parameters(), again.named_parameters(), strict=True):
        assert torch.equal(one, other), name


def test_export_before_training_is_refused(recipe: Path) -> None:
    stages = Stages(read_recipe(recipe), resume=False)
    with pytest.raises(TrainingError, match="no state of the world model"):
        stages.averaged()
