"""Attention split by split equals dense batches, forward and backward, on samples of every kind."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bagel_world.model.attention import Layout, allowed, attend, make_plan, pick_backend
from bagel_world.model.visible import runs_of
from tests.model.tiny import few

SPLITS = st.tuples(st.integers(1, 40), st.sampled_from(["causal", "full", "noise"]))
LAYOUTS = st.lists(st.lists(SPLITS, min_size=1, max_size=7).map(tuple), min_size=1, max_size=3)


def _inputs(length: int, heads: int, stored: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    shapes = ((length, heads, 4), (length, stored, 4), (length, stored, 4), (length, heads, 4))
    return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


@few
@given(LAYOUTS, st.sampled_from([(1, 1), (4, 2), (3, 1), (3, 3)]))
def test_outputs_and_gradients_equal_dense_batches(layouts: list[Layout], heads: tuple[int, int]) -> None:
    layouts = [*layouts, layouts[0]]  # two samples of one layout
    length = sum(part for layout in layouts for part, _ in layout)
    order = torch.randperm(length, generator=torch.Generator().manual_seed(1))
    *inputs, wanted = _inputs(length, *heads)
    results = []
    for backend in ("sdpa", "visible"):
        attended = attend(*inputs, make_plan(layouts, order, backend))
        results.append([attended, *torch.autograd.grad(attended, inputs, wanted)])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@few
@given(st.lists(SPLITS, min_size=1, max_size=9).map(tuple))
def test_runs_hold_every_query_once_and_what_it_may_see(layout: Layout) -> None:
    runs = runs_of(layout)
    mask = allowed(layout)[runs.order][:, runs.order]
    seen = torch.zeros_like(mask)
    rows: list[int] = []
    for run in runs.parts:
        queries = range(run.rows.start, run.rows.stop)
        rows += queries
        seen[run.rows, : run.seen] = True
        for first in queries[:: run.length] if run.count else ():
            seen[first : first + run.length, first : first + run.length] = True
        if run.bias is not None:
            seen[run.rows, run.seen - run.length : run.seen] = run.bias == 0
    assert sorted(rows) == list(range(len(mask)))
    assert torch.equal(seen, mask)


def test_a_walk_computes_little_that_it_throws_away() -> None:
    walk: Layout = (
        (18, "full"),
        *(((4, "causal"), (18, "noise"), (18, "noise"), (18, "full")) * 5),
        (4, "causal"),
        (18, "noise"),
    )
    computed = 0
    for run in runs_of(walk).parts:
        rows = run.rows.stop - run.rows.start
        computed += rows * (run.seen + (run.length if run.count else 0))
    assert computed < 1.2 * int(allowed(walk).sum())
    assert computed < 0.4 * len(allowed(walk)) ** 2


@pytest.mark.parametrize(("training", "backend"), [(True, "visible"), (False, "sdpa")])
def test_a_cpu_trains_split_by_split_and_answers_in_dense_batches(training: bool, backend: str) -> None:
    assert pick_backend(torch.device("cpu"), [((4, "causal"),)], training=training) == backend
