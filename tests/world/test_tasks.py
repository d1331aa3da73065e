"""One checkpoint, several tasks: which words, which starts, and what is said about the others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bagel_world import BagelWorld
from bagel_world.actions import NAVIGATE_WORDS, ROTATE_WORDS, TASK_WORDS
from bagel_world.episodes import write_shard
from bagel_world.errors import CapabilityError, UnknownNameError
from bagel_world.model.config import preset
from bagel_world.types import Action, Episode
from bagel_world.world.simulator import STARTS_FOLDER
from bagel_world.world.tasks import episodes_of, pick_task, task_of
from tests.model.folder import write_folder

TASKS = {"rotate": ROTATE_WORDS, "navigate": NAVIGATE_WORDS, "drive": ("Steer left", "Steer right", "Stay")}


def episode(name: str, words: list[str], metadata: Mapping[str, Any] = {}) -> Episode:
    frames = np.full((len(words) + 1, 32, 32, 3), sum(name.encode()) % 256, np.uint8)
    told = {"episode_id": name, "source": "test", "seed": 0, "split": "test", **metadata}
    return Episode(frames=frames, actions=tuple(Action(text=word) for word in words), metadata=told)


EPISODES = [
    episode("walk", ["Look left", "Stay"]),
    episode("turn", [ROTATE_WORDS[1], "Stay"]),
    episode("still", ["Stay"]),
    episode("ride", ["Steer left"]),
    episode("named", ["Stay"], {"task": "drive"}),
    episode("foreign", ["Fly"], {"task": "fly"}),
    episode("free", ["Fly"]),
]


def names(episodes: tuple[Episode, ...]) -> list[str]:
    return [each.metadata["episode_id"] for each in episodes]


def test_the_first_task_is_the_default_one() -> None:
    assert pick_task(None, TASKS) == "rotate"
    assert [pick_task(name, TASKS) for name in TASKS] == list(TASKS)


def test_what_was_never_taught_is_said_with_what_was() -> None:
    with pytest.raises(CapabilityError, match="never taught the task 'rollout', only 'rotate' and 'navigate' and 'drive'"):
        pick_task("rollout", TASKS)
    with pytest.raises(UnknownNameError, match=r"no task 'navigat'. Did you mean 'navigate'\? This checkpoint knows 'rotate'"):
        pick_task("navigat", TASKS)
    with pytest.raises(UnknownNameError, match="no task 3"):
        pick_task(3, TASKS)  # type: ignore[arg-type]


def test_episodes_belong_to_the_task_they_name_or_whose_words_they_say() -> None:
    assert [task_of(each, TASKS) for each in EPISODES] == ["navigate", "rotate", "rotate", "drive", "drive", "rotate", "rotate"]
    assert names(episodes_of("navigate", EPISODES, TASKS)) == ["walk"]
    assert {task: len(episodes_of(task, EPISODES, TASKS)) for task in TASKS} == {"rotate": 4, "navigate": 1, "drive": 2}


def test_the_only_task_has_all_episodes() -> None:
    assert len(episodes_of("navigate", EPISODES, {"navigate": NAVIGATE_WORDS})) == len(EPISODES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = preset("tiny")
    config = config.model_copy(update={"world": config.world.model_copy(update={"tasks": TASKS})})
    folder = write_folder(tmp_path_factory.mktemp("tasks"), config)
    write_shard(folder / STARTS_FOLDER, 0, EPISODES)
    return folder


@pytest.mark.parametrize("task", TASKS)
def test_a_task_decides_words_and_starts_and_shares_the_weights(folder: Path, task: str) -> None:
    default, world = BagelWorld.from_pretrained(folder), BagelWorld.from_pretrained(folder, task=task)
    assert (default.task, default.action_words) == ("rotate", ROTATE_WORDS)
    assert (world.task, world.action_words, world.tasks) == (task, TASKS[task], TASKS)
    assert world.checkpoint is default.checkpoint
    assert names(world.starts) == names(episodes_of(task, EPISODES, TASKS))
    assert world.provenance == default.provenance


def test_a_checkpoint_that_lacks_a_task_says_which_it_has(folder: Path) -> None:
    with pytest.raises(CapabilityError, match="'rollout', only 'rotate' and 'navigate' and 'drive'"):
        BagelWorld.from_pretrained(folder, task="rollout")


def test_a_checkpoint_that_says_nothing_has_the_tasks_of_the_package(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    (folder / "bagel_world.json").write_text('{"transforms": {"vae": {"max_side": 32, "min_side": 32, "stride": 16}}}')
    for task, words in TASK_WORDS.items():
        assert BagelWorld.from_pretrained(folder, task=task).action_words == words
