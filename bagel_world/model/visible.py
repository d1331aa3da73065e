"""Attention that computes only what may be seen: split by split, without a mask over the sample. For training on a CPU.

In a sample with images to be painted most of a dense square of scores is masked: a noised image is seen by itself alone. Here
the tokens of a sample are put in another order, those that stay first and those of noise splits behind. Every split then sees a
prefix of what stays, and itself; what a dense pass would compute and throw away is never computed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

FEWEST_ROWS = 64
"""Splits that stay are attended in runs of at least so many tokens: smaller products are no cheaper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Consecutive queries that see the same prefix of what stays.

    Attributes:
        start: their first row in the order "what stays, then noise".
        length: rows of one split; of all of them where they stay.
        count: noise splits of that length, each of which also sees itself; 0 where the rows stay.
        seen: how many rows of what stays they may see, their own included where they stay.
        bias: what is added to the last `length` columns of their scores, 0 or -inf; None where nothing is hidden.
    """

    start: int
    length: int
    count: int
    seen: int
    bias: Float[Tensor, "r r"] | None = None

    @property
    def rows(self) -> slice:
        """The queries."""
        return slice(self.start, self.start + self.length * max(1, self.count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """A layout, ready to be attended.

    Attributes:
        order: [t], the places in the sample of the rows "what stays, then noise".
        parts: runs that cover all rows.
    """

    order: Int[Tensor, " t"]
    parts: tuple[Run, ...]


@lru_cache(maxsize=1024)
def runs_of(layout: tuple[tuple[int, str], ...]) -> Runs:
    """Cut a sample, a run of splits (length, "causal" | "full" | "noise"), into runs of queries."""
    stays = sum(length for length, mode in layout if mode != "noise")
    kept: list[int] = []
    noise: list[int] = []
    parts: list[Run] = []
    waiting: list[tuple[int, str]] = []  # splits that stay, not yet in a run
    place = 0

    def close() -> None:
        rows = sum(length for length, _ in waiting)
        if rows:
            parts.append(Run(start=len(kept) - rows, length=rows, count=0, seen=len(kept), bias=_bias(waiting)))
            waiting.clear()

    for length, mode in layout:
        places = range(place, place + length)
        place += length
        if mode != "noise":
            kept.extend(places)
            waiting.append((length, mode))
            if sum(each for each, _ in waiting) >= FEWEST_ROWS:
                close()
            continue
        last = parts[-1] if parts and not waiting else None
        if last is not None and last.count and last.length == length and last.seen == len(kept):
            parts[-1] = Run(start=last.start, length=length, count=last.count + 1, seen=last.seen)
        else:
            close()
            parts.append(Run(start=stays + len(noise), length=length, count=1, seen=len(kept)))
        noise.extend(places)
    close()
    return Runs(order=torch.tensor(kept + noise), parts=tuple(parts))


def _bias(splits: Sequence[tuple[int, str]]) -> Float[Tensor, "r r"] | None:
    """What splits that stay hide from each other: what comes later."""
    number = torch.cat([torch.full((length,), place) for place, (length, _) in enumerate(splits)])
    causal = torch.cat([torch.full((length,), mode == "causal") for length, mode in splits])
    places = torch.arange(len(number))
    later = places[None, :] > places[:, None]
    hidden = later & ((number[:, None] != number[None, :]) | causal[:, None])
    return torch.zeros(hidden.shape).masked_fill(hidden, -math.inf) if bool(hidden.any()) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class VisiblePlan:
    """How a pack is attended, layout by layout.

    Attributes:
        groups: (number of samples, layout); they cover the pack.
        places: [s], where the rows of all groups, sample by sample in the order of their layouts, stand in the pack.
        back: [s], the inverse of `places`.
    """

    groups: tuple[tuple[int, Runs], ...]
    places: Int[Tensor, " s"]
    back: Int[Tensor, " s"]

    def parts(self, rows: Float[Tensor, "s n e"], heads: int) -> list[Tensor]:
        """The rows of every group, [samples * heads, t, e]; stored heads are shared by equal numbers of heads."""
        stored, size = rows.shape[1:]
        sorted_rows = rows.reshape(-1, stored * size).index_select(0, self.places)
        parts, start = [], 0
        for count, runs in self.groups:
            end = start + count * len(runs.order)
            part = sorted_rows[start:end].view(count, -1, stored, size).transpose(1, 2)
            shared = part if stored == heads else part.repeat_interleave(heads // stored, dim=1)
            parts.append(shared.reshape(count * heads, -1, size))
            start = end
        return parts

    def joined(self, parts: Sequence[Tensor], heads: int, stored: int) -> Float[Tensor, "s n e"]:
        """Undo `parts`; what several heads have for one stored head is added up."""
        size = parts[0].shape[-1]
        sorted_rows = parts[0].new_empty(len(self.places), stored, size)
        start = 0
        for part, (count, runs) in zip(parts, self.groups, strict=True):
            end = start + count * len(runs.order)
            shared = part.view(count, stored, heads // stored, -1, size)
            sorted_rows[start:end].view(count, -1, stored, size).copy_(
                (shared[:, :, 0] if stored == heads else shared.sum(2)).transpose(1, 2)
            )
            start = end
        return sorted_rows.view(-1, stored * size).index_select(0, self.back).view(-1, stored, size)


def plan_visible(layouts: Sequence[tuple[tuple[int, str], ...]], order: Int[Tensor, " s"]) -> VisiblePlan:
    """Plan a pack.

    Args:
        layouts: one per sample.
        order: [s], for each token in sequence order its place in the order of computation.
    """
    starts, start = defaultdict[tuple[tuple[int, str], ...], list[int]](list), 0
    for layout in layouts:
        starts[layout].append(start)
        start += sum(length for length, _ in layout)
    found = {layout: runs_of(layout) for layout in starts}
    places = torch.cat([order[start + found[layout].order.to(order.device)] for layout, each in starts.items() for start in each])
    return VisiblePlan(
        groups=tuple((len(each), found[layout]) for layout, each in starts.items()), places=places, back=places.argsort()
    )


class VisibleAttention(torch.autograd.Function):
    """Softmax attention with grouped queries, as `attend_dense` has it, over the groups of a plan."""

    @staticmethod
    def forward(
        ctx: Any, q: Float[Tensor, "s n e"], k: Float[Tensor, "s m e"], v: Float[Tensor, "s m e"], plan: VisiblePlan
    ) -> Float[Tensor, "s n e"]:
        heads, stored, size = q.shape[1], k.shape[1], q.shape[2]
        kept: list[Tensor] = []
        outputs = []
        with torch.autocast(q.device.type, enabled=False):  # forward and backward in one dtype
            groups = zip(plan.parts(q * size**-0.5, heads), plan.parts(k, heads), plan.parts(v, heads), plan.groups, strict=True)
            for queries, keys, values, (_, runs) in groups:
                attended = torch.empty_like(queries)
                weights = [_forward_run(run, queries, keys, values, attended) for run in runs.parts]
                outputs.append(attended)
                kept += [queries, keys, values, *weights]
        ctx.save_for_backward(*kept)
        ctx.plan, ctx.stored = plan, stored
        return plan.joined(outputs, heads, heads)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        (gradient,) = gradients
        heads, stored, size = gradient.shape[1], ctx.stored, gradient.shape[2]
        kept = iter(ctx.saved_tensors)
        sums: tuple[list[Tensor], ...] = ([], [], [])
        for d_out, (_, runs) in zip(ctx.plan.parts(gradient, heads), ctx.plan.groups, strict=True):
            inputs = next(kept), next(kept), next(kept)
            outputs = torch.empty_like(d_out), torch.zeros_like(d_out), torch.zeros_like(d_out)
            for run in runs.parts:
                _backward_run(run, next(kept), inputs, d_out, outputs)
            for whole, part in zip(sums, outputs, strict=True):
                whole.append(part)
        dq, dk, dv = (ctx.plan.joined(each, heads, count) for each, count in zip(sums, (heads, stored, stored), strict=True))
        return dq.mul_(size**-0.5), dk, dv, None


def _forward_run(run: Run, queries: Tensor, keys: Tensor, values: Tensor, attended: Tensor) -> Tensor:
    """Write what a run attends to; its weights [g, rows, seen (+ length)]."""
    asked, groups = queries[:, run.rows], len(queries)
    scores = torch.bmm(asked, keys[:, : run.seen].mT)
    if not run.count:
        if run.bias is not None:
            scores[..., -run.length :] += run.bias.to(scores.dtype)
        weights = torch.softmax(scores, -1)
        attended[:, run.rows] = torch.bmm(weights, values[:, : run.seen])
        return weights
    split = (groups * run.count, run.length, -1)
    own = torch.bmm(asked.reshape(split), keys[:, run.rows].reshape(split).mT)
    weights = torch.softmax(torch.cat((scores, own.view(groups, -1, run.length)), -1), -1)
    out = torch.bmm(weights[..., : run.seen], values[:, : run.seen])
    out += torch.bmm(weights[..., run.seen :].reshape(split), values[:, run.rows].reshape(split)).view(out.shape)
    attended[:, run.rows] = out
    return weights


def _backward_run(
    run: Run, weights: Tensor, inputs: tuple[Tensor, Tensor, Tensor], d_out: Tensor, outputs: tuple[Tensor, Tensor, Tensor]
) -> None:
    """Write a run's share of the gradients; keys and values before it get theirs added."""
    queries, keys, values = (inputs[0][:, run.rows], inputs[1], inputs[2])
    d_queries, d_keys, d_values = outputs
    d_run, seen = d_out[:, run.rows], slice(0, run.seen)
    d_weights = torch.bmm(d_run, values[:, seen].mT)
    if not run.count:
        d_scores = torch._softmax_backward_data(d_weights, weights, -1, weights.dtype)
        d_queries[:, run.rows] = torch.bmm(d_scores, keys[:, seen])
        d_keys[:, seen] += torch.bmm(d_scores.mT, queries)
        d_values[:, seen] += torch.bmm(weights.mT, d_run)
        return
    groups, shape = len(queries), queries.shape
    split = (groups * run.count, run.length, -1)
    own_queries, own_keys, own_values, d_own = (
        each.reshape(split) for each in (queries, keys[:, run.rows], values[:, run.rows], d_run)
    )
    d_weights = torch.cat((d_weights, torch.bmm(d_own, own_values.mT).view(groups, -1, run.length)), -1)
    d_scores = torch._softmax_backward_data(d_weights, weights, -1, weights.dtype)
    own_weights, own_scores = (each[..., run.seen :].reshape(split) for each in (weights, d_scores))
    weights, d_scores = weights[..., : run.seen], d_scores[..., : run.seen]
    out = torch.bmm(d_scores, keys[:, seen])
    out += torch.bmm(own_scores, own_keys).view(shape)
    d_queries[:, run.rows] = out
    d_keys[:, run.rows] = torch.bmm(own_scores.mT, own_queries).view(shape)
    d_values[:, run.rows] = torch.bmm(own_weights.mT, d_own).view(shape)
    d_keys[:, seen] += torch.bmm(d_scores.mT, queries)
    d_values[:, seen] += torch.bmm(weights.mT, d_run)
