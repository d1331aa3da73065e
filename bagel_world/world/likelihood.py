"""What the model expects: whether it would say yes, and after which words a frame surprises it least."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from bagel_world.actions import NO, YES
from bagel_world.model.checkpoint import Checkpoint
from bagel_world.model.packing import to_tokens
from bagel_world.world.context import Branch
from bagel_world.world.generate import Canvas, generator_of, latent_losses, next_logits

EVIDENCE_TIMES = (0.9, 0.6)
"""Timesteps at which frames are held against words: near the noise, where what was done decides most."""

EVIDENCE = 4.0
"""How much a word loses per relative increase of the loss: chances are softmax(-EVIDENCE * loss / least loss).

Losses relative to the least one compare across checkpoints; the factor was set on held-out houses, where the loss of the second
best word is 1.4 times the least one or less only where the picture does not change.
"""


def yes_chances(checkpoint: Checkpoint, branches: Sequence[Branch]) -> list[float]:
    """The probability of "yes" against "no" as the first token behind every branch, in either case of its first letter."""
    yes, no = (_first_ids(checkpoint, word) for word in (YES, NO))
    logits = next_logits(checkpoint, branches).float()
    return torch.sigmoid(logits[:, yes].logsumexp(-1) - logits[:, no].logsumexp(-1)).tolist()


def _first_ids(checkpoint: Checkpoint, word: str) -> list[int]:
    encode = checkpoint.tokenizer.encode
    return sorted({encode(spelled)[1] for spelled in (word, word.capitalize())})


def action_chances(
    checkpoint: Checkpoint,
    branches: Sequence[Branch],
    latents: Sequence[Float[Tensor, "z h w"]],
    seeds: Sequence[int],
    count: int,
) -> npt.NDArray[np.float64]:
    """How likely each of `count` words led to some latents.

    Args:
        checkpoint: the model.
        branches: count per place, place by place: the past with each of the words behind it.
        latents: of the frame that followed, one per place.
        seeds: of the noise that the latents are mixed with, one per place, the same for all words.
        count: words.

    Returns:
        Probabilities, shape (places, count).
    """
    canvases, targets = [], []
    patch = checkpoint.config.latent_patch_size
    for place, (each, seed) in enumerate(zip(latents, seeds, strict=True)):
        tokens, grid = to_tokens(each, patch), (each.shape[1] // patch, each.shape[2] // patch)
        noise = torch.randn(tokens.shape, generator=generator_of(seed))
        for branch in branches[place * count : (place + 1) * count]:
            canvases.append(Canvas(noise=noise, grid=grid, full=branch))
            targets.append(tokens)
    losses = latent_losses(checkpoint, canvases, targets, EVIDENCE_TIMES).double().cpu().reshape(-1, count)
    least = losses.min(-1, keepdim=True).values
    return torch.softmax(-EVIDENCE * losses / least, dim=-1).numpy()
