"""The shipped world on a GPU: the same pictures as on the CPU, up to the rounding of the dtype."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bagel_world import BagelWorld
from bagel_world.types import Frame

pytestmark = pytest.mark.gpu

WORDS = ("Move forward", "Look left", "Look left", "Look right")


def _walk(device: str, dtype: str) -> list[list[Frame]]:
    """Four steps of two worlds that start alike and go apart by their seeds."""
    world = BagelWorld.from_pretrained("nano", device=device, dtype=dtype)
    start = np.asarray(world.starts[0].frames[0])
    contexts = [world.observe(start), world.observe(start)]
    steps = []
    for place, word in enumerate(WORDS):
        contexts = [each.say(word) for each in contexts]
        frames = world.imagine(contexts, seeds=[place, 100 + place])
        contexts = [each.observe(frame) for each, frame in zip(contexts, frames, strict=True)]
        steps.append(list(frames))
    return steps


def _psnr(one: list[list[Frame]], other: list[list[Frame]]) -> float:
    errors = np.stack([np.stack(step) for step in one]) / 255.0 - np.stack([np.stack(step) for step in other]) / 255.0
    return float(-10 * np.log10(np.square(errors).mean() + 1e-12))


@pytest.fixture(scope="module")
def on_cpu() -> list[list[Frame]]:
    return _walk("cpu", "float32")


def test_float32_is_the_same_walk(on_cpu: list[list[Frame]]) -> None:
    assert _psnr(_walk("cuda", "float32"), on_cpu) > 45


def test_bfloat16_is_nearly_the_same_walk(on_cpu: list[list[Frame]]) -> None:
    assert _psnr(_walk("cuda", "bfloat16"), on_cpu) > 28


def test_a_walk_on_the_gpu_repeats_exactly() -> None:
    one, other = _walk("cuda", "float32"), _walk("cuda", "float32")
    for a, b in zip(one, other, strict=True):
        for frame, again in zip(a, b, strict=True):
            assert np.array_equal(frame, again)


def test_memory_of_a_world_is_on_the_gpu() -> None:
    world = BagelWorld.from_pretrained("nano", device="cuda")
    assert {parameter.device.type for parameter in world.checkpoint.bagel.parameters()} == {"cuda"}
    assert next(world.checkpoint.bagel.parameters()).dtype == torch.bfloat16
