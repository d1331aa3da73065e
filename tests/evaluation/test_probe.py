from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from bagel_world.actions import NAVIGATE_WORDS
from bagel_world.errors import ConfigError, RecordingError
from bagel_world.evaluation.probe import (
    ProbeConfig,
    collect_pairs,
    load_or_train_probe,
    load_probe,
    train_probe,
)
from bagel_world.types import Action, Episode

WEIGHTS_FILE, SETTINGS_FILE = "probe.safetensors", "probe.json"

FAST = ProbeConfig(pairs=100, steps=2, batch=8, width=8)


def test_pairs_are_neighbors_with_the_action_between(make_walk: Callable[..., Episode]) -> None:
    walks = [make_walk(number) for number in range(3)]
    pairs = collect_pairs(walks, [2, 0], NAVIGATE_WORDS, limit=1000)
    assert len(pairs.labels) == 40
    np.testing.assert_array_equal(pairs.labels[:20], [action.id for action in walks[2].actions])
    np.testing.assert_array_equal(pairs.frames[pairs.before[:20]], walks[2].frames[:-1])
    np.testing.assert_array_equal(pairs.frames[pairs.before[20:] + 1], walks[0].frames[1:])


def test_walks_into_walls_and_unknown_words_teach_nothing(make_walk: Callable[..., Episode]) -> None:
    frame = make_walk(0).frames[0]
    frames = np.stack([frame, frame, frame, frame // 2])
    actions = (Action(text="Move forward", id=0), Action(text="Stay", id=3), Action(text="Open the door"))
    pairs = collect_pairs([Episode(frames=frames, actions=actions)], [0], NAVIGATE_WORDS, limit=10)
    assert (pairs.before.tolist(), pairs.labels.tolist()) == ([1], [3])
    with pytest.raises(ConfigError, match="found none of them"):
        collect_pairs([Episode(frames=frames, actions=actions)], [0], ("Fly",), limit=10)


def test_only_as_many_episodes_are_read_as_needed(make_walk: Callable[..., Episode]) -> None:
    walks = [make_walk(number) for number in range(4)]
    assert len(collect_pairs(walks, [0, 1, 2, 3], NAVIGATE_WORDS, limit=21).labels) == 40


@pytest.mark.slow
@pytest.mark.usefixtures("thirty_degrees")
def test_a_probe_learns_to_read_actions_in_rooms_it_never_saw(make_walk: Callable[..., Episode]) -> None:
    config = ProbeConfig(pairs=1200, steps=250, batch=48, width=32)
    probe, settings = train_probe([make_walk(number) for number in range(70)], NAVIGATE_WORDS, config, footage="rooms")
    assert settings.held_out_accuracy >= 0.9
    assert settings.held_out_pairs > 100
    unseen = collect_pairs([make_walk(number) for number in range(500, 510)], range(10), NAVIGATE_WORDS, limit=200)
    found = probe.read(unseen.frames[unseen.before], unseen.frames[unseen.before + 1])
    assert (found == unseen.labels).mean() >= 0.9


def test_a_probe_survives_the_disk_and_is_trained_once(episodes: Sequence[Episode], tmp_path: Path) -> None:
    folder = tmp_path / "probe"
    assert load_probe(folder) is None
    trained, settings = load_or_train_probe(folder, episodes, NAVIGATE_WORDS, FAST, footage="rooms")
    stored = (folder / WEIGHTS_FILE).read_bytes()
    found, again = load_or_train_probe(folder, episodes, NAVIGATE_WORDS, FAST, footage="rooms")
    assert (settings, stored) == (again, (folder / WEIGHTS_FILE).read_bytes())
    before, after = episodes[0].frames[:-1], episodes[0].frames[1:]
    np.testing.assert_array_equal(trained.read(before, after), found.read(before, after))


def test_equal_seeds_give_equal_probes(episodes: Sequence[Episode]) -> None:
    one, other = (train_probe(episodes, NAVIGATE_WORDS, FAST, footage="rooms")[0].state_dict() for _ in range(2))
    assert all((one[name] == other[name]).all() for name in one)


def test_other_footage_trains_another_probe(episodes: Sequence[Episode], tmp_path: Path) -> None:
    load_or_train_probe(tmp_path, episodes, NAVIGATE_WORDS, FAST, footage="rooms")
    _, settings = load_or_train_probe(tmp_path, episodes[:4], NAVIGATE_WORDS, FAST, footage="fewer rooms")
    assert settings.footage == "fewer rooms"
    found = load_probe(tmp_path)
    assert found is not None
    assert found[1] == settings


def test_a_damaged_probe_says_what_to_do(episodes: Sequence[Episode], tmp_path: Path) -> None:
    load_or_train_probe(tmp_path, episodes, NAVIGATE_WORDS, FAST, footage="rooms")
    weights = (tmp_path / WEIGHTS_FILE).read_bytes()
    (tmp_path / WEIGHTS_FILE).write_bytes(weights[:100])
    with pytest.raises(RecordingError, match="Delete the folder"):
        load_probe(tmp_path)
    (tmp_path / SETTINGS_FILE).write_text("{}")
    with pytest.raises(RecordingError, match="Delete the folder"):
        load_probe(tmp_path)


def test_one_episode_is_not_enough(episodes: Sequence[Episode]) -> None:
    with pytest.raises(ConfigError, match="at least two episodes"):
        train_probe(episodes[:1], NAVIGATE_WORDS, FAST, footage="rooms")
