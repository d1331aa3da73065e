from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bagel_world.episodes import EpisodeFolder, ShardWriter, count_frames, read_episodes, shard_path, write_shard
from bagel_world.episodes.damage import Damage
from bagel_world.episodes.schema import SCHEMA, to_row
from bagel_world.errors import ConfigError, RecordingError
from bagel_world.types import Episode
from tests.episodes.conftest import draw_episode

MakeEpisode = Callable[..., Episode]
Compare = Callable[[Episode, Episode], None]


@pytest.fixture
def folder(tmp_path: Path, make_episode: MakeEpisode) -> Path:
    """Seven episodes in shards of three; every third one is for testing."""
    episodes = (make_episode(number, split="test" if number % 3 == 2 else "train") for number in range(7))
    write_all(ShardWriter(tmp_path, episodes_per_shard=3), episodes)
    return tmp_path


def write_all(writer: ShardWriter, episodes: Iterable[Episode]) -> None:
    with writer:
        for episode in episodes:
            writer.add(episode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_shards_hold_equal_numbers_and_the_rest(folder: Path) -> None:
    assert names(folder) == ["episodes-00000.parquet", "episodes-00001.parquet", "episodes-00002.parquet"]
    assert [pq.ParquetFile(shard_path(folder, index)).metadata.num_rows for index in range(3)] == [3, 3, 1]


def test_reading_gives_back_what_was_written(folder: Path, make_episode: MakeEpisode, assert_same_episode: Compare) -> None:
    episodes = list(read_episodes(folder))
    assert len(episodes) == 7
    for number, episode in enumerate(episodes):
        assert_same_episode(episode, make_episode(number, split="test" if number % 3 == 2 else "train"))


def test_a_split_can_be_read_alone(folder: Path) -> None:
    assert [episode.metadata["seed"] for episode in read_episodes(folder, split="test")] == [2, 5]
    assert list(read_episodes(folder, split="unseen")) == []


def test_episodes_by_index_are_those_in_order(folder: Path, assert_same_episode: Compare) -> None:
    episodes = EpisodeFolder(folder)
    assert len(episodes) == 7
    for place, expected in enumerate(read_episodes(folder)):
        assert_same_episode(episodes[place], expected)
        assert_same_episode(episodes[place - 7], expected)
    assert [episode.metadata["seed"] for episode in episodes[1:6:2]] == [1, 3, 5]
    assert [episode.metadata["seed"] for episode in episodes] == list(range(7))
    with pytest.raises(IndexError, match=r"0\.\.6, got 7"):
        episodes[7]


def test_frames_are_counted_without_reading_them(folder: Path, tmp_path: Path) -> None:
    assert count_frames(folder) == sum(len(episode.frames) for episode in read_episodes(folder))
    assert count_frames(tmp_path / "nothing here") == 0


def test_reading_streams(folder: Path) -> None:
    stream = read_episodes(folder)
    assert next(stream).metadata["seed"] == 0
    shard_path(folder, 1).write_bytes(b"damaged later")
    assert [next(stream).metadata["seed"], next(stream).metadata["seed"]] == [1, 2]
    with pytest.raises(RecordingError, match="episodes-00001"):
        next(stream)


def test_equal_episodes_give_equal_bytes(tmp_path: Path, make_episode: MakeEpisode) -> None:
    first, second = (write_shard(tmp_path / name, 0, [make_episode(1), make_episode(2)]) for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_an_error_leaves_no_half_shard(tmp_path: Path, make_episode: MakeEpisode) -> None:
    def stopped() -> Iterator[Episode]:
        yield from map(make_episode, range(3))
        raise KeyError

    with pytest.raises(KeyError):
        write_all(ShardWriter(tmp_path, episodes_per_shard=2), stopped())
    assert names(tmp_path) == ["episodes-00000.parquet"]


class FullDisk:
    """A disk that takes this many rows and then no more."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.write_table = pq.ParquetWriter.write_table

    def __call__(self, writer: pq.ParquetWriter, table: pa.Table) -> None:
        if self.rows == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.rows -= 1
        self.write_table(writer, table)


def test_a_full_disk_keeps_the_finished_shards(
    tmp_path: Path, make_episode: MakeEpisode, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(rows=5)
    monkeypatch.setattr(pq.ParquetWriter, "write_table", lambda writer, table: disk(writer, table))
    with pytest.raises(RecordingError, match=r"episodes-00002\.parquet.*No space left") as caught:
        write_all(ShardWriter(tmp_path, episodes_per_shard=2), map(make_episode, range(6)))
    assert isinstance(caught.value, OSError)
    assert names(tmp_path) == ["episodes-00000.parquet", "episodes-00001.parquet"]
    assert [episode.metadata["seed"] for episode in read_episodes(tmp_path)] == [0, 1, 2, 3]


def test_a_shard_that_was_not_finished_is_no_shard(folder: Path) -> None:
    (folder / ".unfinished-episodes-00003.parquet").write_bytes(b"PAR1 and then the power went")
    assert len(EpisodeFolder(folder)) == 7
    assert len(list(read_episodes(folder))) == 7


@pytest.mark.parametrize("keep", [0, 3, 0.5, -1])
def test_a_cut_off_shard_is_named(folder: Path, keep: float) -> None:
    path = shard_path(folder, 1)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep) if keep == 0.5 else int(keep)])
    with pytest.raises(RecordingError, match=r"episodes-00001\.parquet is damaged"):
        list(read_episodes(folder))
    with pytest.raises(RecordingError, match=r"episodes-00001\.parquet is damaged"):
        EpisodeFolder(folder)


def test_a_damaged_frame_is_found(tmp_path: Path, make_episode: MakeEpisode) -> None:
    row = to_row(make_episode(0))
    row["frames"][1] = row["frames"][1][:40]
    pq.write_table(pa.Table.from_pylist([row], schema=SCHEMA), shard_path(tmp_path, 0))
    with pytest.raises(RecordingError, match=r"episodes-00000\.parquet is damaged"):
        next(read_episodes(tmp_path))


def test_damaged_episodes_are_skipped_up_to_a_limit(folder: Path, make_episode: MakeEpisode) -> None:
    row = to_row(make_episode(99))
    row["frames"][1] = row["frames"][1][:40]
    with pq.ParquetWriter(shard_path(folder, 3), SCHEMA) as writer:
        for each in (row, to_row(make_episode(7))):
            writer.write_table(pa.Table.from_pylist([each], schema=SCHEMA))
    shard_path(folder, 0).write_bytes(b"PAR1")
    for split, seeds in ((None, [3, 4, 5, 6, 7]), ("train", [3, 4, 6, 7])):
        damage = Damage(2, kind="episode")
        assert [episode.metadata["seed"] for episode in read_episodes(folder, split=split, damage=damage)] == seeds
        assert damage.places == {str(folder): {0, 5}}, "a shard that cannot be opened has one place"
        assert re.search(r"episodes-00000\.parquet is damaged", damage.messages[0])
        assert re.search(r"episodes-00003\.parquet is damaged.*row 0: ", damage.messages[1])
    with pytest.raises(RecordingError, match=r"2 episodes are damaged, 1 may be skipped.*\(skip_damaged\)"):
        list(read_episodes(folder, damage=Damage(1, kind="episode")))


def test_foreign_parquet_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"frames": [1]}), shard_path(tmp_path, 0))
    with pytest.raises(RecordingError, match=r"lacks the columns .*'poses'"):
        EpisodeFolder(tmp_path)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="found none"):
        next(read_episodes(tmp_path))
    with pytest.raises(RecordingError, match="found none"):
        EpisodeFolder(tmp_path / "nowhere")


def test_a_shard_needs_room_for_an_episode(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one episode per shard"):
        ShardWriter(tmp_path, episodes_per_shard=0)


def test_frames_of_an_access_can_be_written_to(folder: Path) -> None:
    episodes = EpisodeFolder(folder)
    before = episodes[0].frames.copy()
    episodes[0].frames[:] = 0
    np.testing.assert_array_equal(episodes[0].frames, before)


def test_text_that_is_no_longer_text_names_the_shard(tmp_path: Path, make_episode: MakeEpisode) -> None:
    episode = make_episode(0)
    write_shard(tmp_path, 0, [episode])
    (path,) = tmp_path.glob("*.parquet")
    words, data = episode.actions[0].text.encode(), path.read_bytes()
    assert words in data
    path.write_bytes(data.replace(words, b"\xff" * len(words)))
    with pytest.raises(RecordingError, match="damaged"):
        list(read_episodes(tmp_path))


def test_lengths_are_known_without_decoding(tmp_path: Path) -> None:
    episodes = [draw_episode(number) for number in range(5)]
    write_shard(tmp_path, 0, episodes[:3])
    write_shard(tmp_path, 1, episodes[3:])
    lengths = EpisodeFolder(tmp_path).lengths()
    assert lengths == [len(each.frames) for each in episodes]
    assert count_frames(tmp_path) == sum(lengths)
