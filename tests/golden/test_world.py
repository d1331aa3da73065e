"""The same goldens through the world room: contexts that observe and are told, and the loop that paints."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from langchain_core.messages import HumanMessage, SystemMessage
from torch import Tensor

from bagel_world.agents import ChatBagel
from bagel_world.agents.chat.messages import picture_block
from bagel_world.model import checkpoint, packing
from bagel_world.model.config import Transforms, WorldDefaults
from bagel_world.types import Thought
from bagel_world.world.context import Branch, Context
from bagel_world.world.generate import Canvas, generate_ids, generate_latents
from bagel_world.world.simulator import BagelWorld
from tests.golden import branches, cases
from tests.golden.cases import Case, Checker, covers
from tests.golden.driver import to_config

cases.folder()


@pytest.fixture(scope="module")
def loaded() -> checkpoint.Checkpoint:
    """The tiny checkpoint, with the image transforms its goldens were made with."""
    found = checkpoint.load(cases.checkpoint_folder(), device="cpu", dtype=torch.float32)
    transforms = Transforms(vae=branches.rule("vae_transform"), vit=branches.rule("vit_transform"))
    config = found.config.model_copy(update={"world": WorldDefaults(transforms=transforms)})
    return dataclasses.replace(found, config=config)


def _world(loaded: checkpoint.Checkpoint, settings: Any) -> BagelWorld:
    sampling = {
        "evaluations": settings["num_timesteps"] - 1,
        "shift": settings["timestep_shift"],
        "solver": "euler",
        "guidance": to_config(branches.guidance(settings)).model_dump(),
    }
    return BagelWorld(loaded, sampling=sampling, context={"see": "both"})


def _observe(world: BagelWorld, context: Context, frame: np.ndarray[Any, Any], noise: Tensor) -> Context:
    return context.append(dataclasses.replace(world._reader.seen(frame), noise=noise[0]))


@torch.inference_mode()
def _paint(world: BagelWorld, contexts: list[Context], noises: list[Tensor], grids: list[tuple[int, int]]) -> Any:
    """Canvases, latent tokens and steps of the next image of every context."""
    full, no_image = world._prefill.fill(contexts), world._prefill.fill(contexts, "no_image")
    canvases = [
        Canvas(noise=noise, grid=grid, full=whole, no_text=context.node.no_text, no_image=blind)
        for context, noise, grid, whole, blind in zip(contexts, noises, grids, full, no_image, strict=True)
    ]
    steps: list[tuple[float, Tensor, Tensor]] = []
    return canvases, generate_latents(world.checkpoint, canvases, world.sampling, steps=steps), steps


def _state(branch: Branch) -> dict[str, list[int]]:
    return {"kv_lens": [len(branch.cache)], "ropes": [branch.position]}


def _check_result(
    case: Case, check: Checker, world: BagelWorld, canvas: Canvas, tokens: Tensor, suffix: str = ""
) -> np.ndarray[Any, Any]:
    latents = packing.from_tokens(tokens, canvas.grid, world.checkpoint.config.latent_patch_size)[None]
    check("final_latent" + suffix, latents)
    with torch.inference_mode():
        check("decoded" + suffix, world.checkpoint.vae.decode(latents))
        (frame,) = world._paint([latents[0]])
    return frame


def _check_steps(check: Checker, steps: list[tuple[float, Tensor, Tensor]]) -> None:
    for place, name in enumerate(("step_t", "step_x", "step_v")):
        check(name, torch.stack([torch.as_tensor(step[place]) for step in steps]))


@covers("t2i")
def test_a_context_that_is_only_told(case: Case, loaded: checkpoint.Checkpoint) -> None:
    settings, check, world = case.settings, Checker(case), _world(loaded, case.settings)
    context = world.begin(settings["system_prompt"] if settings["think"] else None).say(settings["prompt"])
    if settings["think"]:
        writing = world.writing.model_copy(update={"max_tokens": settings["max_think_token_n"]})
        with torch.inference_mode():
            (ids,) = generate_ids(loaded, world._prefill.fill([context]), writing)
        # The published list begins with the begin mark and lacks the last token that was predicted.
        check("think_generated_ids", [loaded.tokenizer.begin, *ids][: settings["max_think_token_n"]])
        context = context.say(Thought(text=loaded.tokenizer.decode(ids[: settings["max_think_token_n"] - 1])))
        check("think_context_ids", context.events[-1].ids)  # type: ignore[union-attr]
    (canvas,), (tokens,), steps = _paint(world, [context], [case["init_noise"]], [branches.grid_of(case)])
    _check_steps(check, steps)
    check("image", _check_result(case, check, world, canvas, tokens))
    check.finish()


@covers("edit")
def test_a_context_that_sees_and_is_told(case: Case, loaded: checkpoint.Checkpoint) -> None:
    check, world = Checker(case), _world(loaded, case.settings)
    context = _observe(world, world.begin(), branches.frame(case), case["vae_noise"]).say(case.settings["instruction"])
    (canvas,), (tokens,), steps = _paint(world, [context], [case["init_noise"]], [branches.grid_of(case)])
    _check_steps(check, steps)
    check("image", _check_result(case, check, world, canvas, tokens))
    check.finish(beside=["vae_latent"])


@covers("vlm")
def test_an_answer(case: Case, loaded: checkpoint.Checkpoint) -> None:
    settings, world, frame = case.settings, BagelWorld(loaded, context={"see": "vit"}), branches.frame(case)
    seen = world._reader.seen(frame)
    if not settings["vae_resize_first"]:  # a world always resizes for the autoencoder first
        seen = dataclasses.replace(seen, frame=frame)
    context = world.begin(settings["system_prompt"]).append(seen).say(settings["question"])
    with torch.inference_mode():
        (branch,) = world._prefill.fill([context])
        writing = world.writing.model_copy(update={"max_tokens": settings["max_new_tokens"]})
        (ids,) = generate_ids(loaded, [branch], writing)
    assert _state(branch) == {"kv_lens": settings["kv_lens"], "ropes": settings["ropes"]}
    assert list(ids) == [each for each in case["greedy_tokens"].tolist() if each != loaded.tokenizer.end]
    assert loaded.tokenizer.decode(ids) == settings["greedy_text"]


@covers("vlm")
def test_an_answer_of_the_chat_model(case: Case, loaded: checkpoint.Checkpoint) -> None:
    settings = case.settings
    if not settings["vae_resize_first"]:
        pytest.skip("a world always resizes for the autoencoder first")
    model = ChatBagel(world=BagelWorld(loaded, context={"see": "vit"}), max_tokens=settings["max_new_tokens"])
    system = [SystemMessage(settings["system_prompt"])] if settings["system_prompt"] else []
    messages = [*system, HumanMessage([picture_block(branches.frame(case)), settings["question"]])]
    answer, chunks = model.invoke(messages), list(model.stream(messages))
    assert answer.content == "".join(str(chunk.content) for chunk in chunks) == settings["greedy_text"].strip()
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["input_tokens"] == settings["kv_lens"][0]
    assert answer.usage_metadata["output_tokens"] == len(chunks) - 1  # a chunk a token, and the closing one


@pytest.mark.parametrize("teacher", [True, False], ids=["teacher_forced", "free_running"])
@covers("interleaved")
def test_walking_through_a_world(case: Case, loaded: checkpoint.Checkpoint, teacher: bool) -> None:
    settings, world = case.settings, _world(loaded, case.settings)
    check = Checker(case, atol=case.tolerance["teacher_forced_atol" if teacher else "free_running_atol"])
    context, frame = world.begin(), branches.frame(case)
    # A second walk, one sentence longer, shares every batch and must not be felt.
    beside = world.begin("Somewhere else")
    for step, text in enumerate(settings["texts"]):
        context = _observe(world, context, frame, case[f"vae_noise_{step}"]).say(text)
        beside = _observe(world, beside, frame[::-1].copy(), case[f"vae_noise_{step}"]).say("turn around")
        grid, noise = branches.grid_of(case), case[f"init_noise_{step}"]
        canvases, tokens, steps = _paint(world, [context, beside], [noise, -noise], [grid, grid])
        found = {"full": canvases[0].full, "no_text": canvases[0].no_text, "no_image": canvases[0].no_image}
        assert {name: _state(branch) for name, branch in found.items()} == settings["contexts_at_generation"][step]
        check(f"step_v_{step}", torch.stack([velocity[: len(noise)] for _, _, velocity in steps]))
        frame = _check_result(case, check, world, canvases[0], tokens[0], f"_{step}")
        if teacher:
            check(f"image_{step}", frame)
            frame = case[f"image_{step}"].numpy()
    latents = {f"vae_latent_{step}" for step in range(settings["steps"])}
    check.finish(beside=latents if teacher else latents | {f"image_{step}" for step in range(settings["steps"])})
