"""Who may see whom: the one mask rule, and `attend` over it.

A sample is a run of splits, each "causal" (text), "full" (an image that is seen) or "noise" (an image that is being painted).
Query q may see key k when both are of one sample, and k is not later than q or lies in the same full or noise split, and k does
not lie in a noise split other than q's own. What a cache already holds is seen by all.

Samples that look alike are attended together as one dense batch; a pack is never attended through a pack-wide mask on a CPU,
where that costs twice the time, and in training not even through the mask of a sample (`visible`). On CUDA a training pack goes
through flex attention with a block mask instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, no_type_check

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from bagel_world.errors import ConfigError
from bagel_world.model.visible import VisibleAttention, VisiblePlan, plan_visible

Mode = Literal["causal", "full", "noise"]
Split = tuple[int, Mode]
Layout = tuple[Split, ...]
"""The splits of one sample: (number of tokens, mode), in sequence order."""

Backend = Literal["sdpa", "padded", "flex", "visible"]
"""Dense batches of samples of one layout; one dense batch of all samples, the short ones padded; one block-sparse pass; split by
split, nothing but what may be seen."""

PADDED_TOKENS = 1024
"""Samples up to this length are cheaper in one padded batch than in blocks, which a short sample does not fill."""

REMEMBERED_TOKENS = 512
"""Masks of samples up to this length are made once; those of longer ones would fill the memory of a long run."""

_ALIGNED = 8  # fused attention copies masks whose rows are no multiple of this


def sample_length(layout: Layout) -> int:
    """Number of tokens in a sample."""
    return sum(length for length, _ in layout)


def _token_splits(layout: Layout) -> tuple[Int[Tensor, " t"], Bool[Tensor, " t"], Bool[Tensor, " t"]]:
    """For every token of a sample: the number of its split, whether that is seen whole, whether it is noise."""
    lengths = torch.tensor([length for length, _ in layout])
    whole = torch.tensor([mode != "causal" for _, mode in layout])
    noise = torch.tensor([mode == "noise" for _, mode in layout])
    number = torch.repeat_interleave(torch.arange(len(layout)), lengths)
    return number, whole[number], noise[number]


def allowed(layout: Layout) -> Bool[Tensor, "t t"]:
    """The mask of one sample: row q, column k, True where q may see k."""
    return _remembered(layout) if sample_length(layout) <= REMEMBERED_TOKENS else _allowed(layout)


@lru_cache(maxsize=256)
def _remembered(layout: Layout) -> Bool[Tensor, "t t"]:
    return _allowed(layout)


def _allowed(layout: Layout) -> Bool[Tensor, "t t"]:
    number, whole, noise = _token_splits(layout)
    same_split = number[:, None] == number[None, :]
    places = torch.arange(len(number))
    past = places[None, :] <= places[:, None]
    return (past | (same_split & whole[:, None])) & (same_split | ~noise[None, :])


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Samples of one layout, attended as a dense batch.

    Attributes:
        rows: their numbers in the pack.
        places: [b, t], where each of their tokens stands in the order of computation.
        mask: what each token may see, [b or 1, 1, t, keys]; None where it may see everything.
    """

    rows: tuple[int, ...]
    places: Int[Tensor, "b t"]
    mask: Bool[Tensor, "#b 1 t u"] | None

    def rows_of(self, computed: Float[Tensor, "s n e"]) -> Float[Tensor, "b t n e"]:
        """This group's tokens out of all, sample by sample."""
        return computed.index_select(0, self.places.flatten()).unflatten(0, self.places.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one forward pass attends.

    Attributes:
        groups: the dense batches (backend "sdpa").
        back: [s], for each token in the order of computation its row among the groups' outputs; None where they agree.
            Rows that are padding appear in it nowhere.
        blocks: the block mask over the pack in sequence order (backend "flex"), with `order` and `back` to get there and back.
        visible: the splits and what each may see (backend "visible"); there are no groups then.
    """

    groups: tuple[Group, ...]
    back: Int[Tensor, " s"] | None
    blocks: BlockMask | None = None
    visible: VisiblePlan | None = None


def group_layouts(layouts: Sequence[Layout]) -> dict[Layout, list[int]]:
    """Sample numbers by layout, in order of first appearance."""
    groups: dict[Layout, list[int]] = {}
    for row, layout in enumerate(layouts):
        groups.setdefault(layout, []).append(row)
    return groups


def plan_dense(
    layouts: Sequence[Layout], order: Int[Tensor, " s"], *, past: Bool[Tensor, "b u"] | None = None, start: int = 0
) -> Plan:
    """Plan dense batches.

    Args:
        layouts: one per sample of the pack.
        order: [s], for each token in sequence order its place in the order of computation.
        past: which of the key slots before the samples' own tokens each sample sees; None where it sees all of them.
        start: number of those slots.
    """
    starts = [0]
    for layout in layouts:
        starts.append(starts[-1] + sample_length(layout))
    groups = []
    for layout, rows in group_layouts(layouts).items():
        length = sample_length(layout)
        places = torch.stack([order[starts[row] : starts[row] + length] for row in rows])
        mask = _group_mask(allowed(layout), None if past is None else past[rows], start)
        groups.append(Group(rows=tuple(rows), places=places, mask=None if mask is None else mask.to(order.device)))
    flat = torch.cat([group.places.flatten() for group in groups])
    in_order = torch.equal(flat, torch.arange(len(flat), device=flat.device))
    return Plan(groups=tuple(groups), back=None if in_order else flat.argsort())


def _group_mask(own: Bool[Tensor, "t t"], past: Bool[Tensor, "b u"] | None, start: int) -> Bool[Tensor, "#b 1 t w"] | None:
    if past is None or bool(past.all()):
        return None if bool(own.all()) else F.pad(own, (start, 0), value=True)[None, None]
    shape = (len(past), 1, len(own))
    return torch.cat((past[:, None, None].expand(*shape, start), own.expand(*shape, len(own))), dim=-1)


def plan_padded(layouts: Sequence[Layout], order: Int[Tensor, " s"]) -> Plan:
    """Plan one dense batch of samples whose layouts differ; short ones are filled up with tokens that nobody sees.

    Few large kernels instead of many small ones: what a GPU wants from a pack of short samples.
    """
    kinds = {layout: place for place, layout in enumerate(group_layouts(layouts))}
    lengths = torch.tensor([sample_length(layout) for layout in layouts])
    longest = -(-int(lengths.max()) // _ALIGNED) * _ALIGNED
    masks = torch.zeros(len(kinds), longest, longest, dtype=torch.bool)
    for layout, place in kinds.items():
        own = allowed(layout)
        masks[place, : len(own), : len(own)] = own
        masks[place, len(own) :, 0] = True  # a row of padding that saw nothing would be NaN
    steps = torch.arange(longest)
    inside = steps < lengths[:, None]
    in_sequence = (lengths.cumsum(0) - lengths)[:, None] + torch.minimum(steps, lengths[:, None] - 1)
    device = order.device
    places = order[in_sequence.to(device)]
    real = inside.flatten().nonzero()[:, 0].to(device)
    back = torch.empty_like(order)
    back[places.flatten()[real]] = real
    kind_of = torch.tensor([kinds[layout] for layout in layouts], device=device)
    mask = masks.to(device)[kind_of][:, None]
    return Plan(groups=(Group(rows=tuple(range(len(layouts))), places=places, mask=mask),), back=back)


def plan_flex(layouts: Sequence[Layout], order: Int[Tensor, " s"]) -> Plan:
    """Plan one block-sparse pass over the whole pack (training on CUDA)."""
    parts = [_token_splits(layout) for layout in layouts]
    sample = torch.repeat_interleave(torch.arange(len(parts)), torch.tensor([len(number) for number, _, _ in parts]))
    offsets = torch.tensor([0, *(len(layout) for layout in layouts)]).cumsum(0)
    number = torch.cat([each for each, _, _ in parts]) + offsets[sample]
    whole, noise = torch.cat([each for _, each, _ in parts]), torch.cat([each for _, _, each in parts])
    sample, number, whole, noise = (each.to(order.device) for each in (sample, number, whole, noise))

    @no_type_check  # torch calls it with tensors that stand for numbers, and reads its signature
    def may_see(batch: Tensor, head: Tensor, q: Tensor, k: Tensor) -> Tensor:
        del batch, head
        same_split = number[q] == number[k]
        return (sample[q] == sample[k]) & ((k <= q) | (same_split & whole[q])) & (same_split | ~noise[k])

    length = len(sample)
    blocks = create_block_mask(may_see, B=None, H=None, Q_LEN=length, KV_LEN=length, device=order.device)
    group = Group(rows=tuple(range(len(layouts))), places=order[None], mask=None)
    return Plan(groups=(group,), back=order.argsort(), blocks=blocks)


def pick_backend(device: torch.device, layouts: Sequence[Layout], *, training: bool) -> Backend:
    """What is fastest: nothing beats dense batches where no gradients are wanted.

    Training packs on CUDA go through flex where a sample is long and are padded where all are short; elsewhere split by split.
    """
    if not training:
        return "sdpa"
    if device.type != "cuda":
        return "visible"
    return "padded" if max(map(sample_length, layouts)) <= PADDED_TOKENS else "flex"


def make_plan(layouts: Sequence[Layout], order: Int[Tensor, " s"], backend: Backend) -> Plan:
    """Plan a pass without a cache.

    Raises:
        ConfigError: a backend this package does not have.
    """
    if backend == "flex":
        return plan_flex(layouts, order)
    if backend == "padded":
        return plan_padded(layouts, order)
    if backend == "visible":
        return Plan(groups=(), back=None, visible=plan_visible(layouts, order))
    if backend == "sdpa":
        return plan_dense(layouts, order)
    raise ConfigError(f"Expected the attention backend 'sdpa', 'padded', 'flex' or 'visible', got {backend!r}.")


def attend_dense(
    q: Float[Tensor, "b t n e"], k: Float[Tensor, "b u m e"], v: Float[Tensor, "b u m e"], mask: Bool[Tensor, "#b 1 t u"] | None
) -> Float[Tensor, "b t n e"]:
    """Softmax attention with grouped queries: query head h uses key head h // (n / m); scale 1/sqrt(e)."""
    grouped = q.shape[2] != k.shape[2]
    out = F.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask, enable_gqa=grouped
    )
    return out.transpose(1, 2)


@lru_cache(maxsize=1)
def _compiled_flex() -> Callable[..., Any]:
    return torch.compile(flex_attention, dynamic=False)


def attend_blocks(
    q: Float[Tensor, "1 s n e"], k: Float[Tensor, "1 s m e"], v: Float[Tensor, "1 s m e"], blocks: BlockMask
) -> Float[Tensor, "1 s n e"]:
    """The same through flex attention and a block mask."""
    grouped = q.shape[2] != k.shape[2]
    out = _compiled_flex()(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), block_mask=blocks, enable_gqa=grouped)
    return out.transpose(1, 2)


def attend(q: Float[Tensor, "s n e"], k: Float[Tensor, "s m e"], v: Float[Tensor, "s m e"], plan: Plan) -> Float[Tensor, "s n e"]:
    """Attention of a pack over itself; tokens come and go in the order of computation."""
    if plan.visible is not None:
        return VisibleAttention.apply(q, k.to(q.dtype), v.to(q.dtype), plan.visible)
    outputs = []
    for group in plan.groups:
        rows = group.rows_of(q), group.rows_of(k), group.rows_of(v)
        out = attend_dense(*rows, group.mask) if plan.blocks is None else attend_blocks(*rows, plan.blocks)
        outputs.append(out.flatten(0, 1))
    joined = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
    return joined if plan.back is None else joined.index_select(0, plan.back)
