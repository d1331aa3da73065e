from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bagel_world.episodes import shard_path, write_shard
from bagel_world.episodes.damage import Damage
from bagel_world.episodes.schema import encode_png
from bagel_world.errors import RecordingError, TrainingError
from bagel_world.training.data.cache import store_facts, store_frames
from bagel_world.training.data.walks import Walks, WalkSource, gather_walks, identity_of
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
    with pytest.raises(TrainingError, match=r"Set mot\.walk\.frames lower"):
        make_walks(frames=4).windows(5, setting="mot.walk.frames")


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


def _cut(folder: Path, index: int) -> None:
    path = shard_path(folder, index)
    path.write_bytes(path.read_bytes()[:-100])


def _spoil(folder: Path, index: int, number: int) -> bytes:
    """Damage a frame of one episode of a shard, which keeps its size; the bytes of the whole shard."""
    path = shard_path(folder, index)
    whole, picture = path.read_bytes(), encode_png(_episode(number, 3).frames[1])
    assert picture in whole
    path.write_bytes(whole.replace(picture, bytes(len(picture))))
    return whole


@pytest.fixture
def spoiled(tmp_path: Path) -> Path:
    """Seven episodes of three frames: the first shard is cut off, of the second an episode is damaged, the third is whole."""
    folder = tmp_path / "shards"
    for index, numbers in enumerate(((0, 1), (2, 3, 4), (5, 6))):
        write_shard(folder, index, [_episode(number, 3) for number in numbers])
    _cut(folder, 0)
    _spoil(folder, 1, 3)
    return folder


def _gather(folder: Path, cache: Path, limit: int | None) -> Walks:
    return gather_walks([WalkSource(folder=folder)], cache, damage=Damage(limit, kind="episode"))


def test_damaged_episodes_are_skipped_up_to_a_limit(spoiled: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RecordingError, match=r"2 episodes are damaged, 1 may be skipped.*skip_damaged.*episodes-00001.*row 1"):
        _gather(spoiled, tmp_path / "cache", 1)
    assert not list(tmp_path.glob("cache/*"))
    caplog.clear()
    walks = _gather(spoiled, tmp_path / "cache", 2)
    assert walks.frames[::3, 1, 1, 0].tolist() == [2, 4, 5, 6]
    assert walks.starts.tolist() == [0, 3, 6, 9, 12]
    assert len(walks.actions) == 12
    assert caplog.text.count("skipped a damaged episode") == 2


def test_walks_that_were_decoded_are_taken_again_only_where_as_much_may_be_skipped(spoiled: Path, tmp_path: Path) -> None:
    first = _gather(spoiled, tmp_path / "cache", 2)
    before = (tmp_path / "cache" / "frames.npy").stat().st_mtime_ns
    again = _gather(spoiled, tmp_path / "cache", 9)
    assert (tmp_path / "cache" / "frames.npy").stat().st_mtime_ns == before
    elsewhere = _gather(spoiled, tmp_path / "elsewhere", None)
    assert first.identity == again.identity == elsewhere.identity
    assert np.array_equal(first.frames, elsewhere.frames)
    for limit in (0, 1):
        with pytest.raises(RecordingError, match="may be skipped"):
            _gather(spoiled, tmp_path / "cache", limit)


def test_what_is_skipped_is_told_from_what_is_whole_or_lacks_another(tmp_path: Path) -> None:
    identities = []
    for number in (None, 1, 2):
        folder = tmp_path / str(number) / "shards"
        write_shard(folder, 0, [_episode(each, 3) for each in range(4)])
        if number is not None:
            _spoil(folder, 0, number)
        identities.append(_gather(folder, tmp_path / f"cache-{number}", 1).identity)
    assert len(set(identities)) == 3
    assert identities[0] == identity_of([["episodes-00000.parquet", shard_path(folder, 0).stat().st_size]]), "as ever"


def test_a_shard_that_is_mended_is_decoded_though_its_size_is_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    write_shard(folder, 0, [_episode(0, 3), _episode(1, 3)])
    whole = _spoil(folder, 0, 1)
    damaged = _gather(folder, tmp_path / "cache", 1)
    shard_path(folder, 0).write_bytes(whole)
    stamp = shard_path(folder, 0).stat().st_mtime_ns + 10**9
    os.utime(shard_path(folder, 0), ns=(stamp, stamp))
    mended = _gather(folder, tmp_path / "cache", 1)
    assert (len(damaged), len(mended)) == (1, 2)
    assert mended.identity != damaged.identity


def test_a_folder_of_damage_alone_is_refused(spoiled: Path, tmp_path: Path) -> None:
    write_shard(tmp_path / "lost", 0, [_episode(0, 3)])
    _cut(tmp_path / "lost", 0)
    sources = [WalkSource(folder=spoiled), WalkSource(folder=tmp_path / "lost")]
    with pytest.raises(TrainingError, match=r"Expected episodes in .*lost, found none that can be read.*data check"):
        gather_walks(sources, tmp_path / "cache", damage=Damage(9))


def test_a_damaged_shard_is_called_damaged(tmp_path: Path) -> None:
    write_shard(tmp_path / "shards", 0, [_episode(0, 3)])
    write_shard(tmp_path / "shards", 1, [_episode(1, 3)])
    path = shard_path(tmp_path / "shards", 1)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RecordingError, match="episodes-00001"):
        gather_walks([WalkSource(folder=tmp_path / "shards")], tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*frames*"))
