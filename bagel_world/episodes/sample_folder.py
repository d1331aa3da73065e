"""A folder of samples as a sequence: one row group is read per access, and damage stays where it is."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import overload

import pyarrow.parquet as pq

from bagel_world.episodes.damage import Damage
from bagel_world.episodes.sample_manifest import ShardFacts, read_sample_manifest
from bagel_world.episodes.sample_shards import (
    SHARD_PATTERN,
    open_sample_shard,
    read_sample,
    sample_shard_paths,
    shard_facts,
)
from bagel_world.episodes.samples import Sample
from bagel_world.errors import RecordingError

_OPEN_FILES = 16


class SampleFolder(Sequence[Sample]):
    """The samples of a folder by index, one row group read per access. Safe to share between threads.

    With a manifest nothing is opened before it is asked for. A shard that the manifest lists but that is missing, damaged or of
    another size keeps its places, and each of its samples raises when it is read: so the order of the others never depends on
    damage. A damaged shard that no manifest lists has no known places and is only reported.

    Args:
        folder: where the shards lie.
        split: only samples of this split; None for all.

    Attributes:
        folder: where the shards lie.
        shards: the shards, in order.
        unlisted_damage: what is wrong with damaged shards that no manifest lists.
        complete: whether what made the folder came to its end, as far as a manifest says.

    Raises:
        RecordingError: there are no samples, or none of this split.
    """

    def __init__(self, folder: str | Path, *, split: str | None = None) -> None:
        self.folder = Path(folder)
        self.unlisted_damage: list[str] = []
        found = self._find()
        if not found:
            damage = f" ({'; '.join(self.unlisted_damage)})" if self.unlisted_damage else ""
            raise RecordingError(
                f"Expected a folder with shards named {SHARD_PATTERN}, found none to read in {self.folder}{damage}. "
                "Make some with `bagel-world data`."
            )
        self.shards = [shard for shard in found if split is None or shard.split == split]
        if not self.shards:
            have = ", ".join(sorted({shard.split for shard in found}))
            raise RecordingError(f"Expected samples of the split {split!r} in {self.folder}, it has {have}.")
        self._ends = list(accumulate(shard.samples for shard in self.shards))
        self._files: OrderedDict[str, pq.ParquetFile] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """The number of samples."""
        return self._ends[-1]

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        """The sample at this place (negative counts from the end), or a list for a slice.

        Raises:
            RecordingError: it, or its shard, is damaged; the message names both.
        """
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"Expected a sample index in 0..{len(self) - 1}, got {index}.")
        shard = bisect_right(self._ends, place)
        row = place - (self._ends[shard - 1] if shard else 0)
        return self._read(self.shards[shard], row)

    def read(self, damage: Damage | None = None) -> Iterator[Sample]:
        """The samples in order.

        Args:
            damage: counts and skips damaged ones up to its limit; None raises at the first.

        Raises:
            RecordingError: a damaged sample, or too many of them.
        """
        for place in range(len(self)):
            try:
                sample = self[place]
            except RecordingError as error:
                if damage is None:
                    raise
                damage.note(self.folder.name, place, error)
                continue
            yield sample

    def _find(self) -> list[ShardFacts]:
        manifest = read_sample_manifest(self.folder)
        self.complete = manifest is None or manifest.complete
        listed = {shard.name: shard for shard in manifest.shards} if manifest else {}
        for path in sample_shard_paths(self.folder):
            if path.name not in listed:
                try:
                    listed[path.name] = shard_facts(path)
                except RecordingError as error:
                    self.unlisted_damage.append(str(error))
        return [listed[name] for name in sorted(listed)]

    def _read(self, shard: ShardFacts, row: int) -> Sample:
        path = self.folder / shard.name
        with self._lock:
            file = self._files.pop(shard.name, None) or open_sample_shard(path, shard)
            self._files[shard.name] = file
            while len(self._files) > _OPEN_FILES:
                self._files.popitem(last=False)[1].close()
            return read_sample(file, path, row)
