"""Latents of imagined frames: what the decoder of a world model learns from (`Stages.decoder`)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bagel_world.model.checkpoint import Checkpoint
from bagel_world.types import Frame
from bagel_world.world.simulator import BagelWorld


def imagine_on(checkpoint: Checkpoint, frames: Frame, words: Sequence[Sequence[str]], seeds: Sequence[Sequence[int]]) -> Tensor:
    """Latents of what comes after some frames, imagined frame by frame with the checkpoint's default sampling and context.

    Args:
        checkpoint: what imagines.
        frames: uint8, shape (n, context, height, width, 3).
        words: per row the context - 1 + steps actions between the frames and after them.
        seeds: per row one whole number for every step.

    Returns:
        float, shape (n, steps, channels, latent height, latent width).
    """
    world, latents = BagelWorld(checkpoint), []
    contexts = [world.observe(each[0]) for each in frames]
    given = int(frames.shape[1])
    for place in range(1, given):
        said = [context.say(each[place - 1]) for context, each in zip(contexts, words, strict=True)]
        contexts = [context.observe(each[place]) for context, each in zip(said, frames, strict=True)]
    for step in range(len(seeds[0])):
        said = [context.say(each[given - 1 + step]) for context, each in zip(contexts, words, strict=True)]
        pairs = world.imagine_with_latents(said, seeds=[each[step] for each in seeds])
        contexts = [each.observe_imagined(*pair) for each, pair in zip(said, pairs, strict=True)]
        latents.append(torch.stack([each for _, each in pairs]))
    return torch.stack(latents, dim=1)
