"""KVCache: the keys and values of a context, kept across steps; Workspace: those of a batch while it is computed.

A `KVCache` is a value. Forking it copies nothing: both sides share what is stored. Appending writes in place when nobody else
has grown the same storage, and starts a block of its own otherwise, so that no fork ever sees another's tokens.
Keys are stored after norm and rotation, values as projected; [layers, tokens, kv heads, head size].

A `Workspace` lays the caches of a batch side by side once per call, with room for the tokens to come; every denoising step and
every generated token then writes into that room in place and attends to one view. It knows nothing about frames or text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bagel_world.model.attention import Group, Layout, Plan, attend_dense, plan_dense

MIN_BLOCK = 256
"""Tokens of room in a new block, at least."""


_RESERVING = Lock()


@dataclass(slots=True)
class _Block:
    """Storage that several caches may share; `used` tokens are taken."""

    keys: Float[Tensor, "l c m e"]
    values: Float[Tensor, "l c m e"]
    used: int

    def reserve(self, start: int, tokens: int) -> bool:
        """Whether the tokens from `start` on were free and are the caller's now, whatever other threads do meanwhile."""
        with _RESERVING:
            free = self.used == start and self.keys.shape[1] >= start + tokens
            if free:
                self.used += tokens
        return free


@dataclass(frozen=True, slots=True)
class KVCache:
    """The past of one context; empty where it has no blocks."""

    blocks: tuple[tuple[_Block, int], ...] = ()
    """(storage, how many of its first tokens belong to this cache)."""

    def __len__(self) -> int:
        """Number of cached tokens."""
        return sum(count for _, count in self.blocks)

    def append(self, keys: Float[Tensor, "l t m e"], values: Float[Tensor, "l t m e"]) -> KVCache:
        """This cache with more tokens behind."""
        new = keys.shape[1]
        if self.blocks:
            block, count = self.blocks[-1]
            if block.reserve(count, new):
                block.keys[:, count : count + new] = keys
                block.values[:, count : count + new] = values
                return KVCache((*self.blocks[:-1], (block, count + new)))
        room = max(MIN_BLOCK, 2 * new)
        shape = (keys.shape[0], room, *keys.shape[2:])
        block = _Block(keys.new_empty(shape), values.new_empty(shape), used=new)
        block.keys[:, :new] = keys
        block.values[:, :new] = values
        return KVCache((*self.blocks, (block, new)))

    def truncate(self, length: int) -> KVCache:
        """The first `length` tokens; what follows is as if it had never been appended."""
        if not 0 <= length <= len(self):
            raise IndexError(f"Expected a length in 0..{len(self)}, got {length}.")
        kept, left = [], length
        for block, count in self.blocks:
            if left == 0:
                break
            kept.append((block, min(count, left)))
            left -= kept[-1][1]
        return KVCache(tuple(kept))

    def copy_into(self, keys: Float[Tensor, "l c m e"], values: Float[Tensor, "l c m e"]) -> None:
        """Write all tokens to the front of these buffers."""
        start = 0
        for block, count in self.blocks:
            keys[:, start : start + count] = block.keys[:, :count]
            values[:, start : start + count] = block.values[:, :count]
            start += count

    def tensors(self) -> tuple[Float[Tensor, "l t m e"], Float[Tensor, "l t m e"]]:
        """All keys and values as single tensors (copies)."""
        keys = torch.cat([block.keys[:, :count] for block, count in self.blocks], dim=1)
        values = torch.cat([block.values[:, :count] for block, count in self.blocks], dim=1)
        return keys, values


class Workspace:
    """The caches of a batch side by side: [layers, b, slots + room, kv heads, head size].

    A row holds its cached tokens in front, then unused slots up to the longest row's end, then what this call adds; `start` is
    the slot of the next token.

    Args:
        caches: one per sample.
        shape: (layers, kv heads, head size).
        room: tokens a sample may add, at most.
        device: where to compute.
        dtype: of keys and values.
    """

    def __init__(
        self, caches: Sequence[KVCache], shape: tuple[int, int, int], room: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        layers, heads, size = shape
        self._lengths = [len(cache) for cache in caches]
        self._slots = max(self._lengths)
        self.start = self._slots
        self._keys = torch.empty((layers, len(caches), self._slots + room, heads, size), device=device, dtype=dtype)
        self._values = torch.empty_like(self._keys)
        for row, cache in enumerate(caches):
            cache.copy_into(self._keys[:, row], self._values[:, row])
            # Slots that no row owns are masked, but a NaN left in them would still poison the weighted sum.
            self._keys[:, row, self._lengths[row] : self._slots] = 0
            self._values[:, row, self._lengths[row] : self._slots] = 0

    def grow(self, tokens: int) -> None:
        """Keep the tokens that the last pass added to every row: the next pass sees them."""
        self.start += tokens

    def plan(self, layouts: Sequence[Layout], order: Int[Tensor, " s"]) -> Plan:
        """Plan a pass over these samples, one per row."""
        return plan_dense(layouts, order, past=self._past(), start=self.start)

    def _past(self) -> Bool[Tensor, "b u"] | None:
        """Which slots before `start` are real; None where all are."""
        if all(length == self._slots for length in self._lengths):
            return None
        slots = torch.arange(self.start)
        return (slots < torch.tensor(self._lengths)[:, None]) | (slots >= self._slots)

    def added(self, row: int, tokens: int) -> tuple[Float[Tensor, "l t m e"], Float[Tensor, "l t m e"]]:
        """Keys and values of the tokens that the last pass added to this row."""
        window = slice(self.start, self.start + tokens)
        return self._keys[:, row, window], self._values[:, row, window]

    def attend(
        self, layer: int, q: Float[Tensor, "s n e"], k: Float[Tensor, "s m e"], v: Float[Tensor, "s m e"], plan: Plan
    ) -> Float[Tensor, "s n e"]:
        """Attention of a pack over its caches and itself; writes the pack's keys and values behind them."""
        outputs = []
        for group in plan.groups:
            rows = group.rows_of(q), group.rows_of(k), group.rows_of(v)
            outputs.append(self._attend_group(layer, *rows, group).flatten(0, 1))
        joined = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        return joined if plan.back is None else joined.index_select(0, plan.back)

    def write(self, layer: int, k: Float[Tensor, "s m e"], v: Float[Tensor, "s m e"], plan: Plan) -> None:
        """Write the pack's keys and values behind the caches; nobody looks at them in this pass."""
        for group in plan.groups:
            self._write_group(layer, group.rows_of(k), group.rows_of(v), group)

    def _attend_group(self, layer: int, q: Tensor, k: Tensor, v: Tensor, group: Group) -> Float[Tensor, "b t n e"]:
        rows = self._write_group(layer, k, v, group)
        end = self.start + q.shape[1]
        return attend_dense(q, self._keys[layer, rows, :end], self._values[layer, rows, :end], group.mask)

    def _write_group(self, layer: int, k: Tensor, v: Tensor, group: Group) -> slice | Tensor:
        """The rows written to: all of them, which costs no copy when they are read, or some."""
        every = len(group.rows) == self._keys.shape[1]
        rows = slice(None) if every else torch.tensor(group.rows, device=k.device)
        window = slice(self.start, self.start + k.shape[1])
        self._keys[layer, rows, window] = k
        self._values[layer, rows, window] = v
        return rows
