"""What a recipe's footage has to hold is looked at before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from bagel_world.actions import NAVIGATE_WORDS, TASK_WORDS
from bagel_world.episodes import sample_from_episode, shard_path, write_samples, write_shard
from bagel_world.errors import RecordingError, TrainingError
from bagel_world.model.bagel import Bagel
from bagel_world.model.checkpoint import save
from bagel_world.training.config import read_recipe
from bagel_world.training.stages import Stages
from bagel_world.types import Action, Episode
from tests.training.walks import SIDE, make_config, make_tokenizer, make_vae

STEERING = ("Coast", "Steer left", "Gas")


def _walk(name: str, words: Sequence[str]) -> Episode:
    frames = np.random.default_rng(0).integers(0, 256, (len(words) + 1, SIDE, SIDE, 3)).astype(np.uint8)
    return Episode(frames=frames, actions=tuple(Action(text=word) for word in words), metadata={"episode_id": name})


Write = Callable[..., Stages]


@pytest.fixture
def stages(tmp_path: Path) -> Write:
    """Begins a recipe whose walks or samples say these words."""

    def begin(
        walks: Sequence[str] = (), samples: Sequence[str] = (), world: dict[str, Any] | None = None, **settings: Any
    ) -> Stages:
        recipe: dict[str, Any] = {"run": str(tmp_path / "run"), "mot": {"walk": {"frames": 3}, "pack": {"tokens": 256}}}
        recipe["mot"]["segments"] = {"vit": False}
        recipe["autoencoder"] = {"steps": 1, "batch": 2, "statistics_frames": 4, "validation_frames": 4}
        recipe["world"] = {"capabilities": {"imagine": True, "write": False, "vit": False}, **(world or {})}
        if walks:
            write_shard(tmp_path / "walks", 0, [_walk("e", walks)])
            recipe |= {"train": str(tmp_path / "walks"), "validation": str(tmp_path / "walks")}
        if samples:
            found = [
                sample_from_episode(_walk(split, samples), source="films", license="CC0-1.0", split=split)
                for split in ("train", "validation")
            ]
            write_samples(tmp_path / "samples", found)
            recipe["samples"] = [{"folder": str(tmp_path / "samples")}]
        recipe |= settings
        if "start_from" not in recipe:
            recipe["preset"] = "tiny"
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        return Stages(read_recipe(tmp_path / "recipe.yaml"), resume=False)

    return begin


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """One that was taught to go through houses."""
    shape = make_config()
    torch.manual_seed(0)
    save(tmp_path / "checkpoint", config=shape, bagel=Bagel(shape), vae=make_vae(), tokenizer=make_tokenizer())
    return tmp_path / "checkpoint"


def test_walks_without_any_word_of_the_world_are_refused(stages: Write, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"\('Move forward', .*'Stay'\), it has 'Coast', 'Gas', 'Steer left'\..*action_words"):
        stages(STEERING).autoencoder()
    assert not (tmp_path / "run" / "autoencoder").exists()


def test_as_much_as_fits_a_line_is_told(stages: Write) -> None:
    with pytest.raises(TrainingError, match=r"it has 'Turn 0', .*'Turn 7', \.\.\.\. Name"):
        stages([f"Turn {number}" for number in range(9)])._rehearse()


@pytest.mark.parametrize(
    ("footage", "settings", "warned"),
    [
        ({"walks": STEERING}, {"action_words": list(STEERING)}, ()),
        ({"walks": STEERING}, {"action_words": ["Coast", "Brake"]}, ("'Gas', 'Steer left', and", "'Coast', 'Brake' alone")),
        ({"walks": STEERING}, {"world": {"tasks": {"drive": list(STEERING)}}}, ()),
        ({"walks": NAVIGATE_WORDS[:2]}, {}, ()),
        ({"walks": TASK_WORDS["rollout"]}, {"world": {"tasks": {name: list(words) for name, words in TASK_WORDS.items()}}}, ()),
        ({"walks": NAVIGATE_WORDS, "samples": STEERING}, {}, ()),
        ({"walks": STEERING, "samples": NAVIGATE_WORDS}, {}, ("'Coast', 'Gas', 'Steer left', and",)),
        ({"samples": STEERING}, {}, ("'Coast', 'Gas', 'Steer left', and", "'Move forward',")),
        ({"samples": (*STEERING, "Stay")}, {}, ()),
    ],
)
def test_actions_that_no_task_has_are_told(
    stages: Write,
    caplog: pytest.LogCaptureFixture,
    footage: dict[str, Sequence[str]],
    settings: dict[str, Any],
    warned: Sequence[str],
) -> None:
    stages(**footage, **settings)._rehearse()
    assert ("the footage has the actions" in caplog.text) == bool(warned)
    for words in warned:
        assert words in caplog.text


def test_a_checkpoint_keeps_its_tasks_whatever_it_goes_on_with(
    stages: Write, checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = stages(STEERING, start_from=str(checkpoint))
    found._rehearse()
    assert found.shape.world.action_words == NAVIGATE_WORDS
    assert "the footage has the actions 'Coast', 'Gas', 'Steer left'" in caplog.text


def test_damaged_walks_are_skipped_as_far_as_the_recipe_says(stages: Write, tmp_path: Path) -> None:
    for skip in (0, 1):
        found = stages(NAVIGATE_WORDS, skip_damaged=skip)
        shard_path(tmp_path / "walks", 1).write_bytes(b"PAR1")
        if skip:
            found._rehearse()
            assert len(found.walks("train")) == 1
        else:
            with pytest.raises(RecordingError, match=r"1 episodes are damaged, 0 may be skipped.*episodes-00001"):
                found._rehearse()


def test_what_walks_are_too_short_for_is_named(stages: Write) -> None:
    with pytest.raises(TrainingError, match=r"at least 9 frames, the longest has 5\. Set mot\.walk\.frames lower"):
        stages(NAVIGATE_WORDS, mot={"walk": {"frames": 9}})._rehearse()
    with pytest.raises(TrainingError, match=r"at least 6 frames, the longest has 5\. Set decoder\.context or decoder\.ahead"):
        stages(NAVIGATE_WORDS, decoder={"steps": 2, "batch": 4})._check_decoder()
