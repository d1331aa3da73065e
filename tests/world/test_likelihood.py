"""What a small random checkpoint expects: P(yes), and the words after which a frame surprises it least."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from bagel_world import BagelWorld
from bagel_world.actions import goal_question
from bagel_world.errors import CapabilityError, ConfigError
from bagel_world.model.packing import to_tokens
from bagel_world.types import Frame
from bagel_world.world.context import Context
from bagel_world.world.generate import Canvas, generate_latents, latent_losses, next_logits
from bagel_world.world.likelihood import EVIDENCE, EVIDENCE_TIMES
from bagel_world.world.prefill import pixels_of
from tests.model.folder import write_folder, write_untaught

WORDS = ("go", "look to the left", "stay")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def world(folder: Path) -> BagelWorld:
    return BagelWorld.from_pretrained(folder, sampling={"evaluations": 2, "guidance": {"text_scale": 1.0}})


def picture(seed: int, size: tuple[int, int] = (32, 32)) -> Frame:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def contexts_of(world: BagelWorld) -> list[Context]:
    return [
        world.observe(picture(0)),
        world.observe(picture(1)).say("go").observe(picture(2)),
        world.observe(picture(3, (32, 64))),
    ]


GOALS = ["find the door", "Stand in the light.", "turn around!"]


def test_the_loss_at_pure_noise_is_that_of_the_samplers_first_velocity(world: BagelWorld) -> None:
    context = world.observe(picture(0)).say("go")
    with torch.inference_mode():
        (branch,) = world._prefill.fill([context])
        data = to_tokens(world.checkpoint.vae.encode(pixels_of([picture(5)], torch.device("cpu")))[0], 2)
        noise = torch.randn(data.shape, generator=torch.Generator().manual_seed(3))
        canvas = Canvas(noise=noise, grid=(2, 2), full=branch)
        steps: list[tuple[float, torch.Tensor, torch.Tensor]] = []
        generate_latents(world.checkpoint, [canvas], world.sampling, steps=steps)
        (loss,) = latent_losses(world.checkpoint, [canvas], [data], (1.0,))
        later = steps[1]
        (there,) = latent_losses(world.checkpoint, [canvas], [data], (later[0],))
        whole = latent_losses(world.checkpoint, [canvas], [data], (1.0, later[0]))
    assert loss.item() == pytest.approx((steps[0][2] - (noise - data)).square().mean().item(), rel=1e-5)
    assert whole.item() == pytest.approx((loss + there).item() / 2, rel=1e-5)


def test_chances_are_those_of_the_losses_with_common_noise(world: BagelWorld) -> None:
    context, frame = world.observe(picture(0)), picture(4)
    chances = world.explain([context], [frame], words=WORDS, seeds=[9])
    losses = []
    with torch.inference_mode():
        data = to_tokens(world.checkpoint.vae.encode(pixels_of([frame], torch.device("cpu")))[0], 2)
        noise = torch.randn(data.shape, generator=torch.Generator().manual_seed(9))
        for word in WORDS:
            (branch,) = world._prefill.fill([world.observe(picture(0)).say(word)])
            canvas = Canvas(noise=noise, grid=(2, 2), full=branch)
            losses.append(latent_losses(world.checkpoint, [canvas], [data], EVIDENCE_TIMES).item())
    expected = np.exp(-EVIDENCE * np.array(losses) / min(losses))
    np.testing.assert_allclose(chances[0], expected / expected.sum(), rtol=1e-3)


def test_explaining_many_equals_one_by_one(world: BagelWorld) -> None:
    frames = [picture(10), picture(11), picture(12, (32, 64))]
    together = world.explain(contexts_of(world), frames, words=WORDS, seeds=[1, 2, 3])
    assert together.shape == (3, 3)
    np.testing.assert_allclose(together.sum(-1), 1.0)
    for place, (context, frame, seed) in enumerate(zip(contexts_of(world), frames, [1, 2, 3], strict=True)):
        np.testing.assert_allclose(world.explain([context], [frame], words=WORDS, seeds=[seed])[0], together[place], rtol=1e-3)
    turned = world.explain(contexts_of(world)[:1], frames[:1], words=WORDS[::-1], seeds=[1])
    np.testing.assert_allclose(turned[0, ::-1], together[0], rtol=1e-3)
    assert not np.allclose(world.explain(contexts_of(world)[:1], frames[:1], words=WORDS, seeds=[7])[0], together[0], rtol=1e-3)


def test_one_word_is_certain_and_no_context_is_no_row(world: BagelWorld) -> None:
    assert world.explain([world.observe(picture(0))], [picture(1)], words=["go"], seeds=[0]).tolist() == [[1.0]]
    assert world.explain([], [], words=WORDS, seeds=[]).shape == (0, 3)


@pytest.mark.parametrize(("frames", "words", "seeds"), [(1, WORDS, [0, 1]), (2, (), [0, 1]), (2, WORDS, [0])])
def test_arguments_that_do_not_belong_together(world: BagelWorld, frames: int, words: tuple[str, ...], seeds: list[int]) -> None:
    with pytest.raises(ConfigError, match="Expected"):
        world.explain(contexts_of(world)[:2], [picture(9)] * frames, words=words, seeds=seeds)


@pytest.fixture
def swapped(world: BagelWorld) -> Iterator[None]:
    """The same model with "yes" and "no" exchanged in its output."""
    encode, head = world.checkpoint.tokenizer.encode, world.checkpoint.bagel.lm_head.weight
    pairs = [(encode(yes)[1], encode(no)[1]) for yes, no in (("yes", "no"), ("Yes", "No"))]
    before = head.detach().clone()
    for yes, no in pairs:
        head.data[[yes, no]] = before[[no, yes]]
    yield
    head.data.copy_(before)


@pytest.fixture
def judged(world: BagelWorld) -> list[float]:
    return world.judge(contexts_of(world), GOALS)


def test_exchanging_yes_and_no_turns_every_judgment_around(judged: list[float], swapped: None, world: BagelWorld) -> None:
    assert all(0 < chance < 1 for chance in judged)
    assert len({round(chance, 6) for chance in judged}) == 3
    assert world.judge(contexts_of(world), GOALS) == pytest.approx([1 - chance for chance in judged], abs=1e-5)


def test_judging_many_equals_one_by_one(judged: list[float], world: BagelWorld) -> None:
    alone = [world.judge([context], [goal])[0] for context, goal in zip(contexts_of(world), GOALS, strict=True)]
    assert alone == pytest.approx(judged, abs=1e-5)
    assert world.judge([], []) == []


def test_a_judgment_is_the_odds_of_the_first_token_of_the_answer(judged: list[float], world: BagelWorld) -> None:
    tokenizer, bagel = world.checkpoint.tokenizer, world.checkpoint.bagel
    asked = world.observe(picture(0)).say(goal_question(GOALS[0]))
    with torch.inference_mode():
        logits = next_logits(world.checkpoint, world._prefill.fill([asked]))[0]
    chances = torch.softmax(logits, dim=-1)
    yes, no = (sum(chances[tokenizer.encode(word)[1]].item() for word in words) for words in (("yes", "Yes"), ("no", "No")))
    assert logits.shape == (bagel.lm_head.out_features,)
    assert judged[0] == pytest.approx(yes / (yes + no), rel=1e-4)


def test_asking_changes_nothing_that_is_imagined_later(folder: Path) -> None:
    settings = {"sampling": {"evaluations": 2, "guidance": {"text_scale": 1.0}}, "context": {"see": "latents"}}
    frames = []
    for curious in (False, True):
        world = BagelWorld.from_pretrained(folder, **settings)
        context = world.observe(picture(0))
        shown = []
        for step in range(3):
            before, (context,) = context, world.advance([context.say("go")], seeds=[step])
            shown.append(context.frames[-1])
            if curious:
                world.judge([context], ["find the door"])
                world.explain([before], [context.frames[-1]], words=WORDS, seeds=[step])
        frames.append(np.stack(shown))
    np.testing.assert_array_equal(frames[0], frames[1])


def test_contexts_of_latents_show_the_judge_their_last_frame(folder: Path) -> None:
    world = BagelWorld.from_pretrained(folder, context={"see": "latents"})
    whole = BagelWorld.from_pretrained(folder, context={"see": "both"})
    assert world.judge([world.observe(picture(0))], GOALS[:1]) == pytest.approx(
        whole.judge([whole.observe(picture(0))], GOALS[:1]), abs=1e-5
    )


def test_who_cannot_write_cannot_judge(folder: Path, tmp_path: Path) -> None:
    world = BagelWorld.from_pretrained(write_untaught(folder, tmp_path / "silent", "write"))
    assert not world.can_write
    with pytest.raises(CapabilityError, match="nor judge"):
        world.judge([world.observe(picture(0))], ["find the door"])


def test_every_context_needs_a_goal(world: BagelWorld) -> None:
    with pytest.raises(ConfigError, match="one goal per context"):
        world.judge(contexts_of(world), GOALS[:2])
