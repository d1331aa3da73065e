from __future__ import annotations

from pathlib import Path

import pytest

from bagel_world.errors import ConfigError
from bagel_world.training.config import read_recipe

RECIPE = "train: a\nvalidation: b\nrun: c\nmot:\n  steps: 7\n"


def _recipe(tmp_path: Path, text: str = RECIPE) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def test_changes_win_over_the_file(tmp_path: Path) -> None:
    config = read_recipe(_recipe(tmp_path), ["mot.steps=9", "mot.walk.frames=4", "autoencoder.optimizer.betas=[0.5, 0.6]"])
    assert config.mot.steps == 9
    assert config.mot.walk.frames == 4
    assert config.autoencoder.optimizer.betas == (0.5, 0.6)
    assert config.train == Path("a")


def test_an_unknown_setting_is_named_with_the_nearest_known_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'mot.walk.framez'.*'mot.walk.frames'"):
        read_recipe(_recipe(tmp_path), ["mot.walk.framez=4"])


@pytest.mark.parametrize(
    ("text", "change", "what"),
    [
        ("- a\n", "", "settings by name"),
        ("a: [", "", "YAML"),
        (RECIPE, "mot.steps", "name=value"),
        (RECIPE, "mot.steps=-1", "mot.steps: Input should be greater than 0, got -1"),
        (RECIPE, "train.x=1", "no parts of its own"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, text: str, change: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        read_recipe(_recipe(tmp_path, text), [change] if change else [])


def test_the_shipped_recipe_is_readable_and_admits_that_nano_does_not_write() -> None:
    config = read_recipe(Path(__file__).parents[2] / "recipes" / "nano.yaml")
    shape = config.model_shape()
    assert not shape.world.capabilities.write
    assert shape.world.frame_size == (64, 64)
    assert config.mot.walk.frames > shape.world.context["max_frames"]
