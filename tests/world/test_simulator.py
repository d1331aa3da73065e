"""BagelWorld on a small random checkpoint: contexts as values, batches, seeds, states, guidance, errors."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bagel_world import BagelWorld
from bagel_world.errors import (
    ActionError,
    CapabilityError,
    CheckpointError,
    ConfigError,
    DeviceError,
    ImageError,
    OutputError,
    StateError,
    UnknownNameError,
)
from bagel_world.model.bagel import Bagel
from bagel_world.types import Frame, Thought
from bagel_world.world.context import Context, Seen
from bagel_world.world.fake import FakeWorld
from bagel_world.world.prefill import Prefill
from tests.model.folder import load_folder, write_folder, write_untaught

QUICK: dict[str, Any] = {"evaluations": 3}
GUIDED: dict[str, Any] = {"evaluations": 3, "shift": 1.0, "guidance": {"text_scale": 3.0, "image_scale": 1.5}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def world(folder: Path) -> BagelWorld:
    return BagelWorld.from_pretrained(folder, sampling=QUICK)


def picture(seed: int) -> Frame:
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def grow(world: BagelWorld, events: Sequence[int | str | Thought]) -> Context:
    """A context of pictures (by seed) and texts."""
    context = world.begin()
    for event in events:
        context = context.observe(picture(event)) if isinstance(event, int) else context.say(event)
    return context


def watch_reading(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[int]]:
    """Grows with every pass in which a model reads: the tokens of each row."""
    read: list[Sequence[int]] = []
    remember = Bagel.remember

    def spy(self: Bagel, packed: Any, space: Any) -> None:
        read.append(packed.lengths)
        remember(self, packed, space)

    monkeypatch.setattr(Bagel, "remember", spy)
    return read


def watch_filling(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Sequence[Context], str]]:
    """Grows whenever branches of contexts are computed: which contexts, and the name of the branch."""
    filled: list[tuple[Sequence[Context], str]] = []
    fill = Prefill.fill

    def spy(self: Prefill, contexts: Sequence[Context], name: Any = "full") -> Any:
        filled.append((contexts, name))
        return fill(self, contexts, name)

    monkeypatch.setattr(Prefill, "fill", spy)
    return filled


def levels_apart(one: Sequence[Frame], other: Sequence[Frame]) -> tuple[int, float]:
    """The largest difference in levels, and the share of values that differ at all."""
    differences = [np.abs(a.astype(int) - b.astype(int)) for a, b in zip(one, other, strict=True)]
    return max(int(each.max()) for each in differences), float(np.mean([(each > 0).mean() for each in differences]))


def same(one: Sequence[Frame], other: Sequence[Frame]) -> bool:
    apart, share = levels_apart(one, other)
    return apart <= 1 and share <= 1e-3


def different(one: Frame, other: Frame) -> bool:
    return not same([one], [other])


HISTORIES: list[list[int | str | Thought]] = [
    [0, "go"],
    [0, "go", 1, "look"],
    [2, Thought(text="hm"), "go", 3, "on"],
    ["a cat"],
    [0],
]

SEEDS = [1, 2, 3, 4, 5]


@pytest.mark.parametrize("sampling", [QUICK, GUIDED, {"evaluations": 4, "solver": "ab2"}])
def test_a_batch_of_worlds_equals_each_alone(folder: Path, sampling: dict[str, Any]) -> None:
    world = BagelWorld.from_pretrained(folder, sampling=sampling)
    together = world.imagine([grow(world, history) for history in HISTORIES], seeds=SEEDS)
    alone = [world.imagine([grow(world, history)], seeds=[seed])[0] for history, seed in zip(HISTORIES, SEEDS, strict=True)]
    assert same(together, alone)


def test_a_context_that_was_computed_step_by_step_equals_one_computed_at_once(world: BagelWorld) -> None:
    context = world.begin()
    for place in range(3):
        context = context.observe(picture(place)).say("go")
        world.imagine([context], seeds=[0])
    assert same(world.imagine([context], seeds=[7]), world.imagine([grow(world, [0, "go", 1, "go", 2, "go"])], seeds=[7]))


@pytest.mark.parametrize("first", [0, 1])
def test_forks_of_one_past_are_two_separate_histories(world: BagelWorld, first: int) -> None:
    past = grow(world, [0, "go", 1])
    branches = [past.say("left"), past.fork().say("a longer way to the right")]
    frames: dict[int, Frame] = {}
    for branch in (first, 1 - first):
        frames[branch] = world.imagine([branches[branch]], seeds=[5])[0]
    again = [grow(world, [0, "go", 1, "left"]), grow(world, [0, "go", 1, "a longer way to the right"])]
    assert same([frames[0], frames[1]], [world.imagine([each], seeds=[5])[0] for each in again])
    assert different(frames[0], frames[1])
    assert same(world.imagine(branches, seeds=[5, 5]), [frames[0], frames[1]])


def test_seeds_decide_and_nothing_else(world: BagelWorld) -> None:
    context = grow(world, [0, "go"])
    first = world.imagine([context], seeds=[3])[0]
    torch.manual_seed(99)
    world.imagine([grow(world, [1, "go"])], seeds=[8])
    np.testing.assert_array_equal(world.imagine([context], seeds=[3])[0], first)
    assert different(world.imagine([context], seeds=[4])[0], first)


def test_every_event_matters(world: BagelWorld) -> None:
    base = world.imagine([grow(world, [0, "go", 1, "on"])], seeds=[0])[0]
    for history in ([2, "go", 1, "on"], [0, "stay", 1, "on"], [0, "go", 2, "on"], [0, "go", 1, "off"], [1, "on"]):
        assert different(world.imagine([grow(world, history)], seeds=[0])[0], base), history


def test_advancing_is_imagining_and_seeing(world: BagelWorld) -> None:
    contexts = [grow(world, [0, "go"]), grow(world, [1, "go", 2, "on"])]
    frames = world.imagine(contexts, seeds=[3, 4])
    advanced = world.advance(contexts, seeds=[3, 4])
    assert same([each.frames[-1] for each in advanced], frames)
    seen = [context.observe(frame) for context, frame in zip(contexts, frames, strict=True)]
    then = [[each.say("on") for each in either] for either in (advanced, seen)]
    assert same(world.imagine(then[0], seeds=[5, 6]), world.imagine(then[1], seeds=[5, 6])), "imagined frames are encoded again"


@pytest.fixture(scope="module")
def reusing(folder: Path) -> BagelWorld:
    return BagelWorld.from_pretrained(
        folder, sampling=QUICK, context={"reuse_latents": True, "see": "latents", "max_frames": 3, "keep_frames": 2}
    )


def test_reused_latents_are_those_of_the_painted_frame(reusing: BagelWorld) -> None:
    (context,) = reusing.advance([grow(reusing, [0, "go"])], seeds=[1])
    event = context.events[-1]
    assert isinstance(event, Seen)
    assert event.latents is not None
    assert torch.equal(event.latents, event.latents.half().float())
    with torch.inference_mode():
        (painted,) = reusing._paint([event.latents])
    assert levels_apart([painted], [event.frame])[0] <= 1
    (other,) = reusing.advance([context.say("on")], seeds=[2])
    (encoded,) = reusing.advance([grow(reusing, [0, "go"]).observe(event.frame).say("on")], seeds=[2])
    assert different(other.frames[-1], encoded.frames[-1])


def test_a_restored_world_with_reused_latents_goes_on_bit_for_bit(reusing: BagelWorld, folder: Path) -> None:
    context = grow(reusing, [0, "go"])
    for step in range(4):  # past an eviction
        (context,) = reusing.advance([context], seeds=[step])
        context = context.say("go")
    state = context.get_state()
    again = BagelWorld.from_pretrained(folder, sampling=QUICK, context=reusing.context_settings.model_dump()).restore(state)
    for step in range(3):
        after = [world_context.say("on") for world_context in (context, again)]
        (context,), (again,) = (reusing.advance([each], seeds=[10 + step]) for each in after)
        np.testing.assert_array_equal(context.frames[-1], again.frames[-1])


def test_a_thought_enters_the_full_branch_only(folder: Path) -> None:
    world = BagelWorld.from_pretrained(folder, sampling=GUIDED)
    silent, thinking = grow(world, [0, "go"]), grow(world, [0, "go", Thought(text="slowly")])
    world.imagine([silent, thinking], seeds=[0, 0])
    assert thinking.node.full is not None
    assert silent.node.full is not None
    assert len(thinking.node.full.cache) > len(silent.node.full.cache)
    assert len(thinking.node.no_text.cache) == len(silent.node.no_text.cache)
    assert thinking.node.no_image is not None
    assert silent.node.no_image is not None
    assert len(thinking.node.no_image.cache) == len(silent.node.no_image.cache)


def test_old_frames_leave_and_the_rest_is_as_if_they_had_never_been(folder: Path) -> None:
    world = BagelWorld.from_pretrained(folder, sampling=QUICK, context={"max_frames": 3, "keep_frames": 2})
    context = world.begin()
    for place in range(4):
        context = context.observe(picture(place)).say(f"go {place}")
        world.imagine([context], seeds=[0])
    assert (len(context.frames), context.dropped_frames) == (2, 2)
    np.testing.assert_array_equal(context.frames, [picture(2), picture(3)])
    fresh = grow(world, [2, "go 2", 3, "go 3"])
    assert context.tokens == fresh.tokens
    assert same(world.imagine([context], seeds=[1]), world.imagine([fresh], seeds=[1]))


def test_sinks_stay(folder: Path) -> None:
    world = BagelWorld.from_pretrained(folder, sampling=QUICK, context={"max_frames": 3, "keep_frames": 3, "sinks": 1})
    context = grow(world, [0, "a", 1, "b", 2, "c", 3, "d"])
    np.testing.assert_array_equal(context.frames, [picture(0), picture(2), picture(3)])


def test_tokens_are_those_of_the_cache(folder: Path) -> None:
    for see in ("latents", "vit", "both"):
        world = BagelWorld.from_pretrained(folder, sampling=QUICK, context={"see": see})
        context = grow(world, [0, "go", Thought(text="hm"), 1, "on"])
        world.imagine([context], seeds=[0])
        assert context.node.full is not None
        assert context.tokens == len(context.node.full.cache), see


def test_a_restored_context_imagines_the_same_bits(world: BagelWorld) -> None:
    context = world.begin("You dream.")
    for place in range(3):
        context = context.observe(picture(place)).say("go")
        world.imagine([context], seeds=[place])
    context = context.observe(picture(9)).say("on")
    restored = world.restore(context.get_state())
    assert restored.get_state().keys() == context.get_state().keys()
    np.testing.assert_array_equal(world.imagine([restored], seeds=[4])[0], world.imagine([context], seeds=[4])[0])


def count_runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The events of every run that the model reads from now on."""
    runs: list[int] = []
    run = Prefill._run

    def counted(self: Prefill, batch: Any, name: Any) -> None:
        runs.extend(len(each) for each in batch)
        run(self, batch, name)

    monkeypatch.setattr(Prefill, "_run", counted)
    return runs


def test_what_is_still_at_hand_is_not_read_again(world: BagelWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    past = grow(world, [0, "go", 1])
    world.imagine([past], seeds=[0])
    context = past.say("go").observe(picture(2))  # its end is not read yet
    state = context.get_state()
    onward = context.say("left")
    expected = world.imagine([onward], seeds=[1])[0]
    runs = count_runs(monkeypatch)
    restored = world.restore(state)
    np.testing.assert_array_equal(world.imagine([restored.say("left")], seeds=[1])[0], expected)
    assert runs == [3]  # what was said, seen and said since the last reading
    other = world.imagine([world.restore(state).say("right")], seeds=[1])[0]
    assert onward.frames  # somebody still goes on from there
    del past, context, onward, restored
    gc.collect()
    runs.clear()
    again = world.imagine([world.restore(state).say("right")], seeds=[1])[0]
    assert sum(runs) == 6
    np.testing.assert_array_equal(again, other)


def test_a_state_keeps_the_noise_that_sampled_a_frame(world: BagelWorld) -> None:
    context = world.observe(picture(0), generator=torch.Generator().manual_seed(1)).say("go")
    frame = world.imagine([context], seeds=[0])[0]
    np.testing.assert_array_equal(world.imagine([world.restore(context.get_state())], seeds=[0])[0], frame)
    assert different(world.imagine([grow(world, [0, "go"])], seeds=[0])[0], frame)


def test_a_foreign_state_is_refused(world: BagelWorld) -> None:
    state = grow(world, [0, "go"]).get_state()
    for spoiled in ({}, {**state, "cuts": [False]}, {**state, "frame0": np.zeros(4, np.uint8)}):
        with pytest.raises(StateError, match="not the state of a context"):
            world.restore(spoiled)


@pytest.mark.parametrize(("text_scale", "image_scale", "paid"), [(3.0, 2.0, 3), (3.0, 1.0, 2), (None, 2.0, 2), (1.0, 2.0, 1)])
def test_guidance_is_not_paid_outside_its_interval(
    folder: Path, text_scale: float | None, image_scale: float, paid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    guidance = {"text_scale": text_scale, "image_scale": image_scale, "interval": (0.4, 0.8)}
    world = BagelWorld.from_pretrained(folder, sampling={"evaluations": 10, "shift": 1.0, "guidance": guidance})
    context, rows = grow(world, [0, "go"]), []
    velocity = Bagel.velocity

    def counted(self: Bagel, packed: Any, *arguments: Any, **settings: Any) -> torch.Tensor:
        rows.append(len(packed.layouts))
        return velocity(self, packed, *arguments, **settings)

    monkeypatch.setattr(Bagel, "velocity", counted)
    world.imagine([context], seeds=[0])
    assert rows == [1, 1, *[paid] * 4, 1, 1, 1, 1]  # t = 1.0, 0.9, then (0.4, 0.8], then 0.4 ... 0.1


def test_a_past_without_images_is_read_only_where_it_guides(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled = watch_filling(monkeypatch)
    for text_scale, wanted in ((1.0, ["full"]), (None, ["full", "no_image"])):
        guidance = {"text_scale": text_scale, "image_scale": 2.0}
        world = BagelWorld.from_pretrained(folder, sampling={**QUICK, "guidance": guidance})
        filled.clear()
        world.imagine([grow(world, [0, "go"])], seeds=[0])
        assert [name for _, name in filled] == wanted


def test_frames_guided_by_images_alone_are_those_of_a_text_that_hardly_guides(folder: Path) -> None:
    def imagined(text_scale: float | None, image_scale: float) -> list[Frame]:
        guidance = {"text_scale": text_scale, "image_scale": image_scale, "renorm_min": 1.0}
        world = BagelWorld.from_pretrained(folder, sampling={**QUICK, "guidance": guidance})
        contexts = [grow(world, [number, "go", number + 1, "on"]) for number in range(2)]
        return world.imagine(contexts, seeds=[0, 1])

    alone = imagined(None, 4.0)
    assert same(alone, imagined(1 + 1e-6, 4.0))
    assert not same(alone, imagined(1.0, 4.0))


def test_asking_leaves_the_context_as_it_was(world: BagelWorld) -> None:
    context = grow(world, [0, "go"])
    before = world.imagine([context], seeds=[0])[0]
    assert world.ask(context, "What is left?") == world.ask(context, "What is left?")
    np.testing.assert_array_equal(world.imagine([context], seeds=[0])[0], before)


@pytest.mark.parametrize("think", [False, True])
def test_what_was_asked_before_a_frame_changes_no_bit_of_it(folder: Path, think: bool) -> None:
    world = BagelWorld.from_pretrained(folder, sampling=QUICK, context={"see": "latents"}, writing={"max_tokens": 3})
    asked, silent = (world.begin(think=think).observe(picture(0)).say("go").observe(picture(1)).say("on") for _ in range(2))
    world.ask(asked, "What is left?", think=think)
    world.think([asked], seeds=[0])
    world.judge([asked], ["a cat"])
    after, untouched = (world.advance([each], seeds=[0])[0] for each in (asked, silent))
    np.testing.assert_array_equal(after.frames[-1], untouched.frames[-1])
    assert after.get_state().keys() == untouched.get_state().keys()
    assert after.get_state()["cuts"] == untouched.get_state()["cuts"]


def test_asking_a_full_context_shows_the_model_all_of_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = BagelWorld.from_pretrained(folder, context={"see": "latents", "max_frames": 2, "keep_frames": 1})
    context = grow(world, [0, "go", 1, "on"])
    filled = watch_filling(monkeypatch)
    world.ask(context, "What is left?")
    asked = filled[0][0][0]
    events = asked.events
    assert [event.see if isinstance(event, Seen) else event.text for event in events] == [
        "latents", "go", "latents", "on", "vit", "What is left?",
    ]  # fmt: skip
    assert asked.dropped_frames == 0


def test_questions_about_contexts_with_one_unread_past_read_it_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = BagelWorld.from_pretrained(folder, context={"see": "latents"}, writing={"max_tokens": 2})
    past = grow(world, [0, "go", 1])
    read = watch_reading(monkeypatch)
    world.ask_many([past.say("left"), past.say("right")], ["What?", "What?"])
    assert len(read[0]) == 1
    assert past.node.full is None, "the past itself stays unread"


def test_a_thought_without_words_is_no_error(world: BagelWorld) -> None:
    context = grow(world, [0, "go"])
    assert context.say(Thought(text=" ")) is context
    with pytest.raises(ActionError, match="words"):
        context.say(" ")


def test_the_thinking_prompt_opens_in_front_of_any_other(folder: Path) -> None:
    own = {"answer": "Answer well.", "imagine": "Imagine well."}
    settings = json.loads((folder / "bagel_world.json").read_text())
    other = shutil.copytree(folder, folder.with_name("prompted"), dirs_exist_ok=True)
    (other / "bagel_world.json").write_text(json.dumps({**settings, "prompts": own}))
    world = BagelWorld.from_pretrained(other)
    prompts = [world.begin(*given, think=True).prompt for given in ((), ("A house.",))]
    assert [each.text for each in prompts if each] == ["Imagine well.", "Imagine well.\n\nA house."]
    begun = world.begin("A house.").observe(picture(0))
    opened = world._opened(begun, "answer")
    assert opened.prompt is not None
    assert opened.prompt.text == "Answer well.\n\nA house."
    assert world._opened(opened, "answer") is opened
    turned = world._opened(opened, "imagine")
    assert turned.prompt is not None
    assert turned.prompt.text == "Imagine well.\n\nA house."


def test_a_walk_with_thoughts_pays_for_its_own_tokens_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = BagelWorld.from_pretrained(folder, sampling=QUICK, writing={"max_tokens": 2})
    context = world.begin(think=True).observe(picture(0))
    read = watch_reading(monkeypatch)
    costs = []
    for step in range(4):
        read.clear()
        context = context.say("go")
        world.think([context], seeds=[step])
        (context,) = world.advance([context], seeds=[step])
        costs.append(sum(map(sum, read)))
    assert costs[1:] == [costs[1]] * 3


def test_frames_of_a_context_cannot_be_painted_over(world: BagelWorld) -> None:
    mine = picture(0)
    context = world.observe(mine).say("go")
    (context,) = world.advance([context], seeds=[0])
    for frame in context.frames:
        with pytest.raises(ValueError, match="read-only"):
            frame[:] = 0
    mine[:] = 0
    assert context.frames[0].any()


def test_what_was_said_before_the_first_frame_stays_when_frames_leave(folder: Path) -> None:
    for world in (BagelWorld.from_pretrained(folder, context={"max_frames": 2, "keep_frames": 1}), FakeWorld(max_frames=2)):
        context: Any = world.begin().say("You are in a house.")
        for place in range(4):
            context = context.observe(np.full((64, 64, 3), place, np.uint8)).say("go")
        assert context.dropped_frames
        first = context.items[0] if isinstance(world, FakeWorld) else context.events[0].text
        assert first == "You are in a house."


def test_a_checkpoint_that_was_not_taught_to_imagine_says_so(folder: Path, tmp_path: Path) -> None:
    world = BagelWorld.from_pretrained(write_untaught(folder, tmp_path / "blind", "imagine"))
    context = grow(world, [0, "go"])
    for call in (world.imagine, world.advance):
        with pytest.raises(CapabilityError, match="not to imagine"):
            call([context], seeds=[0])
    with pytest.raises(CapabilityError, match="not to imagine"):
        world.explain([context], [picture(1)], words=["go"], seeds=[0])


def test_settings_beside_the_weights_are_read_again_when_they_change(folder: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(folder, tmp_path / "changed")
    first = BagelWorld.from_pretrained(changed)
    assert BagelWorld.from_pretrained(changed).checkpoint is first.checkpoint
    assert BagelWorld.from_pretrained(changed, device="cpu:0").checkpoint is first.checkpoint
    settings = json.loads((changed / "bagel_world.json").read_text())
    (changed / "bagel_world.json").write_text(json.dumps({**settings, "context": {"max_frames": 9}}))
    assert BagelWorld.from_pretrained(changed).context_settings.max_frames == 9


def test_similarity_takes_arrays_of_frames_and_refuses_other_shapes(world: BagelWorld) -> None:
    frames = np.stack([picture(0), picture(1)])
    assert world.similarity(frames, frames) == pytest.approx([1.0, 1.0], abs=1e-4)
    with pytest.raises(ImageError, match="one size"):
        world.similarity([picture(0)], [np.zeros((32, 64, 3), np.uint8)])


@pytest.mark.parametrize("seed", [-1, 2**63, 2**70])
def test_any_whole_number_is_a_seed(world: BagelWorld, seed: int) -> None:
    assert world.imagine([grow(world, [0, "go"])], seeds=[seed])


def test_text_that_cannot_be_written_is_refused(world: BagelWorld) -> None:
    with pytest.raises(ActionError, match="UTF-8"):
        world.begin().say("\ud800 go")


@pytest.mark.parametrize(
    "sampling", [{"shift": float("inf")}, {"guidance": {"interval": (0.9, 0.1)}}, {"guidance": {"interval": (0.1, float("nan"))}}]
)
def test_sampling_that_means_nothing_is_refused(folder: Path, sampling: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="SamplingConfig"):
        BagelWorld.from_pretrained(folder, sampling=sampling)


def test_sampling_settings_that_are_no_presets_are_refused(folder: Path, tmp_path: Path) -> None:
    loose = shutil.copytree(folder, tmp_path / "loose")
    settings = json.loads((loose / "bagel_world.json").read_text())
    (loose / "bagel_world.json").write_text(json.dumps({**settings, "sampling": {"evaluations": 5}}))
    with pytest.raises(CheckpointError, match=r"sampling\.evaluations"):
        BagelWorld.from_pretrained(loose)


def test_texts_in_a_batch_are_those_written_alone(folder: Path) -> None:
    world = BagelWorld.from_pretrained(folder, writing={"max_tokens": 5, "temperature": 0.7})
    contexts = [grow(world, history) for history in HISTORIES]
    together = world.think(contexts, seeds=SEEDS)
    assert together == [world.think([context], seeds=[seed])[0] for context, seed in zip(contexts, SEEDS, strict=True)]
    assert together != world.think(contexts, seeds=[6, 7, 8, 9, 10])


def test_a_checkpoint_that_was_not_taught_to_write_says_so(folder: Path, tmp_path: Path) -> None:
    world = BagelWorld.from_pretrained(write_untaught(folder, tmp_path / "silent", "write"))
    with pytest.raises(CapabilityError, match="not to write"):
        world.ask(grow(world, [0]), "What is left?")


def test_equal_frames_are_fully_similar(world: BagelWorld) -> None:
    equal, other = world.similarity([picture(0), picture(0)], [picture(0), picture(1)])
    assert equal == pytest.approx(1.0, abs=1e-6)
    assert other < 0.9999


def test_worlds_of_one_checkpoint_share_their_weights(folder: Path) -> None:
    assert BagelWorld.from_pretrained(folder).checkpoint is BagelWorld.from_pretrained(folder, sampling=QUICK).checkpoint


@pytest.mark.parametrize(
    ("call", "error", "what"),
    [
        (lambda world: world.observe(np.full((4, 4, 3), np.nan)), ImageError, "finite"),
        (lambda world: world.observe("/no/such/picture.png"), ImageError, "picture.png"),
        (lambda world: world.begin().say("  "), ActionError, "empty"),
        (lambda world: world.begin().say(3), ActionError, "int"),
        (lambda world: world.begin().say("go " * 100_000), ActionError, "300000 characters"),
        (lambda world: world.imagine([world.begin()], seeds=[]), ConfigError, "one seed per context"),
    ],
)
def test_bad_input_is_a_sentence_and_the_world_goes_on(world: BagelWorld, call: Any, error: type[Exception], what: str) -> None:
    context = grow(world, [0, "go"])
    before = world.imagine([context], seeds=[0])[0]
    with pytest.raises(error, match=what):
        call(world)
    np.testing.assert_array_equal(world.imagine([context], seeds=[0])[0], before)


@pytest.mark.parametrize(
    ("settings", "error", "what"),
    [
        ({"name": "nanno"}, UnknownNameError, "no checkpoint 'nanno'"),
        ({"sampling": "exakt"}, UnknownNameError, "Did you mean 'exact'"),
        ({"sampling": {"evaluation": 3}}, ConfigError, "Did you mean 'evaluations'"),
        ({"sampling": {"evaluations": 0}}, ConfigError, "evaluations"),
        ({"context": {"max_frames": 2, "keep_frames": 3}}, ConfigError, "keep_frames"),
        ({"dtype": "float8"}, UnknownNameError, "float8"),
        ({"device": "gpu"}, DeviceError, "gpu"),
    ],
)
def test_settings_that_cannot_be_are_refused(folder: Path, settings: dict[str, Any], error: type[Exception], what: str) -> None:
    with pytest.raises(error, match=what):
        BagelWorld.from_pretrained(**{"name": folder, **settings})


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_without_cuda_is_a_sentence(folder: Path) -> None:
    with pytest.raises(DeviceError, match="no CUDA"):
        BagelWorld.from_pretrained(folder, device="cuda")


def test_a_file_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"")
    with pytest.raises(CheckpointError, match="found a file"):
        BagelWorld.from_pretrained(tmp_path / "weights.bin")


def test_a_context_of_another_world_is_refused_and_stays_as_it_was(world: BagelWorld, tmp_path: Path) -> None:
    context = grow(world, [1, "Look left"])
    before = world.imagine([context], seeds=[3])[0]
    other = BagelWorld.from_pretrained(write_folder(tmp_path / "other"), sampling=QUICK)
    fresh = grow(world, [1, "Look left"])
    for call in (other.imagine, other.advance):
        with pytest.raises(ConfigError, match="got one of another world"):
            call([fresh], seeds=[3])
    np.testing.assert_array_equal(world.imagine([fresh], seeds=[3])[0], before)
    fake = FakeWorld(frame_size=(32, 32))
    with pytest.raises(ConfigError, match="got one of another world"):
        world.imagine([fake.observe(picture(1))], seeds=[0])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="got one of another world"):
        fake.imagine([context], seeds=[0])
    with pytest.raises(ConfigError, match="got one of another world"):
        fake.explain([context], [picture(1)], words=["Stay"], seeds=[0])


def test_a_context_of_weights_that_were_overwritten_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "world", seed=0)
    old = BagelWorld.from_pretrained(folder, sampling=QUICK)
    context = grow(old, [1, "Look left"])
    before = old.imagine([context], seeds=[0])[0]
    old_weights = load_folder(folder).fingerprint
    write_folder(folder, seed=7)
    new = BagelWorld.from_pretrained(folder, sampling=QUICK)
    with pytest.raises(ConfigError, match="got one of another world"):
        new.imagine([context], seeds=[0])
    np.testing.assert_array_equal(old.imagine([context], seeds=[0])[0], before)
    with pytest.raises(CheckpointError, match="not those that were loaded"):
        _ = old.checkpoint.fingerprint
    assert new.checkpoint.fingerprint != old_weights


def test_a_context_of_another_precision_is_refused(folder: Path) -> None:
    coarse, fine = (BagelWorld.from_pretrained(folder, sampling=QUICK, dtype=each) for each in ("bfloat16", "float32"))
    with pytest.raises(ConfigError, match="got one of another world"):
        fine.imagine([grow(coarse, [1, "go"])], seeds=[0])


@pytest.mark.parametrize("strange", [None, "a context", FakeWorld(frame_size=(32, 32)).begin()])
def test_whoever_speaks_or_explains_is_told_what_is_no_context(world: BagelWorld, strange: Any) -> None:
    for call in (
        lambda: world.ask(strange, "what?"),
        lambda: world.ask(strange, "what?", think=True),
        lambda: world.think([strange], seeds=[0]),
        lambda: world.judge([strange], ["go"]),
        lambda: list(world.write([strange], seeds=[0])),
        lambda: world.explain([strange], [picture(1)], words=["Stay"], seeds=[0]),
    ):
        with pytest.raises(ConfigError, match="got one of another world"):
            call()


def test_lists_are_lists_and_texts_are_texts(world: BagelWorld) -> None:
    context: Any = grow(world, [1])
    for call, said in (
        (lambda: world.ask_many(context, ["x"]), "list of contexts"),
        (lambda: world.ask_many([context], "x"), "list of questions"),
        (lambda: world.judge(context, ["go"]), "list of contexts"),
        (lambda: world.judge([context], "go"), "list of goals"),
        (lambda: world.judge([world.begin()], ["go"]), "at least one frame"),
        (lambda: world.write([context], seeds=[0], starts="a"), "list of starts"),
        (lambda: world.write([context], seeds=[0], starts=["a", "b"]), "text to begin with per context"),
        (lambda: world.write([context], seeds=[0], starts=[None]), "text to begin with per context"),  # type: ignore[list-item]
        (lambda: world.write([context], seeds=[0], settings=[1]), "settings by name"),  # type: ignore[arg-type]
        (lambda: BagelWorld(world.checkpoint, context="both"), "settings by name"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ConfigError, match=said):
            call()


def test_latents_of_another_shape_are_refused_when_they_are_given(folder: Path) -> None:
    world = BagelWorld.from_pretrained(folder, sampling=QUICK, context={"see": "latents", "reuse_latents": True})
    with pytest.raises(ConfigError, match="latents of this frame"):
        world.begin().observe_imagined(picture(0), torch.zeros(3, 3, 3))


def test_a_model_whose_output_broke_says_so_in_words_too(folder: Path) -> None:
    checkpoint = load_folder(folder)
    world = BagelWorld(checkpoint, sampling=QUICK, writing={"max_tokens": 3})
    sampled = BagelWorld(checkpoint, writing={"max_tokens": 3, "temperature": 1e-44})
    context = grow(world, [1])
    assert isinstance(sampled.ask(context, "what?"), str)  # hardly any temperature is the likeliest word
    with torch.no_grad():
        checkpoint.bagel.lm_head.weight.fill_(float("nan"))
    for call in (
        lambda: world.ask(context, "what?"),
        lambda: BagelWorld(checkpoint, writing={"temperature": 1.0}).ask(context, "what?"),
        lambda: world.judge([context], ["go"]),
    ):
        with pytest.raises(OutputError, match="Check its weights"):
            call()
    with torch.no_grad():
        checkpoint.bagel.latent_out.weight.fill_(float("nan"))
    with pytest.raises(OutputError, match="Check its weights"):
        world.explain([context], [picture(2)], words=["a", "b"], seeds=[0])


@pytest.mark.parametrize("seeds", [0, [1.5], ["x"], [None], [True], [float("nan")]])
def test_seeds_are_a_list_of_whole_numbers(world: BagelWorld, seeds: Any) -> None:
    with pytest.raises(ConfigError, match="seeds"):
        world.imagine([grow(world, [1])], seeds=seeds)


def test_contexts_are_a_list(world: BagelWorld) -> None:
    with pytest.raises(ConfigError, match="list of contexts, got Context"):
        world.imagine(grow(world, [1]), seeds=[0])  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("goal", [None, "", "  "])
def test_goals_to_judge_have_words(world: BagelWorld, goal: Any) -> None:
    with pytest.raises(ActionError, match="goals in words"):
        world.judge([grow(world, [1])], [goal])


def test_a_name_that_is_no_name_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="checkpoint's name or folder, got 3"):
        BagelWorld.from_pretrained(3)  # pyright: ignore[reportArgumentType]
