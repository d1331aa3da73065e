"""A cache is a value: forks never see each other's tokens, and what is cut off was never there."""

from __future__ import annotations

import sys
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bagel_world.model.cache import MIN_BLOCK, KVCache, Workspace
from tests.model.runs import EMPTY, close, extend, one_by_one, pack, whole, workspace
from tests.model.tiny import CONTEXT_KINDS, Draft, Model, few, models, samples
from tests.oracle import Segment, Text

TIGHT = 1e-10


def _built(model: Model, drafts: list[list[Draft]]) -> list[list[Segment]]:
    return [[draft.build(model.config) for draft in sample] for sample in drafts]


def _tokens(first: int, count: int) -> tuple[Tensor, Tensor]:
    """Keys and values [2 layers, count, 1 head, 1] that are told apart by their numbers; values are negative."""
    keys = (
        torch.arange(first, first + count, dtype=torch.float64)[None, :, None, None]
        + torch.tensor([0.0, 0.5])[:, None, None, None]
    )
    return keys, -keys


def _numbers(cache: KVCache) -> list[float]:
    keys, values = cache.tensors()
    assert torch.equal(keys, -values)
    assert torch.equal(keys[0] + 0.5, keys[1])
    return keys[0].flatten().tolist()


# Storage -------------------------------------------------------------------------------------------------------------


@settings(few, max_examples=60)
@given(st.data())
def test_any_history_of_appends_forks_and_cuts_holds_what_a_list_would(data: st.DataObject) -> None:
    pairs: list[tuple[KVCache, list[float]]] = [(KVCache(), [])]
    first = 0
    for _ in range(data.draw(st.integers(1, 12))):
        cache, wanted = pairs[data.draw(st.integers(0, len(pairs) - 1))]
        if wanted and data.draw(st.booleans()):
            length = data.draw(st.integers(0, len(wanted)))
            pairs.append((cache.truncate(length), wanted[:length]))
        else:
            count = data.draw(st.sampled_from([1, 2, 5, MIN_BLOCK - 1, MIN_BLOCK, MIN_BLOCK + 1]))
            pairs.append((cache.append(*_tokens(first, count)), [*wanted, *map(float, range(first, first + count))]))
            first += count
        for each, numbers in pairs:
            assert len(each) == len(numbers)
            assert not numbers or _numbers(each) == numbers


def test_the_first_append_after_a_fork_extends_shared_storage_and_the_second_does_not() -> None:
    parent = KVCache().append(*_tokens(0, 3))
    first, second = parent.append(*_tokens(10, 2)), parent.append(*_tokens(20, 2))
    assert first.blocks[0][0] is parent.blocks[0][0]
    assert len(first.blocks) == 1
    assert second.blocks[0][0] is parent.blocks[0][0]
    assert len(second.blocks) == 2
    assert [_numbers(each) for each in (parent, first, second)] == [[0, 1, 2], [0, 1, 2, 10, 11], [0, 1, 2, 20, 21]]


@pytest.mark.parametrize("length", [-1, 4])
def test_a_cut_outside_the_cache_is_refused(length: int) -> None:
    with pytest.raises(IndexError, match=f"0..3, got {length}"):
        KVCache().append(*_tokens(0, 3)).truncate(length)


def test_slots_that_no_row_owns_hold_no_poison() -> None:
    """Storage from `empty` may hold NaN: zero times NaN would still be NaN."""
    caches = [KVCache().append(*_tokens(0, 3)), KVCache()]
    for _ in range(3):
        space = Workspace(caches, (2, 1, 1), 2, torch.device("cpu"), torch.float64)
        assert not space._keys[:, 1, :3].any()
        assert not space._values[:, 1, :3].any()


# Contexts ------------------------------------------------------------------------------------------------------------


@few
@given(models, samples(most=1, kinds=CONTEXT_KINDS), samples(most=1, kinds=CONTEXT_KINDS), samples(most=1, kinds=CONTEXT_KINDS))
@pytest.mark.parametrize("left_first", [True, False])
def test_forks_are_two_separate_histories_whichever_grows_first(
    left_first: bool, model: Model, past: list[list[Draft]], one: list[list[Draft]], other: list[list[Draft]]
) -> None:
    (shared,), (left,), (right,) = (_built(model, drafts) for drafts in (past, one, other))
    parent, _ = one_by_one(model, shared)
    before = [each.clone() for each in parent[0].tensors()]
    grown = {
        name: one_by_one(model, new, parent)
        for name, new in ([("left", left), ("right", right)] if left_first else [("right", right), ("left", left)])
    }
    for name, new in (("left", left), ("right", right)):
        (cache, position), hidden = grown[name]
        (alone, own_position), own = one_by_one(model, [*shared, *new])
        assert (len(cache), position) == (len(alone), own_position)
        close(hidden, own[len(parent[0]) :], atol=TIGHT)
        for ours, theirs in zip(cache.tensors(), alone.tensors(), strict=True):
            close(ours, theirs, atol=TIGHT)
    for ours, theirs in zip(parent[0].tensors(), before, strict=True):
        assert torch.equal(ours, theirs)


@few
@given(models, samples(most=1, kinds=CONTEXT_KINDS), samples(most=1, kinds=CONTEXT_KINDS), samples(most=1, kinds=CONTEXT_KINDS))
def test_what_is_cut_off_was_never_appended(
    model: Model, past: list[list[Draft]], gone: list[list[Draft]], new: list[list[Draft]]
) -> None:
    (kept,), (mistake,), (instead,) = (_built(model, drafts) for drafts in (past, gone, new))
    (cache, position), _ = one_by_one(model, kept)
    (longer, _), _ = one_by_one(model, mistake, (cache, position))
    (found, _), hidden = one_by_one(model, instead, (longer.truncate(len(cache)), position))
    (wanted, _), own = one_by_one(model, [*kept, *instead])
    close(hidden, own[len(cache) :], atol=TIGHT)
    for ours, theirs in zip(found.tensors(), wanted.tensors(), strict=True):
        close(ours, theirs, atol=TIGHT)


@few
@given(models, samples(most=1, kinds=CONTEXT_KINDS))
def test_cached_equals_uncached_however_the_segments_are_grouped(model: Model, drafts: list[list[Draft]]) -> None:
    (segments,) = _built(model, drafts)
    (wanted,) = whole(model, [segments])
    _, apart = one_by_one(model, segments)
    close(apart, wanted, atol=TIGHT)
    _, (at_once,) = extend(model, [EMPTY], [segments])
    close(at_once, wanted, atol=TIGHT)
    middle = max(1, len(segments) // 2)
    (past,), (first,) = extend(model, [EMPTY], [segments[:middle]])
    if segments[middle:]:
        _, (second,) = extend(model, [past], [segments[middle:]])
        close(torch.cat([first, second]), wanted, atol=TIGHT)


@few
@given(models, samples(most=2, kinds=CONTEXT_KINDS), st.lists(st.integers(0, 23), min_size=2, max_size=5))
def test_tokens_fed_one_at_a_time_equal_the_whole_text(model: Model, drafts: list[list[Draft]], ids: list[int]) -> None:
    """The loop of text generation: one workspace that grows, contexts of different lengths side by side."""
    histories = _built(model, drafts)
    pasts = [one_by_one(model, segments)[0] for segments in histories]
    space, rows = workspace(model, [cache for cache, _ in pasts], len(ids)), []
    with torch.no_grad():
        for step, token in enumerate(ids):
            packed = pack(model, [[Text(ids=[token])] for _ in pasts], [position + step for _, position in pasts])
            rows.append(model.bagel.hidden(packed, space).understand)
            space.grow(1)
    for row, segments in enumerate(histories):
        (wanted,) = whole(model, [[*segments, Text(ids=ids)]])
        close(torch.stack([states[row] for states in rows]), wanted[-len(ids) :], atol=TIGHT)


@few
@given(models, samples(most=3, kinds=CONTEXT_KINDS))
def test_denoising_leaves_the_caches_alone_and_repeats_itself(model: Model, drafts: list[list[Draft]]) -> None:
    pasts = [one_by_one(model, segments)[0] for segments in _built(model, drafts)]
    before = [[each.clone() for each in cache.tensors()] for cache, _ in pasts]
    image = Draft(kind="noised", shape=(2, 2), time=1.0, seed=1).build(model.config)
    packed = pack(model, [[image] for _ in pasts], [position for _, position in pasts])
    space = workspace(model, [cache for cache, _ in pasts], max(packed.lengths))
    with torch.no_grad():
        plan = model.bagel.plan(packed, space)
        first, second = (model.bagel.velocity(packed, space, plan=plan) for _ in range(2))
    assert torch.equal(first, second)
    for (cache, _), wanted in zip(pasts, before, strict=True):
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(cache.tensors(), wanted, strict=True))


def test_threads_that_share_a_past_write_into_rooms_of_their_own() -> None:
    """Checking that a room is free and taking it is one act: else two of them write over each other."""
    layers, size = 2, 64
    past = KVCache().append(torch.zeros(layers, 4, 1, size), torch.zeros(layers, 4, 1, size))
    wrong: list[int] = []

    def grow(number: int) -> None:
        for turn in range(300):
            mark = float(number * 1000 + turn)
            mine = torch.full((layers, 8, 1, size), mark)
            keys, values = past.append(mine, -mine).tensors()
            if not (torch.equal(keys[:, 4:], mine) and torch.equal(values[:, 4:], -mine)):
                wrong.append(number)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=grow, args=(number,)) for number in range(1, 5)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong
    block = past.blocks[0][0]
    assert not block.reserve(4, 8)
    assert block.reserve(block.used, 8)
