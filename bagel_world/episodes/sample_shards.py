"""Shards of samples: parquet files of one split each, that appear whole under their final name or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bagel_world.episodes.sample_manifest import ShardFacts
from bagel_world.episodes.sample_schema import SAMPLE_SCHEMA, check_sample_schema, from_sample_row, to_sample_row
from bagel_world.episodes.samples import Sample
from bagel_world.errors import RecordingError
from bagel_world.files import replacing

SHARD_PATTERN = "samples-*.parquet"


def sample_shard_paths(folder: str | Path) -> list[Path]:
    """The finished shards of a folder, in order."""
    return sorted(Path(folder).glob(SHARD_PATTERN))


def sample_shard_path(folder: str | Path, index: int) -> Path:
    """Where shard `index` of a folder lies."""
    return Path(folder) / f"samples-{index:05d}.parquet"


def write_sample_shard(path: Path, samples: Sequence[Sample]) -> ShardFacts:
    """Write one whole shard, one row group per sample, and move it to its name.

    Raises:
        RecordingError: it could not be written, for example because the disk is full; finished shards are untouched.
    """
    # Encoded images do not compress any further; checksums find a flipped bit that an image decoder would not.
    settings = {"compression": "none", "use_dictionary": False, "write_statistics": False, "write_page_checksum": True}
    try:
        with replacing(path) as file, pq.ParquetWriter(file, SAMPLE_SCHEMA, **settings) as writer:
            for sample in samples:
                writer.write_table(pa.Table.from_pylist([to_sample_row(sample)], schema=SAMPLE_SCHEMA))
        size = path.stat().st_size
    except RecordingError:
        raise
    except OSError as error:
        raise RecordingError(
            f"Could not write {path}: {error}. Shards that were finished before are complete; "
            "free some space or choose another folder."
        ) from error
    return ShardFacts(name=path.name, split=samples[0].split, samples=len(samples), bytes=size)


def open_sample_shard(path: Path, listed: ShardFacts | None = None) -> pq.ParquetFile:
    """Open a shard and check that it holds samples.

    Args:
        path: the shard.
        listed: what the manifest says about it.

    Raises:
        RecordingError: it is missing, damaged, of another size than listed, or holds something else.
    """
    try:
        size = path.stat().st_size
        file = pq.ParquetFile(path, page_checksum_verification=True) if listed is None or size == listed.bytes else None
    except FileNotFoundError as error:
        raise RecordingError(
            f"Shard {path} is missing, the manifest lists it. Bring it back, or make its folder anew."
        ) from error
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, str(error)) from error
    if file is None:
        raise _damaged(path, f"{listed.bytes if listed else 0} bytes were written, {size} are there")
    try:
        check_sample_schema(file.schema_arrow, str(path))
        if file.num_row_groups != file.metadata.num_rows:
            raise _damaged(
                path, f"expected one row group per sample, got {file.num_row_groups} for {file.metadata.num_rows} rows"
            )
    except RecordingError:
        file.close()
        raise
    return file


def read_sample(file: pq.ParquetFile, path: Path, row: int) -> Sample:
    """One sample of an open shard.

    Raises:
        RecordingError: the shard is damaged there, or the sample is not valid; the message names shard and row.
    """
    try:
        found = file.read_row_group(row).to_pylist()[0]
    except (pa.ArrowException, OSError, ValueError, IndexError) as error:
        raise _damaged(path, f"row {row}: {error}") from error
    try:
        return from_sample_row(found)
    except RecordingError as error:
        raise RecordingError(f"{path.name}, row {row}: {error}") from error


def shard_facts(path: Path) -> ShardFacts:
    """What a shard holds, from the file itself.

    Raises:
        RecordingError: it is damaged, or its samples are not of one split.
    """
    with open_sample_shard(path) as file:
        try:
            splits = {file.read_row_group(row, columns=["split"])["split"][0].as_py() for row in range(file.num_row_groups)}
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(path, str(error)) from error
    if len(splits) != 1:
        got = ", ".join(sorted(map(str, splits))) or "no samples"
        raise RecordingError(f"Expected the samples of shard {path} to be of one split, got {got}. Write it with `SampleWriter`.")
    return ShardFacts(name=path.name, split=splits.pop(), samples=file.num_row_groups, bytes=path.stat().st_size)


def _damaged(path: Path, reason: str) -> RecordingError:
    return RecordingError(f"Shard {path} is damaged or was cut off ({reason}). Bring back a copy of it, or make its folder anew.")
