"""What is trained on is what is asked: a lesson's segments are those that a world reads before it writes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from bagel_world import BagelWorld
from bagel_world.episodes.schema import encode_png
from bagel_world.model.checkpoint import packing_rules
from bagel_world.model.packing import LatentSegment, Segment, TextSegment, VitSegment, pack
from bagel_world.sims.captions import THINK_PROMPT
from bagel_world.sims.exercises import FORESIGHT, THOUGHT, Exercise
from bagel_world.sims.lesson_samples import to_sample
from bagel_world.sims.lessons import Lesson, Place
from bagel_world.training.data.encoder import ImageEncoder
from bagel_world.training.data.segments import SegmentConfig, Segmenter
from bagel_world.world.context import Context
from tests.model.folder import write_folder

FRAMES = [np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8) for seed in range(3)]
PICTURES = {Place(0, 0, place): encode_png(frame) for place, frame in enumerate(FRAMES)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> BagelWorld:
    folder = write_folder(tmp_path_factory.mktemp("tiny"))
    world = BagelWorld.from_pretrained(folder, context={"see": "latents"}, writing={"max_tokens": 1})
    settings = world.checkpoint.config.world
    own = settings.model_copy(update={"prompts": {"answer": THINK_PROMPT, "imagine": THINK_PROMPT}})
    world.checkpoint = replace(world.checkpoint, config=world.checkpoint.config.model_copy(update={"world": own}))
    return world


def lesson(kind: str, question: str, answer: str, *before: str) -> Lesson:
    exercise = Exercise(kind=kind, question=question, answer=answer, group=answer, mentions=frozenset())
    names = {"episode_id": "walk", "source": "tests", "split": "test", "scene": "house 0"}
    return Lesson(place=Place(0, 0, 2), before=before, exercises=(exercise,), **names)


def trained(world: BagelWorld, asked: Lesson) -> list[Segment]:
    """The segments that the trainer makes of a lesson."""
    checkpoint = world.checkpoint
    encoder = ImageEncoder(checkpoint.vae, checkpoint.config)
    rules = packing_rules(checkpoint.config, checkpoint.tokenizer)
    segmenter = Segmenter(checkpoint.tokenizer, encoder, rules, SegmentConfig(vae_dropout=1, vit_dropout=1, text_dropout=1))
    return segmenter(to_sample(asked, PICTURES, license="CC0-1.0"), np.random.default_rng(0)).segments


def walked(world: BagelWorld, before: tuple[str, ...]) -> Context:
    first, *rest = FRAMES[2 - len(before) :]
    context = world.observe(first)
    for action, frame in zip(before, rest, strict=True):
        context = context.say(action).observe(frame)
    return context


def read(world: BagelWorld, context: Context) -> list[Segment]:
    """The segments that a world reads of a context."""
    nodes, node = [], context.node
    while node.parent is not None:
        nodes.append(node)
        node = node.parent
    world._prefill.fill([context])
    return [segment for each in reversed(nodes) for segment in world._prefill._segments(each)]


def outline(world: BagelWorld, segments: list[Segment]) -> list[Any]:
    """What a segment is, without the sampling noise of latents; and the position it stands at."""
    rules = packing_rules(world.checkpoint.config, world.checkpoint.tokenizer)
    positions = [position for _, position in pack([segments], rules, device=torch.device("cpu")).layouts[0]]
    parts: list[Any] = []
    for segment in segments:
        match segment:
            case TextSegment(ids=ids):
                parts.append(ids)
            case LatentSegment(grid=grid, noised=noised):
                parts.append(("latents", grid, noised))
            case VitSegment(pixels=pixels):
                parts.append(("vit", pixels.shape, round(float(pixels.double().sum()), 4)))
            case _:
                parts.append(segment)
    return list(zip(parts, positions, strict=True))


@pytest.mark.parametrize("before", [(), ("Look left", "Move forward")])
@pytest.mark.parametrize("thinks", [False, True])
def test_a_lesson_reads_as_what_a_world_is_asked(
    world: BagelWorld, before: tuple[str, ...], thinks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = "Find the duck." if thinks else "Which object is ahead?"
    answer = "<think>The duck is ahead.</think>Stay" if thinks else "duck"
    asked: list[Context] = []
    written = world._written
    monkeypatch.setattr(world, "_written", lambda contexts, seeds: asked.extend(contexts) or written(contexts, seeds))
    world.ask(walked(world, before), question, think=thinks)
    *shown, said = trained(world, lesson(THOUGHT if thinks else "ahead", question, answer, *before))
    assert isinstance(said, TextSegment)
    assert said.loss
    assert said.ids == world.checkpoint.tokenizer.encode(answer)
    assert outline(world, shown) == outline(world, read(world, asked[0]))
    assert len(shown) == 3 + thinks + 2 * len(before)


@pytest.mark.parametrize("before", [(), ("Look left", "Move forward")])
def test_a_foresight_reads_as_what_think_mode_writes_behind(
    world: BagelWorld, before: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = "<think>The duck will be ahead.</think>"
    asked: list[Context] = []
    written = world._written
    monkeypatch.setattr(world, "_written", lambda contexts, seeds: asked.extend(contexts) or written(contexts, seeds))
    world.think([walked(world, before).say("Look right")], seeds=[0])
    *shown, said = trained(world, lesson(FORESIGHT, "Look right", answer, *before))
    assert isinstance(said, TextSegment)
    assert said.loss
    assert said.ids == world.checkpoint.tokenizer.encode(answer)
    assert outline(world, shown) == outline(world, read(world, asked[0]))


def test_the_check_sees_another_question_and_another_picture(world: BagelWorld) -> None:
    ours = outline(world, trained(world, lesson("ahead", "Which object is ahead?", "duck"))[:-1])
    assert ours != outline(world, trained(world, lesson("ahead", "Which object is behind?", "duck"))[:-1])
    assert ours != outline(world, read(world, world.observe(FRAMES[1]).say("Which object is ahead?")))
