from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bagel_world.model.checkpoint import packing_rules
from bagel_world.training.data.batches import Batch, WalkBatches, collate_walks
from bagel_world.training.data.interleave import WalkConfig, WalkSample, WalkSampler, build_walk
from tests.training.walks import make_config, make_latents, make_tokenizer

IDS = {"go": (1, 5, 2), "turn": (1, 6, 2)}
RULES = packing_rules(make_config(), make_tokenizer())


def _walk(seed: int, imagined: tuple[bool, ...]) -> WalkSample:
    tokens = torch.randn(4, 4, 8, generator=torch.Generator().manual_seed(seed))
    config = WalkConfig(context_noise_share=0.0, copies=2)
    sample = build_walk(tokens, ["go", "turn", "go"], IDS, (2, 2), config, np.random.default_rng(seed))
    return replace(sample, imagined=imagined)


def _frames(batch: Batch, latents: torch.Tensor) -> torch.Tensor:
    """Latent tokens as (samples, images, tokens, size); a walk of four frames has 4 - 1 clean ones and 6 noised."""
    return latents.unflatten(0, (len(batch.packed.layouts), 9, 4))


def test_estimates_take_the_place_of_marked_context_frames_only() -> None:
    samples = [_walk(0, (True, False)), _walk(1, (False, True))]
    batch = collate_walks(samples, RULES)
    assert batch.estimates is not None
    assert batch.packed.latents is not None
    velocity = torch.zeros_like(batch.packed.latents)
    velocity[batch.packed.noised] = batch.targets
    before, after = (_frames(batch, each.latents) for each in (batch.packed, batch.estimates.put(batch.packed, velocity)))  # type: ignore[arg-type]
    clean = [0, 3, 6]
    for sample, one in zip(samples, after, strict=True):
        torch.testing.assert_close(one[clean], sample.tokens[:3], atol=1e-5, rtol=1e-5)
    changed = (before != after).flatten(2).any(-1)
    assert changed.nonzero().tolist() == [[0, 3], [1, 6]]


def test_the_noisiest_copy_is_what_is_estimated() -> None:
    sample = _walk(2, (True, False))
    batch = collate_walks([sample], RULES)
    assert batch.estimates is not None
    assert batch.packed.latents is not None
    unmoved = _frames(batch, batch.estimates.put(batch.packed, torch.zeros_like(batch.packed.latents)).latents)[0]  # type: ignore[arg-type]
    noisier = 1 + int(sample.timesteps[1] > sample.timesteps[0])
    assert torch.equal(unmoved[3], _frames(batch, batch.packed.latents)[0, noisier])
    assert set(batch.estimates.timesteps.tolist()) == {float(sample.timesteps[:2].max())}


def test_nothing_marked_nothing_estimated() -> None:
    assert collate_walks([_walk(0, (False, False))], RULES).estimates is None


def test_batches_made_ahead_are_those_made_in_place(tmp_path: Path) -> None:
    config = WalkConfig(frames=3, imagined_share=0.5)
    sampler = WalkSampler(make_latents(tmp_path), make_tokenizer(), config, seed=0)
    batches = WalkBatches(sampler, RULES, batch=4, slices=2)
    for number, ahead in zip(range(3, 7), batches.ahead(3, 7, 2), strict=True):
        here = batches[number]
        assert torch.equal(here.targets, ahead.targets)
        assert torch.equal(here.packed.order, ahead.packed.order)
        assert here.packed.layouts == ahead.packed.layouts
        assert (here.estimates is None) == (ahead.estimates is None)
    steps = [torch.cat([batches[2 * step].targets, batches[2 * step + 1].targets]) for step in (0, 1)]
    wanted = [torch.cat([sampler.window(step, place).targets for place in range(4)]) for step in (0, 1)]
    assert torch.equal(torch.stack(steps), torch.stack(wanted))


@pytest.mark.parametrize(("batch", "slices"), [(5, 4), (8, 5), (8, 6), (8, 7), (16, 9), (3, 3), (7, 1)])
def test_every_slice_has_windows_and_none_is_left_out(tmp_path: Path, batch: int, slices: int) -> None:
    sampler = WalkSampler(make_latents(tmp_path), make_tokenizer(), WalkConfig(frames=2, copies=1), seed=0)
    parts = WalkBatches(sampler, RULES, batch=batch, slices=slices)
    found = [parts[2 * slices + part] for part in range(slices)]
    counts = [len(each.packed.layouts) for each in found]
    assert sum(counts) == batch
    assert max(counts) - min(counts) <= 1
    assert [each.velocity_share for each in found] == pytest.approx([count * slices / batch for count in counts])
