"""Who comes when: the endless order in which samples of several sources are drawn, as a function of a seed.

There is one order for all processes. Draw k takes from the source that weights and seed choose for it, and the n-th draw from a
source takes sample n of that source's shuffled order, which is new in every epoch. Processes share it by taking every so-manieth
draw, so no sample is seen twice within an epoch of its source, however many they are.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from bagel_world.errors import ConfigError

_CHOICES, _SHUFFLES = 1, 2
"""Kinds of draws: equal seeds of different kinds give unrelated numbers."""

_BLOCK = 1024


def epoch_order(blocks: Sequence[int], key: Sequence[int], *, mixed: int) -> npt.NDArray[np.int64]:
    """A shuffled order of samples that lie in blocks (shards), in which few blocks are in use at a time.

    The blocks are shuffled, and every `mixed` of them in a row are shuffled into each other.

    Args:
        blocks: samples in each block.
        key: numbers that decide the order.
        mixed: blocks shuffled into each other; as many as there are gives a uniform shuffle.

    Returns:
        Every place in `range(sum(blocks))` once.
    """
    rng = np.random.default_rng(key)
    starts = [0, *accumulate(blocks)]
    shuffled = rng.permutation(len(blocks))
    order = []
    for first in range(0, len(shuffled), mixed):
        places = np.concatenate([np.arange(starts[each], starts[each + 1]) for each in shuffled[first : first + mixed]])
        order.append(rng.permutation(places))
    return np.concatenate(order).astype(np.int64)


class Order:
    """The shuffled samples of one source, epoch after epoch.

    Args:
        name: the source; sources of different names are shuffled differently.
        blocks: samples in each of its shards.
        seed: decides the order.
        mixed: shards shuffled into each other.
    """

    def __init__(self, name: str, blocks: Sequence[int], *, seed: int, mixed: int) -> None:
        self._key = zlib.crc32(name.encode())
        self._blocks = tuple(blocks)
        self._seed = seed
        self._mixed = mixed
        self._epoch = -1
        self._places = np.empty(0, np.int64)
        self.samples = sum(blocks)

    def place(self, count: int) -> tuple[int, int]:
        """(epoch, place in the source) of its draw number `count`."""
        epoch, position = divmod(count, self.samples)
        if epoch != self._epoch:
            key = (self._seed, _SHUFFLES, self._key, epoch)
            self._places, self._epoch = epoch_order(self._blocks, key, mixed=self._mixed), epoch
        return epoch, int(self._places[position])


class Choice:
    """Which source every draw takes from: at random by weight, each draw on its own.

    Args:
        weights: one per source, in any unit.
        seed: decides the choices.

    Raises:
        ConfigError: no source, or a weight that is not a positive number.
    """

    def __init__(self, weights: Sequence[float], *, seed: int) -> None:
        if not weights or not all(np.isfinite(weight) and weight > 0 for weight in weights):
            raise ConfigError(
                f"Expected one or more sources with weights above 0, got {list(weights)}. Leave out unused sources."
            )
        self._bounds = np.cumsum(weights) / np.sum(weights)
        self._seed = seed
        self._block = -1
        self._chosen: list[int] = []

    def source(self, number: int) -> int:
        """The source of draw `number`."""
        block, place = divmod(number, _BLOCK)
        if block != self._block:
            values = np.random.default_rng((self._seed, _CHOICES, block)).random(_BLOCK)
            chosen = np.searchsorted(self._bounds[:-1], values, side="right")
            self._chosen, self._block = chosen.tolist(), block
        return self._chosen[place]
