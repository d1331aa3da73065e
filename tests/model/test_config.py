"""What a checkpoint folder says of its use: tasks and their action words, old folders included."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bagel_world.actions import NAVIGATE_WORDS, TASK_WORDS
from bagel_world.errors import CheckpointError
from bagel_world.model.config import PRESETS, BagelConfig, WorldDefaults, merged, preset


def test_a_folder_that_says_nothing_knows_every_task_of_the_package() -> None:
    assert WorldDefaults().tasks == TASK_WORDS
    assert WorldDefaults().action_words == NAVIGATE_WORDS
    WorldDefaults().tasks.clear()
    assert WorldDefaults().tasks == TASK_WORDS


def test_a_folder_from_before_tasks_has_one() -> None:
    defaults = WorldDefaults.model_validate({"action_words": ["Pan left", "Pan right"]})
    assert defaults.tasks == {"navigate": ("Pan left", "Pan right")}
    assert WorldDefaults.model_validate(defaults.model_dump(mode="json")) == defaults


def test_the_first_task_is_the_default_one() -> None:
    defaults = WorldDefaults.model_validate({"tasks": {"rotate": ["Left"], "drive": ["Steer left", "Steer right"]}})
    assert list(defaults.tasks) == ["rotate", "drive"]
    assert defaults.action_words == ("Left",)


def test_tasks_survive_the_folder(tmp_path: Path) -> None:
    tasks = {"drive": ("Steer left", "Steer right"), "navigate": NAVIGATE_WORDS}
    config = preset("tiny")
    config = config.model_copy(update={"world": config.world.model_copy(update={"tasks": tasks})})
    config.to_folder(tmp_path)
    read = BagelConfig.from_folder(tmp_path).world
    assert list(read.tasks.items()) == list(tasks.items())
    assert "action_words" not in json.loads((tmp_path / "bagel_world.json").read_text())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"tasks": {}}, "at least one task"),
        ({"tasks": {"rotate": []}}, "'rotate'"),
        ({"tasks": {"rotate": ["Left", "left"]}}, "different words"),
        ({"tasks": {"rotate": ["Left", " "]}}, "different words"),
        ({"tasks": {"rotate": ["Left"]}, "action_words": ["Left"]}, "exclude each other"),
    ],
)
def test_tasks_that_cannot_be_are_refused(values: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=words):
        WorldDefaults.model_validate(values)
    preset("tiny").to_folder(tmp_path)
    (tmp_path / "bagel_world.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=words):
        BagelConfig.from_folder(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frame_size": [0, 0]}, "frame_size in multiples of 16"),
        ({"frame_size": [-32, 32]}, "frame_size in multiples of 16"),
        ({"frame_size": [40, 40]}, "frame_size in multiples of 16"),
        ({"transforms": {"vae": {"stride": 8}}}, "transforms.vae.stride in multiples of 16"),
        ({"transforms": {"vit": {"stride": 10}}}, "transforms.vit.stride in multiples of 14"),
    ],
)
def test_numbers_that_do_not_fit_each_other_are_refused_when_they_are_read(change: dict[str, Any], words: str) -> None:
    whole = merged(PRESETS["tiny"], {"world": change})
    with pytest.raises(ValidationError, match=words):
        BagelConfig.model_validate(whole)


def test_a_table_of_patches_as_wide_as_the_vit_s_pictures() -> None:
    with pytest.raises(ValidationError, match="vit_max_num_patch_per_side 3, as vit_config says, got 4"):
        BagelConfig.model_validate({**PRESETS["tiny"], "vit_max_num_patch_per_side": 4})


def test_json_without_an_end_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match="Expected JSON"):
        BagelConfig.from_folder(tmp_path)
