"""Shards: parquet files of a few dozen episodes. A shard appears whole, under its final name, or not at all."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any, Self, overload

import pyarrow as pa
import pyarrow.parquet as pq

from bagel_world.episodes.damage import Damage
from bagel_world.episodes.schema import SCHEMA, from_row, to_row
from bagel_world.errors import ConfigError, RecordingError
from bagel_world.files import replacing
from bagel_world.types import Episode

EPISODES_PER_SHARD = 32

_PATTERN = "episodes-*.parquet"


def shard_path(folder: str | Path, index: int) -> Path:
    """Where shard `index` of a folder lies."""
    return Path(folder) / f"episodes-{index:05d}.parquet"


def shard_paths(folder: str | Path) -> list[Path]:
    """The finished shards of a folder, in order."""
    return sorted(Path(folder).glob(_PATTERN))


def write_shard(folder: str | Path, index: int, episodes: Iterable[Episode]) -> Path:
    """Write one whole shard, one row group per episode, and move it to its name; returns its path.

    Raises:
        RecordingError: it could not be written, for example because the disk is full; finished shards are untouched.
    """
    final = shard_path(folder, index)
    try:
        # PNG bytes do not compress any further.
        with replacing(final) as file, pq.ParquetWriter(file, SCHEMA, compression="none") as writer:
            for episode in episodes:
                writer.write_table(pa.Table.from_pylist([to_row(episode)], schema=SCHEMA))
    except RecordingError:
        raise
    except OSError as error:
        raise RecordingError(
            f"Could not write {final}: {error}. Shards that were finished before are complete; "
            "free some space or choose another folder, then record again to go on from there."
        ) from error
    return final


def count_episodes(folder: str | Path, index: int) -> int:
    """How many episodes shard `index` of a folder holds; 0 where there is none.

    Raises:
        RecordingError: it is damaged.
    """
    path = shard_path(folder, index)
    if not path.exists():
        return 0
    with _open(path) as file:
        return file.num_row_groups


def count_frames(folder: str | Path) -> int:
    """How many frames the finished shards of a folder hold; decodes none.

    Raises:
        RecordingError: a shard is damaged (the message names it).
    """
    return sum(_lengths(shard_paths(folder)))


class ShardWriter:
    """Collects episodes into shards; use it as a context manager so that the last, shorter shard is written too.

    Args:
        folder: where the shards go; created when needed.
        episodes_per_shard: episodes in every shard but the last.
        start: index of the first shard to write.
    """

    def __init__(self, folder: str | Path, *, episodes_per_shard: int = EPISODES_PER_SHARD, start: int = 0) -> None:
        if episodes_per_shard < 1:
            raise ConfigError(f"Expected at least one episode per shard, got {episodes_per_shard!r}.")
        self._folder = Path(folder)
        self._size = episodes_per_shard
        self._index = start
        self._waiting: list[Episode] = []

    def add(self, episode: Episode) -> None:
        """Take one more episode; writes a shard whenever enough have come."""
        self._waiting.append(episode)
        if len(self._waiting) >= self._size:
            self.flush()

    def flush(self) -> None:
        """Write what waits as a shard of its own."""
        if self._waiting:
            write_shard(self._folder, self._index, self._waiting)
            self._index += 1
            self._waiting = []

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Write the last shard, unless an error is under way."""
        if kind is None:
            self.flush()


def read_episodes(folder: str | Path, *, split: str | None = None, damage: Damage | None = None) -> Iterator[Episode]:
    """Stream the episodes of a folder in order, one in memory at a time.

    Args:
        folder: where the shards lie.
        split: only episodes of this split; None for all.
        damage: counts and skips damaged ones up to its limit; a shard that cannot be opened counts as one, as nobody knows how
            many it held. None raises at the first.

    Raises:
        RecordingError: there are no shards, one is damaged (the message names it), or too many episodes are.
    """
    for place, found in enumerate(_episodes(folder, split)):
        if isinstance(found, Episode):
            yield found
        elif found is not None:
            if damage is None:
                raise found
            damage.note(str(folder), place, found)


def read_rows(folder: str | Path, columns: Sequence[str] = tuple(SCHEMA.names)) -> Iterator[dict[str, Any]]:
    """Stream the stored rows of a folder in order, frames still as PNG bytes; decodes none.

    Args:
        folder: where the shards lie.
        columns: names of `SCHEMA`; what is left out is not read.

    Raises:
        RecordingError: there are no shards, or one is damaged (the message names it).
    """
    for path in _existing(folder):
        with _open(path) as file:
            for group in range(file.num_row_groups):
                yield _read(file, path, group, list(columns))


class EpisodeFolder(Sequence[Episode]):
    """The episodes of a folder by index; reads one row group per access and keeps nothing open.

    Raises:
        RecordingError: there are no shards, or one is damaged (the message names it).
    """

    def __init__(self, folder: str | Path) -> None:
        self._paths = _existing(folder)
        counts = []
        for path in self._paths:
            with _open(path) as file:
                counts.append(file.num_row_groups)
        self._ends = list(accumulate(counts))

    def __len__(self) -> int:
        """The number of episodes."""
        return self._ends[-1]

    def lengths(self) -> list[int]:
        """The number of frames of every episode, in order; decodes none.

        Raises:
            RecordingError: a shard is damaged (the message names it).
        """
        return list(_lengths(self._paths))

    @overload
    def __getitem__(self, index: int) -> Episode: ...
    @overload
    def __getitem__(self, index: slice) -> list[Episode]: ...
    def __getitem__(self, index: int | slice) -> Episode | list[Episode]:
        """The episode at this place (negative counts from the end), or a list for a slice."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"Expected an episode index in 0..{len(self) - 1}, got {index}.")
        shard = bisect_right(self._ends, place)
        first = self._ends[shard - 1] if shard else 0
        with _open(self._paths[shard]) as file:
            return _episode(file, self._paths[shard], place - first)


def _episodes(folder: str | Path, split: str | None) -> Iterator[Episode | RecordingError | None]:
    """Every episode, what is wrong in its place, or None where it is of another split."""
    for path in _existing(folder):
        try:
            file = _open(path)
        except RecordingError as error:
            yield error
            continue
        with file:
            for group in range(file.num_row_groups):
                try:
                    other = split is not None and _read(file, path, group, ["split"])["split"] != split
                    yield None if other else _episode(file, path, group)
                except RecordingError as error:
                    yield error


def _lengths(paths: Iterable[Path]) -> Iterator[int]:
    """The number of frames of every episode in these shards."""
    for path in paths:
        with _open(path) as file:
            for group in range(file.num_row_groups):
                yield len(_read(file, path, group, ["action_texts"])["action_texts"]) + 1


def _existing(folder: str | Path) -> list[Path]:
    paths = shard_paths(folder)
    if not paths:
        raise RecordingError(f"Expected a folder with shards named {_PATTERN}, found none in {folder}. Record some first.")
    return paths


def _damaged(path: Path, error: Exception, row: int | None = None) -> RecordingError:
    where = "" if row is None else f"row {row}: "
    return RecordingError(f"Shard {path} is damaged or was cut off ({where}{error}). Delete it and record again to replace it.")


def _open(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    missing = set(SCHEMA.names) - set(file.schema_arrow.names)
    if missing:
        file.close()
        raise RecordingError(f"Shard {path} lacks the columns {sorted(missing)}: it was not written by this package.")
    return file


def _read(file: pq.ParquetFile, path: Path, group: int, columns: list[str]) -> dict[str, Any]:
    try:
        return file.read_row_group(group, columns=columns).to_pylist()[0]
    except (pa.ArrowException, OSError, IndexError, ValueError) as error:  # text that is no longer UTF-8 is a ValueError
        raise _damaged(path, error, row=group) from error


def _episode(file: pq.ParquetFile, path: Path, group: int) -> Episode:
    row = _read(file, path, group, SCHEMA.names)
    try:
        return from_row(row)
    except RecordingError as error:
        raise _damaged(path, error, row=group) from error
