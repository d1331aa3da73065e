"""bfloat16 rounds and no more: close to float32 on the same weights, and wider where the published program is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from bagel_world.model import layers, packing
from bagel_world.model.cache import KVCache, Workspace
from bagel_world.model.checkpoint import Checkpoint
from bagel_world.model.mot import Expert
from tests.model.folder import load_folder


def _segments(loaded: Checkpoint) -> list[packing.Segment]:
    generator = torch.Generator().manual_seed(5)
    side = loaded.config.vit_config.patch_size
    tokens = torch.randn(4, loaded.config.latent_size, generator=generator)
    return [
        packing.LatentSegment(tokens=tokens, grid=(2, 2)),
        packing.VitSegment(pixels=torch.rand(3, 2 * side, side, generator=generator) * 2 - 1),
        packing.TextSegment(ids=loaded.tokenizer.encode("Look left")),
        packing.LatentSegment(
            tokens=torch.randn(2, loaded.config.latent_size, generator=generator), grid=(1, 2), timestep=0.75, noised=True
        ),
    ]


@torch.no_grad()
def _hidden(loaded: Checkpoint, segments: list[packing.Segment]) -> Tensor:
    packed = packing.pack([segments], loaded.rules)
    return packed.in_sequence(loaded.bagel.hidden(packed).joined())


def test_bfloat16_is_float32_but_for_rounding(folder: Path) -> None:
    wide, narrow = load_folder(folder), load_folder(folder, torch.bfloat16)
    segments = _segments(wide)
    wanted, found = _hidden(wide, segments), _hidden(narrow, segments)
    assert found.dtype == torch.bfloat16
    error = (found.float() - wanted).norm() / wanted.norm()
    assert 1e-4 < error < 0.03, "closer would mean that nothing was rounded"


def test_bfloat16_caches_agree_with_whole_passes(folder: Path) -> None:
    loaded = load_folder(folder, torch.bfloat16)
    segments, bagel = _segments(loaded), loaded.bagel
    cache, position, parts = KVCache(), 0, []
    with torch.no_grad():
        for segment in segments:
            packed = packing.pack([[segment]], loaded.rules, positions=[position])
            space = Workspace([cache], bagel.cache_shape, packed.lengths[0], torch.device("cpu"), torch.bfloat16)
            parts.append(packed.in_sequence(bagel.hidden(packed, space).joined()))
            cache, position = cache.append(*space.added(0, packed.lengths[0])), packed.ends[0]
    assert {each.dtype for each in cache.tensors()} == {torch.bfloat16}
    whole = _hidden(loaded, segments).float()
    assert (torch.cat(parts).float() - whole).norm() / whole.norm() < 0.02


def test_the_norm_computes_in_float32_and_multiplies_in_its_dtype() -> None:
    norm = layers.RmsNorm(4, eps=1e-6).bfloat16()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, 0.3, -1.7]))
    x = torch.tensor([[300.0, -1.3, 7.7, 0.02]]).bfloat16()
    wide = x.float() / torch.sqrt((x.float() ** 2).mean() + 1e-6)
    assert torch.equal(norm(x), norm.weight * wide.bfloat16())


def test_rotary_tables_are_computed_in_float32_and_then_rounded() -> None:
    """In bfloat16 arithmetic positions above 256 would fall together."""
    positions = torch.tensor([0, 1, 257, 5000])
    narrow = layers.rotary_tables(positions, 8, 1e6, torch.bfloat16)
    for found, wanted in zip(narrow, layers.rotary_tables(positions, 8, 1e6, torch.float32), strict=True):
        assert torch.equal(found, wanted.bfloat16())


@pytest.mark.parametrize("latents", [True, False])
def test_queries_and_keys_are_normed_in_float32_where_latents_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch, latents: bool
) -> None:
    """In such a pass both experts do so; without latents all of it is bfloat16."""
    loaded = load_folder(folder, torch.bfloat16)
    segments = [each for each in _segments(loaded) if latents or not isinstance(each, packing.LatentSegment)]
    seen: list[torch.dtype] = []
    project = Expert.project

    def watched(self: Expert, x: Tensor, qk_dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = project(self, x, qk_dtype)
        seen.extend((q.dtype, k.dtype))
        assert v.dtype == torch.bfloat16
        return q, k, v

    monkeypatch.setattr(Expert, "project", watched)
    _hidden(loaded, segments)
    assert set(seen) == {torch.float32 if latents else torch.bfloat16}
    assert len(seen) == 2 * loaded.config.llm_config.num_hidden_layers * (2 if latents else 1)


def test_the_autoencoder_stays_in_float32(folder: Path) -> None:
    loaded = load_folder(folder, torch.bfloat16)
    with torch.no_grad():
        latents = loaded.vae.encode(torch.zeros(1, 3, 32, 32))
    assert latents.dtype == torch.float32
