from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bagel_world.model.bagel import Bagel
from bagel_world.model.packing import LatentSegment, PackingRules, TextSegment, VitSegment, pack
from bagel_world.training import arithmetic
from bagel_world.training.arithmetic import forward_flop, product_peak, step_flop, visible_pairs
from bagel_world.training.data.batches import Batch, Estimates
from bagel_world.training.trainer import MotConfig, pack_losses
from tests.training.walks import make_config


def _batch(shape_side: int = 2) -> tuple[Bagel, Batch]:
    shape = make_config()
    rules = PackingRules(
        start_of_image=5,
        end_of_image=6,
        vit_patch=shape.vit_config.patch_size,
        vit_side=shape.vit_max_num_patch_per_side,
        latent_side=shape.max_latent_size,
    )
    latents = torch.zeros(shape_side**2, shape.latent_size)
    pixels = torch.zeros(3, 28, 28)
    sample = [
        VitSegment(pixels=pixels),
        LatentSegment(tokens=latents, grid=(shape_side, shape_side)),
        TextSegment(ids=(1, 7, 8, 2), loss=True),
        LatentSegment(tokens=latents, grid=(shape_side, shape_side), timestep=0.5, noised=True),
    ]
    return Bagel(shape), Batch(packed=pack([sample, sample], rules), targets=torch.zeros(2 * shape_side**2, shape.latent_size))


def test_pairs_of_a_small_sample_by_hand() -> None:
    # Three words see 1 + 2 + 3; two tokens of a painting see five each, and nobody sees them; a word behind sees four.
    assert visible_pairs(((3, "causal"), (2, "noise"), (1, "causal"))) == 6 + 10 + 4


def test_a_forward_pass_is_what_torch_counts_but_for_attention_and_the_embedding_of_timesteps() -> None:
    bagel, batch = _batch()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        pack_losses(bagel, batch.packed, batch.targets, MotConfig(text_weight=1.0))
    counts = {str(name): count for name, count in counter.get_flop_counts()["Global"].items()}
    products = sum(count for name, count in counts.items() if "attention" not in name)
    width, vit = bagel.config.llm_config, bagel.config.vit_config
    images = len(batch.packed.latent_lengths)
    timesteps = 2 * images * sum(layer.weight.numel() for layer in (bagel.timestep_embedding.fc1, bagel.timestep_embedding.fc2))
    attention = (
        4 * width.num_attention_heads * width.head_size * width.num_hidden_layers * sum(map(visible_pairs, batch.packed.layouts))
    )
    attention += 4 * vit.hidden_size * vit.num_hidden_layers * sum(length**2 for length in batch.packed.vit_lengths)
    assert forward_flop(bagel, batch, writing=True) - attention == products - timesteps


def test_learning_counts_three_passes_and_painting_for_itself_one_more() -> None:
    bagel, batch = _batch()
    once = forward_flop(bagel, batch, writing=False)
    assert step_flop(bagel, batch, writing=False) == 3 * once
    some = torch.zeros(1, dtype=torch.long)
    painting = Batch(
        packed=batch.packed, targets=batch.targets, estimates=Estimates(places=some, sources=some, timesteps=torch.ones(1))
    )
    assert step_flop(bagel, painting, writing=False) == 4 * once
    assert forward_flop(bagel, batch, writing=True) > once


def test_the_peak_of_a_step_is_that_of_all_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    bagel, _ = _batch()
    assert product_peak(bagel, torch.float32) > 0
    sizes: list[float] = []
    monkeypatch.setattr(arithmetic, "_rate", lambda product, flop: sizes.append(flop / len(product())) or 3.0)
    with ThreadPoolExecutor(2) as pool:
        assert product_peak(bagel, torch.float32, 2, pool) == 6.0
    config = bagel.config.llm_config
    assert sizes == [2 * config.hidden_size * config.intermediate_size] * 2


@pytest.mark.parametrize("writing", [True, False])
def test_more_tokens_cost_more(writing: bool) -> None:
    small, large = _batch(1), _batch(2)
    assert forward_flop(*small, writing=writing) < forward_flop(*large, writing=writing)
