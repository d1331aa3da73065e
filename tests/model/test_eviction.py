"""Frames leave a context whole, and what stays is encoded anew: as if the context had begun with it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from bagel_world.types import Frame
from bagel_world.world.context import Context
from bagel_world.world.simulator import BagelWorld
from tests.model.folder import load_folder

SAMPLING = {"evaluations": 2, "guidance": {"text_scale": 3.0, "image_scale": 2.0}}


def _world(folder: Path, **context: object) -> BagelWorld:
    return BagelWorld(load_folder(folder), sampling=SAMPLING, context=context)


def _frames(count: int) -> list[Frame]:
    return list(np.random.default_rng(4).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8))


def _walk(context: Context, frames: list[Frame], first: int = 0) -> Context:
    for number, frame in enumerate(frames):
        context = context.observe(frame).say(f"step {first + number}")
    return context


def _caches(world: BagelWorld, context: Context) -> list[torch.Tensor]:
    with torch.inference_mode():
        (full,) = world._prefill.fill([context])
        (no_image,) = world._prefill.fill([context], "no_image")
    branches = (full, context.node.no_text, no_image)
    return [each for branch in branches for each in (*branch.cache.tensors(), torch.tensor(branch.position))]


@pytest.mark.parametrize("see", ["both", "latents"])
@pytest.mark.parametrize(("sinks", "kept"), [(0, [3, 4]), (1, [0, 4])])
def test_an_evicted_context_equals_a_fresh_one_of_the_kept_frames(folder: Path, see: str, sinks: int, kept: list[int]) -> None:
    world = _world(folder, see=see, max_frames=4, keep_frames=2, sinks=sinks)
    frames = _frames(5)
    context = _walk(world.begin("A prompt that never leaves"), frames[:4])
    before = _caches(world, context)
    evicted = _walk(context, frames[4:], first=4)
    assert evicted.dropped_frames == 3
    fresh = world.begin("A prompt that never leaves")
    for number in kept:
        fresh = _walk(fresh, [frames[number]], first=number)
    for found, wanted in zip(_caches(world, evicted), _caches(world, fresh), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    assert evicted.tokens == fresh.tokens
    np.testing.assert_array_equal(np.stack(evicted.frames), np.stack([frames[number] for number in kept]))
    for found, wanted in zip(_caches(world, context), before, strict=True):
        assert torch.equal(found, wanted)


def test_a_batch_of_contexts_imagines_what_each_alone_would(folder: Path) -> None:
    world = _world(folder)
    frames = _frames(4)
    contexts = [_walk(world.begin(), frames[:1]), _walk(world.begin(), frames[1:4]), _walk(world.begin("Look!"), frames[2:3])]
    together = world.imagine(contexts, seeds=[1, 2, 3])
    alone = [
        _world(folder).imagine([dataclasses.replace(each)], seeds=[seed])[0]
        for each, seed in zip(contexts, (1, 2, 3), strict=True)
    ]
    for found, wanted in zip(together, alone, strict=True):
        difference = np.abs(found.astype(int) - wanted.astype(int))
        assert difference.max() <= 1
        assert (difference > 0).mean() < 1e-3


def test_branches_of_one_context_do_not_feel_each_other(folder: Path) -> None:
    world = _world(folder)
    root = _walk(world.begin(), _frames(2))
    world.imagine([root], seeds=[0])
    words = ["left", "right, and then some more", "stay"]
    alone = [world.imagine([_walk(world.begin(), _frames(2)).say(word)], seeds=[5])[0] for word in words]
    for order in ([0, 1, 2], [2, 1, 0]):
        for number in order:
            (found,) = world.imagine([root.say(words[number])], seeds=[5])
            assert np.abs(found.astype(int) - alone[number].astype(int)).max() <= 1
    together = world.imagine([root.say(word) for word in words], seeds=[5, 5, 5])
    for found, wanted in zip(together, alone, strict=True):
        assert np.abs(found.astype(int) - wanted.astype(int)).max() <= 1


def test_guidance_at_scale_one_is_no_guidance(folder: Path) -> None:
    context, loaded = _frames(1)[0], load_folder(folder)
    plain = BagelWorld(loaded, sampling={"evaluations": 3})
    guided = BagelWorld(
        loaded, sampling={"evaluations": 3, "guidance": {"text_scale": 1.0, "image_scale": 5.0, "renorm": "channel"}}
    )
    off = BagelWorld(loaded, sampling={"evaluations": 3, "guidance": {"text_scale": 4.0, "interval": (0.0, 0.0)}})
    (wanted,) = plain.imagine([plain.observe(context).say("go")], seeds=[0])
    for world in (guided, off):
        np.testing.assert_array_equal(world.imagine([world.observe(context).say("go")], seeds=[0])[0], wanted)
    strong = BagelWorld(loaded, sampling={"evaluations": 3, "guidance": {"text_scale": 4.0}})
    assert not np.array_equal(strong.imagine([strong.observe(context).say("go")], seeds=[0])[0], wanted)
