"""The writer of samples: collects them into shards, and keeps the manifest up to date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import JsonValue

from bagel_world.episodes.sample_manifest import SampleManifest, read_sample_manifest, with_license, write_sample_manifest
from bagel_world.episodes.sample_shards import sample_shard_path, sample_shard_paths, shard_facts, write_sample_shard
from bagel_world.episodes.samples import Sample
from bagel_world.errors import ConfigError, RecordingError

SAMPLES_PER_SHARD = 256

BYTES_PER_SHARD = 128 * 2**20
"""Images that wait in memory until a shard is written, at most."""


class SampleWriter:
    """Collects samples into shards; use it as a context manager so that the last, shorter shards are written too.

    Args:
        folder: where the shards go; created when needed.
        command: the command that makes the samples, for the manifest.
        settings: what it was set to, for the manifest.
        packages: versions of the packages that matter, for the manifest.
        append: go on in a folder that holds samples already; otherwise that is refused.
        samples_per_shard: samples in a shard, at most.

    Raises:
        RecordingError: the folder holds samples already; or, to append to, it has lost some.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        command: str = "",
        settings: Mapping[str, JsonValue] | None = None,
        packages: Mapping[str, str] | None = None,
        append: bool = False,
        samples_per_shard: int = SAMPLES_PER_SHARD,
    ) -> None:
        if samples_per_shard < 1:
            raise ConfigError(f"Expected at least one sample per shard, got {samples_per_shard!r}.")
        self._folder = Path(folder)
        self._size = samples_per_shard
        self._waiting: dict[str, list[Sample]] = {}
        self._bytes = 0
        present = sample_shard_paths(self._folder)
        found = read_sample_manifest(self._folder)
        if present and not append:
            cut_short = "" if found is None or found.complete else " of a command that was broken off"
            raise RecordingError(
                f"{self._folder} holds {len(present)} shards of samples{cut_short} already. Choose an empty folder, or delete it."
            )
        if not append or found is None:
            made = SampleManifest(command=command, settings=dict(settings or {}), packages=dict(packages or {}))
            found = made.model_copy(update={"shards": tuple(shard_facts(path) for path in present)})
        missing = {shard.name for shard in found.shards} - {path.name for path in present}
        if missing:
            raise RecordingError(
                f"{self._folder} has lost {', '.join(sorted(missing))}. Bring them back, or write into an empty folder."
            )
        self.manifest = found
        self._next = 1 + max((_number(path.name) for path in present), default=-1)

    def add(self, sample: Sample) -> None:
        """Take one more sample; writes a shard whenever enough have come."""
        self._waiting.setdefault(sample.split, []).append(sample)
        self._bytes += sum(len(part.image) for part in sample.images)
        if len(self._waiting[sample.split]) >= self._size:
            self._write(sample.split)
        elif self._bytes >= BYTES_PER_SHARD:
            self.flush()

    def add_all(self, samples: Iterable[Sample]) -> None:
        """Take all of these."""
        for sample in samples:
            self.add(sample)

    def flush(self) -> None:
        """Write what waits, one shard per split."""
        for split in list(self._waiting):
            self._write(split)

    def finish(self) -> None:
        """Write what waits, and that nothing more is to come."""
        self.flush()
        if not self.manifest.complete:
            self.manifest = self.manifest.model_copy(update={"complete": True})
            write_sample_manifest(self._folder, self.manifest)

    def _write(self, split: str) -> None:
        samples = self._waiting.pop(split)
        self._bytes -= sum(len(part.image) for sample in samples for part in sample.images)
        facts = write_sample_shard(sample_shard_path(self._folder, self._next), samples)
        self._next += 1
        sources = self.manifest.sources
        for sample in samples:
            sources = with_license(sources, sample.source, sample.license)
        shards = (*self.manifest.shards, facts)
        self.manifest = self.manifest.model_copy(update={"shards": shards, "sources": sources, "complete": False})
        write_sample_manifest(self._folder, self.manifest)

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Write the last shards, unless an error is under way."""
        if kind is None:
            self.finish()


def write_samples(folder: str | Path, samples: Iterable[Sample], *, command: str = "", append: bool = False) -> SampleManifest:
    """Write samples into a folder of shards; returns its manifest.

    Raises:
        RecordingError: the folder holds samples already (and `append` is off), or could not be written.
    """
    with SampleWriter(folder, command=command, append=append) as writer:
        writer.add_all(samples)
    return writer.manifest


def _number(name: str) -> int:
    digits = name.removeprefix("samples-").removesuffix(".parquet")
    return int(digits) if digits.isdigit() else 0
