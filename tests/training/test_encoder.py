"""An encoder that remembers: the same latents, encoded once, and no more of them than it may keep."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bagel_world.training.data.encoder import Grid, ImageEncoder, RememberingEncoder
from bagel_world.types import Frame
from tests.training.walks import make_config, make_vae


class Counting(ImageEncoder):
    """Counts what it encodes."""

    def __init__(self) -> None:
        super().__init__(make_vae(), make_config())
        self.encoded = 0

    def latents(self, frame: Frame, rng: np.random.Generator) -> tuple[Tensor, Grid]:
        self.encoded += 1
        return super().latents(frame, rng)


def frame(number: int, shape: tuple[int, int] = (32, 16)) -> Frame:
    return np.full((*shape, 3), number, dtype=np.uint8)


def test_what_was_seen_is_not_encoded_again_and_is_the_same() -> None:
    encoder = Counting()
    remembering = RememberingEncoder(encoder)
    rng = np.random.default_rng(0)
    first = [remembering.latents(each, rng) for each in (frame(1), frame(2), frame(1, (16, 32)))]
    again = [remembering.latents(each, rng) for each in (frame(1), frame(2), frame(1, (16, 32)))]
    assert encoder.encoded == 3, "frames of equal bytes and different shapes are different"
    for (tokens, grid), (others, other_grid), wanted in zip(first, again, (frame(1), frame(2), frame(1, (16, 32))), strict=True):
        assert torch.equal(tokens, others)
        assert grid == other_grid
        assert torch.equal(tokens, encoder.latents(wanted, rng)[0])


def test_the_frames_seen_longest_ago_are_forgotten_first() -> None:
    encoder = Counting()
    rng = np.random.default_rng(0)
    size = encoder.latents(frame(0), rng)[0].nbytes
    remembering = RememberingEncoder(encoder, most_bytes=2 * size)
    for number in (1, 2, 1, 3):
        remembering.latents(frame(number), rng)
    encoder.encoded = 0
    remembering.latents(frame(1), rng)
    remembering.latents(frame(3), rng)
    assert encoder.encoded == 0
    remembering.latents(frame(2), rng)
    assert encoder.encoded == 1
