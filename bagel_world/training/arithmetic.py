"""How much arithmetic a step needs, and how much this machine does: together they say how well a training uses it.

Counted is what the losses depend on, whatever is computed: attention over the pairs that may see each other, and of the last
layer only the tokens with a loss. Backward counts twice the forward pass, as is usual (arXiv 2204.02311, appendix B).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from functools import lru_cache

import torch
from torch import Tensor, nn

from bagel_world.model.attention import Layout, allowed
from bagel_world.model.bagel import Bagel
from bagel_world.model.mot import MotBlock
from bagel_world.training.data.batches import Batch

_BACKWARD = 2
_PROBED_ROWS = 1024
_PROBED_AT_ONCE = 4
_PROBE_SECONDS = 0.2


@lru_cache(maxsize=4096)
def visible_pairs(layout: Layout) -> int:
    """Pairs of query and key of one sample that may see each other."""
    return int(allowed(layout).sum())


def forward_flop(bagel: Bagel, batch: Batch, *, writing: bool) -> float:
    """Floating-point operations of one forward pass with its losses: two for every multiplication and addition of a product.

    Args:
        bagel: the model.
        batch: what it reads.
        writing: whether texts have a loss.
    """
    packed, config = batch.packed, bagel.config.llm_config
    images = 0 if packed.vit_patches is None else len(packed.vit_patches)
    latents = 0 if packed.latents is None else len(packed.latents)
    understood = len(packed.text_ids) + images
    wanted = len(packed.label_places) if writing else 0, int(packed.noised.sum())
    heads = config.num_attention_heads * config.head_size
    pairs = sum(map(visible_pairs, packed.layouts))
    total = 4.0 * pairs * heads * config.num_hidden_layers
    for number, layer in enumerate(bagel.mot.layers):
        assert isinstance(layer, MotBlock)
        finished = wanted if number == config.num_hidden_layers - 1 else (understood, latents)
        for expert, tokens, done in zip((layer.understand, layer.generate), (understood, latents), finished, strict=True):
            total += _products((expert.q, expert.k, expert.v), tokens)
            total += _products((expert.o, expert.gate, expert.up, expert.down), done)
    total += _products((bagel.latent_in,), latents) + _products((bagel.latent_out,), wanted[1])
    total += _products((bagel.lm_head,), wanted[0])
    if images:
        total += _products((each for each in bagel.vit.modules() if isinstance(each, nn.Linear)), images)
        total += _products((bagel.connector.fc1, bagel.connector.fc2), images)
        width = bagel.config.vit_config.hidden_size * bagel.config.vit_config.num_hidden_layers
        total += 4.0 * width * sum(length**2 for length in packed.vit_lengths)
    return total


def step_flop(bagel: Bagel, batch: Batch, *, writing: bool) -> float:
    """Floating-point operations of learning from a batch; estimates of its own cost the model one more forward pass."""
    return forward_flop(bagel, batch, writing=writing) * (1 + _BACKWARD + (batch.estimates is not None))


def product_peak(bagel: Bagel, dtype: torch.dtype, threads: int = 1, pool: Executor | None = None) -> float:
    """Floating-point operations per second of the model's own matrix products, by all threads of a step at once."""
    width = bagel.config.llm_config.hidden_size, bagel.config.llm_config.intermediate_size
    rows, matrix = (torch.randn(size, device=bagel.device, dtype=dtype) for size in ((_PROBED_ROWS, width[0]), width))

    def probe(_: int) -> float:
        return _rate(lambda: rows @ matrix, 2.0 * _PROBED_ROWS * width[0] * width[1])

    return probe(0) if pool is None else sum(pool.map(probe, range(threads)))


def _rate(product: Callable[[], Tensor], flop: float) -> float:
    """The best of many short spans: a machine that does other things too is no slower for it."""
    began, best = time.perf_counter(), 0.0
    while time.perf_counter() < began + _PROBE_SECONDS:
        started = time.perf_counter()
        found = [product() for _ in range(_PROBED_AT_ONCE)]
        if found[0].is_cuda:
            torch.cuda.synchronize()
        best = max(best, _PROBED_AT_ONCE * flop / (time.perf_counter() - started))
    return best


def _products(layers: Iterable[nn.Module], rows: int) -> float:
    return sum(2.0 * rows * layer.weight.numel() for layer in layers if isinstance(layer, nn.Linear))
