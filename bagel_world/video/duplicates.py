"""Near-duplicates: clips whose pictures were already seen in an earlier clip, of the same film or another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bagel_world.video.clips import Clip
from bagel_world.video.config import DuplicateConfig
from bagel_world.video.measures import HASH_WORDS

_PRINT_SLACK = 24  # difference of mean colors, 0..255, that re-encoding and a slight correction of colors make


class SeenClips:
    """The clips so far, and whether a new one is a copy of one of them.

    Two pictures are the same where their perceptual hashes differ in few bits and their colors are alike. A clip is a copy where
    most of its pictures are in one earlier clip, or most of an earlier clip's pictures are in it. Every question looks at all
    hashes so far (32 bytes for a quarter of a second): fine for a hundred thousand clips.
    """

    def __init__(self, config: DuplicateConfig) -> None:
        self._config = config
        self._hashes = _Rows(HASH_WORDS, np.uint64)
        self._prints = _Rows(12, np.uint8)
        self._owners = _Rows(1, np.int64)
        self._sizes: list[int] = []

    def copied_from(self, clip: Clip) -> int | None:
        """The number of the earlier clip that this one repeats; None where it is new."""
        hashes, prints = _hashes(clip), _prints(clip)
        if not self._config.remove or not len(hashes):
            return None
        probes = sorted({0, len(hashes) // 4, len(hashes) // 2, 3 * len(hashes) // 4, len(hashes) - 1})
        suspects = {int(owner) for place in probes for owner in self._owners.rows[self._same(hashes[place], prints[place]), 0]}
        for suspect in sorted(suspects):
            theirs = self._owners.rows[:, 0] == suspect
            same = _match(hashes, prints, self._hashes.rows[theirs], self._prints.rows[theirs], self._config.bits)
            if max(same.any(axis=1).mean(), same.any(axis=0).mean()) >= self._config.share:
                return suspect
        return None

    def take(self, clip: Clip) -> bool:
        """Remember a clip unless it is a copy; whether it is new."""
        new = self.copied_from(clip) is None
        if new:
            self.add(clip)
        return new

    def add(self, clip: Clip) -> int:
        """Remember a clip; returns its number."""
        number = len(self._sizes)
        hashes = _hashes(clip)
        self._hashes.extend(hashes)
        self._prints.extend(_prints(clip))
        self._owners.extend(np.full((len(hashes), 1), number, dtype=np.int64))
        self._sizes.append(len(hashes))
        return number

    def _same(self, bits: npt.NDArray[np.uint64], colors: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        return _match(bits[None], colors[None], self._hashes.rows, self._prints.rows, self._config.bits)[0]


class _Rows:
    """A table that grows by doubling."""

    def __init__(self, width: int, dtype: type[np.generic]) -> None:
        self._table = np.zeros((64, width), dtype=dtype)
        self._count = 0

    @property
    def rows(self) -> npt.NDArray[np.generic]:
        return self._table[: self._count]

    def extend(self, rows: npt.NDArray[np.generic]) -> None:
        while self._count + len(rows) > len(self._table):
            self._table = np.concatenate([self._table, np.zeros_like(self._table)])
        self._table[self._count : self._count + len(rows)] = rows
        self._count += len(rows)


def _match(
    hashes: npt.NDArray[np.uint64],
    prints: npt.NDArray[np.uint8],
    other_hashes: npt.NDArray[np.generic],
    other_prints: npt.NDArray[np.generic],
    bits: int,
) -> npt.NDArray[np.bool_]:
    """Which pictures of one clip are which of another: bool, shape (n, m)."""
    different = np.bitwise_count(hashes[:, None] ^ other_hashes[None].astype(np.uint64)).sum(axis=-1)
    colors = np.abs(prints[:, None].astype(np.int16) - other_prints[None].astype(np.int16)).max(axis=-1)
    return (different <= bits) & (colors <= _PRINT_SLACK)


def _hashes(clip: Clip) -> npt.NDArray[np.uint64]:
    return np.frombuffer(bytes.fromhex("".join(clip.hashes)), dtype=np.uint64).reshape(-1, HASH_WORDS)


def _prints(clip: Clip) -> npt.NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex("".join(clip.prints)), dtype=np.uint8).reshape(-1, 12)
