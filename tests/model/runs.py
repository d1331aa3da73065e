"""Ways to run the package's model that must all agree."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bagel_world.model import packing
from bagel_world.model.cache import KVCache, Workspace
from bagel_world.model.packing import Packed
from tests.model.tiny import Model
from tests.oracle import Gap, Latent, Segment, Text, Vit

ATOL = 5e-6
"""Float64 against the oracle; packs keep times, and with them the timestep sinusoid, in float32."""


def convert(segment: Segment, dtype: torch.dtype = torch.float64) -> packing.Segment:
    """A segment of the oracle as one of the package."""
    match segment:
        case Text(ids=ids, loss=loss):
            return packing.TextSegment(ids=tuple(ids), loss=loss)
        case Vit(pixels=pixels):
            return packing.VitSegment(pixels=pixels.to(dtype))
        case Latent(tokens=tokens, grid=grid, time=time, noised=noised):
            return packing.LatentSegment(tokens=tokens.to(dtype), grid=grid, timestep=time, noised=noised)
        case Gap(advance=advance):
            return packing.Gap(advance=advance)


def pack(model: Model, samples: Sequence[Sequence[Segment]], positions: Sequence[int] | None = None) -> Packed:
    converted = [[convert(each, model.bagel.dtype) for each in segments] for segments in samples]
    return packing.pack(converted, model.rules, positions=positions, device=model.bagel.device)


@torch.no_grad()
def whole(model: Model, samples: Sequence[Sequence[Segment]]) -> list[Tensor]:
    """Hidden states of every sample in sequence order, all in one pack."""
    packed = pack(model, samples)
    return list(packed.in_sequence(model.bagel.hidden(packed).joined()).split(packed.lengths))


def workspace(model: Model, caches: Sequence[KVCache], room: int) -> Workspace:
    return Workspace(caches, model.bagel.cache_shape, room, torch.device("cpu"), model.bagel.dtype)


Past = tuple[KVCache, int]
"""A cache and the next rotary position."""

EMPTY: Past = (KVCache(), 0)


@torch.no_grad()
def extend(model: Model, pasts: Sequence[Past], samples: Sequence[Sequence[Segment]]) -> tuple[list[Past], list[Tensor]]:
    """Append segments to contexts, all in one pass: the new contexts, and hidden states in sequence order."""
    packed = pack(model, samples, [position for _, position in pasts])
    space = workspace(model, [cache for cache, _ in pasts], max(packed.lengths))
    hidden = packed.in_sequence(model.bagel.hidden(packed, space).joined())
    after = []
    for row, ((cache, _), length, end) in enumerate(zip(pasts, packed.lengths, packed.ends, strict=True)):
        after.append((cache.append(*space.added(row, length)) if length else cache, end))
    return after, list(hidden.split(packed.lengths))


def one_by_one(model: Model, segments: Sequence[Segment], past: Past = EMPTY) -> tuple[Past, Tensor]:
    """Append segments to a context, one pass for each."""
    hidden = []
    for segment in segments:
        if isinstance(segment, Gap):
            past = (past[0], past[1] + segment.advance)
        else:
            (past,), (states,) = extend(model, [past], [[segment]])
            hidden.append(states)
    return past, torch.cat(hidden)


def close(found: Tensor, wanted: Tensor, atol: float = ATOL) -> None:
    """`atol` counts against the largest number there is, or one."""
    scale = max(1.0, float(wanted.abs().max())) if wanted.numel() else 1.0
    torch.testing.assert_close(found, wanted, rtol=0, atol=atol * scale, check_dtype=False)
