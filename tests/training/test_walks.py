from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bagel_world.episodes import shard_path, write_shard
from bagel_world.errors import RecordingError, TrainingError
from bagel_world.training.data.cache import store_facts, store_frames
from bagel_world.training.data.walks import WalkSource, gather_walks
from bagel_world.types import Action, Episode
from tests.training.walks import make_walks


def _episode(number: int, frames: int, side: int = 4) -> Episode:
    pictures = np.full((frames, side, side, 3), number, np.uint8)
    pictures[:, 0, 0] = np.arange(frames)[:, None]
    actions = tuple(Action(text=f"go {place}") for place in range(frames - 1))
    return Episode(frames=pictures, actions=actions, metadata={"episode_id": f"e{number}"})


def test_windows_stay_inside_episodes() -> None:
    walks = make_walks(episodes=3, frames=4)
    assert [each.tolist() for each in walks.windows(3)] == [[0, 1, 4, 5, 8, 9]]
    assert len(walks) == 3


def test_windows_longer_than_every_episode_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"at least 5 frames, the longest has 4"):
        make_walks(frames=4).windows(5)


def test_gathered_walks_hold_frames_actions_and_borders(tmp_path: Path) -> None:
    episodes = [_episode(10, 3), _episode(20, 5)]
    write_shard(tmp_path / "shards", 0, episodes)
    walks = gather_walks([WalkSource(folder=tmp_path / "shards")], tmp_path / "cache")
    assert np.array_equal(walks.frames, np.concatenate([episode.frames for episode in episodes]))
    assert walks.starts.tolist() == [0, 3, 8]
    assert walks.actions == ("", "go 0", "go 1", "", "go 0", "go 1", "go 2", "go 3")


def test_new_shards_are_decoded_and_known_ones_are_not(tmp_path: Path) -> None:
    write_shard(tmp_path / "shards", 0, [_episode(10, 3)])
    gather_walks([WalkSource(folder=tmp_path / "shards")], tmp_path / "cache")
    before = (tmp_path / "cache" / "frames.npy").stat().st_mtime_ns
    gather_walks([WalkSource(folder=tmp_path / "shards")], tmp_path / "cache")
    assert (tmp_path / "cache" / "frames.npy").stat().st_mtime_ns == before
    write_shard(tmp_path / "shards", 1, [_episode(20, 4)])
    assert len(gather_walks([WalkSource(folder=tmp_path / "shards")], tmp_path / "cache").frames) == 7


def test_frames_of_two_sizes_are_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "shards", 0, [_episode(1, 3), _episode(2, 3, side=8)])
    with pytest.raises(TrainingError, match="one size"):
        gather_walks([WalkSource(folder=tmp_path / "shards")], tmp_path / "cache")


def test_folders_lie_end_to_end_and_keep_their_own_windows(tmp_path: Path) -> None:
    for number, name in enumerate(("one", "other")):
        write_shard(tmp_path / name, 0, [_episode(number, 3), _episode(number, 4)])
    sources = [WalkSource(folder=tmp_path / "one", weight=1.0), WalkSource(folder=tmp_path / "other", weight=3.0)]
    walks = gather_walks(sources, tmp_path / "cache")
    assert walks.starts.tolist() == [0, 3, 7, 10, 14]
    assert [each.tolist() for each in walks.windows(3)] == [[0, 3, 4], [7, 10, 11]]
    assert walks.weights == (1.0, 3.0)


def test_a_folder_without_a_long_enough_episode_is_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "one", 0, [_episode(0, 6)])
    write_shard(tmp_path / "other", 0, [_episode(1, 3)])
    walks = gather_walks([WalkSource(folder=tmp_path / "one"), WalkSource(folder=tmp_path / "other")], tmp_path / "cache")
    with pytest.raises(TrainingError, match=r"at least 5 frames, the longest has 3"):
        walks.windows(5)


def test_frames_are_written_one_part_at_a_time(tmp_path: Path) -> None:
    episodes = [_episode(number, 3 + number % 5) for number in range(200)]  # the number of frames outgrows one digit
    alive: list[weakref.ref[np.ndarray]] = []

    def parts() -> Iterator[np.ndarray]:
        for episode in episodes:
            part = episode.frames.copy()
            alive.append(weakref.ref(part))
            yield part
            del part
            assert sum(each() is not None for each in alive) <= 2

    store_frames(tmp_path / "frames.npy", parts())
    found = np.load(tmp_path / "frames.npy", mmap_mode="r")
    np.testing.assert_array_equal(found, np.concatenate([episode.frames for episode in episodes]))


def test_frames_that_cannot_be_written_are_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match="Free some space or choose another run folder"):
        store_frames(tmp_path / "file" / "frames.npy", [_episode(0, 3).frames])
    with pytest.raises(TrainingError, match="Free some space or choose another run folder"):
        store_facts(tmp_path / "file" / "facts.json", {})


def test_a_damaged_shard_is_called_damaged(tmp_path: Path) -> None:
    write_shard(tmp_path / "shards", 0, [_episode(0, 3)])
    write_shard(tmp_path / "shards", 1, [_episode(1, 3)])
    path = shard_path(tmp_path / "shards", 1)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RecordingError, match="episodes-00001"):
        gather_walks([WalkSource(folder=tmp_path / "shards")], tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*frames*"))
