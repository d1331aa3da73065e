"""What shares a forward pass does not matter: packs, batches of contexts and their order change nothing."""

from __future__ import annotations

import inspect

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bagel_world.errors import ConfigError
from bagel_world.model import packing
from bagel_world.model.attention import make_plan
from tests.model.runs import EMPTY, Past, close, extend, one_by_one, pack, whole
from tests.model.tiny import CONTEXT_KINDS, Draft, Model, few, models, samples
from tests.oracle import Segment


def _built(model: Model, drafts: list[list[Draft]]) -> list[list[Segment]]:
    return [[draft.build(model.config) for draft in sample] for sample in drafts]


TIGHT = 1e-10
"""Between two fast paths in float64 nothing but the order of sums may differ."""


@few
@given(models, samples(most=4), st.randoms(use_true_random=False))
def test_packed_equals_one_by_one_in_any_order(model: Model, drafts: list[list[Draft]], random: object) -> None:
    batch = _built(model, [*drafts, drafts[0]])
    order = list(range(len(batch)))
    random.shuffle(order)  # type: ignore[attr-defined]
    together = whole(model, [batch[place] for place in order])
    for hidden, place in zip(together, order, strict=True):
        close(hidden, whole(model, [batch[place]])[0], atol=TIGHT)


@few
@given(models, samples(most=3, kinds=CONTEXT_KINDS), samples(most=3))
def test_a_batch_of_contexts_equals_each_alone(model: Model, pasts: list[list[Draft]], drafts: list[list[Draft]]) -> None:
    """Caches of different lengths side by side, and one that is empty, each with segments of its own."""
    histories = [one_by_one(model, segments)[0] for segments in _built(model, pasts)] + [EMPTY]
    news = _built(model, drafts)
    contexts = [histories[place % len(histories)] for place in range(max(len(news), len(histories)))]
    batch = [news[place % len(news)] for place in range(len(contexts))]
    after, hidden = extend(model, contexts, batch)
    for context, segments, (cache, position), states in zip(contexts, batch, after, hidden, strict=True):
        ((alone, own_position),), (own,) = extend(model, [context], [segments])
        assert position == own_position
        close(states, own, atol=TIGHT)
        for ours, theirs in zip(cache.tensors(), alone.tensors(), strict=True):
            close(ours, theirs, atol=TIGHT)


@few
@given(models, samples(most=1, kinds=CONTEXT_KINDS), samples(most=1, kinds=CONTEXT_KINDS))
def test_rows_of_a_batch_do_not_see_each_other(model: Model, one: list[list[Draft]], other: list[list[Draft]]) -> None:
    (left,), (right,) = _built(model, one), _built(model, other)
    probe = [Draft(kind="text", shape=(1, 2), seed=77).build(model.config)]
    pasts: list[Past] = [one_by_one(model, left)[0], one_by_one(model, right)[0]]
    _, (beside_right, _) = extend(model, pasts, [probe, probe])
    _, (beside_left, _) = extend(model, [pasts[0], pasts[0]], [probe, probe])
    close(beside_right, beside_left, atol=TIGHT)


@few
@given(models, samples())
def test_a_pack_is_in_order(model: Model, drafts: list[list[Draft]]) -> None:
    """`order` is a permutation that puts boundary and text tokens first, then ViT tokens, then latents."""
    packed = pack(model, _built(model, drafts))
    count = sum(packed.lengths)
    assert sorted(packed.order.tolist()) == list(range(count))
    assert count == packed.understand_tokens + len(packed.latent_positions)
    assert torch.equal(packed.in_sequence(torch.arange(count)), packed.order)


def _rules() -> packing.PackingRules:
    return packing.PackingRules(start_of_image=8, end_of_image=9, vit_patch=2, vit_side=3, latent_side=2)


def test_the_layout_of_a_small_pack_by_hand() -> None:
    samples = [
        [
            packing.TextSegment(ids=(1, 4, 5, 2), loss=True),
            packing.LatentSegment(tokens=torch.zeros(2, 3), grid=(2, 1), timestep=0.5, noised=True),
            packing.VitSegment(pixels=torch.zeros(3, 4, 2)),
            packing.Gap(advance=3),
            packing.TextSegment(ids=(1, 6, 2)),
        ],
        [packing.LatentSegment(tokens=torch.ones(1, 3), grid=(1, 1))],
    ]
    packed = packing.pack(samples, _rules(), positions=[10, 0])
    assert packed.layouts == (((4, "causal"), (4, "noise"), (4, "full"), (3, "causal")), ((3, "full"),))
    assert packed.text_ids.tolist() == [1, 4, 5, 2, 8, 9, 8, 9, 1, 6, 2, 8, 9]
    assert packed.in_sequence(packed.positions).tolist() == [10, 11, 12, 13, *[14] * 4, *[14] * 4, 18, 19, 20, 0, 0, 0]
    assert packed.order.tolist() == [0, 1, 2, 3, 4, 15, 16, 5, 6, 13, 14, 7, 8, 9, 10, 11, 17, 12]
    assert packed.ends == (21, 1)
    assert packed.vit_positions.tolist() == [0, 3]
    assert packed.latent_positions.tolist() == [0, 2, 0]
    assert packed.latent_images.tolist() == [0, 0, 1]
    assert packed.noised.tolist() == [True, True, False]
    assert packed.timesteps.tolist() == [0.5, 0.0]
    assert packed.label_places.tolist() == [0, 1, 2]
    assert packed.labels.tolist() == [4, 5, 2]
    assert packed.label_weights.tolist() == pytest.approx([3**-0.5] * 3)


@pytest.mark.parametrize("grid", [(3, 1), (1, 3)])
def test_an_image_larger_than_the_table_is_refused(grid: tuple[int, int]) -> None:
    segment = packing.LatentSegment(tokens=torch.zeros(3, 3), grid=grid)
    with pytest.raises(ConfigError, match=rf"at most 2 x 2 tokens, got {grid[0]} x {grid[1]}"):
        packing.pack([[segment]], _rules())
    with pytest.raises(ConfigError, match="a ViT image of at most 3 x 3 tokens, got 4 x 1"):
        packing.pack([[packing.VitSegment(pixels=torch.zeros(3, 8, 2))]], _rules())


def test_an_unknown_backend_is_refused() -> None:
    """Asked without the shape checks of the tests, which would speak first."""
    with pytest.raises(ConfigError, match="'flash'"):
        inspect.unwrap(make_plan)([((1, "causal"),)], torch.tensor([0]), "flash")  # type: ignore[arg-type]
