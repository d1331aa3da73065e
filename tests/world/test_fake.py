"""FakeWorld keeps every promise of the protocols, so that what works on it can work on a model."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bagel_world
from bagel_world.actions import NAVIGATE_WORDS, ROLLOUT_WORDS, ROTATE_WORDS, TASK_WORDS, TURNS
from bagel_world.errors import ConfigError, StateError, UnknownNameError
from bagel_world.types import Thought
from bagel_world.world import protocol
from bagel_world.world.fake import FakeContext, FakeWorld
from bagel_world.world.fake_views import VIEWS_PER_TURN, draw_room, move_view, view_cosine

ROOM = draw_room(3, 64, 64)


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


@pytest.fixture
def quiet() -> FakeWorld:
    return FakeWorld(noise=0)


def imagine_after(world: FakeWorld, *words: str) -> np.ndarray:
    context = world.observe(ROOM)
    for word in words:
        context = context.say(word)
        context = context.observe(world.imagine([context], seeds=[0])[0])
    return context.frames[-1]


@pytest.mark.parametrize("name", ["World", "Thinker"])
def test_every_member_of_the_protocols_is_there_with_the_same_parameters(name: str) -> None:
    members = [member for member in vars(getattr(protocol, name)) if not member.startswith("_")]
    assert members
    for member in members:
        theirs, ours = inspect.getattr_static(getattr(protocol, name), member), inspect.getattr_static(FakeWorld, member)
        assert type(ours) is type(theirs), member
        if callable(theirs):
            assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)
            assert [p.kind for p in inspect.signature(ours).parameters.values()] == [
                p.kind for p in inspect.signature(theirs).parameters.values()
            ]


def test_contexts_follow_the_protocol(world: FakeWorld) -> None:
    assert isinstance(world.begin(), protocol.Context)


def test_it_needs_no_torch() -> None:
    program = "import sys, bagel_world.world.fake, bagel_world.world.scoring; print('torch' in sys.modules)"
    root = Path(bagel_world.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_turning_rolls_the_view_and_closes(quiet: FakeWorld) -> None:
    np.testing.assert_array_equal(imagine_after(quiet, "Look left"), np.roll(ROOM, 64 // VIEWS_PER_TURN, axis=1))
    np.testing.assert_array_equal(imagine_after(quiet, "Look right"), np.roll(ROOM, -64 // VIEWS_PER_TURN, axis=1))
    np.testing.assert_array_equal(imagine_after(quiet, "Look left", "Look right"), ROOM)
    np.testing.assert_array_equal(imagine_after(quiet, *["Look left"] * VIEWS_PER_TURN), ROOM)


def test_staying_keeps_the_view_and_walking_enlarges_its_middle(quiet: FakeWorld) -> None:
    np.testing.assert_array_equal(imagine_after(quiet, "Stay"), ROOM)
    frame = np.arange(64, dtype=np.uint8).reshape(8, 8, 1).repeat(3, axis=2)
    expected = frame[[1, 1, 2, 3, 4, 4, 5, 6]][:, [1, 1, 2, 3, 4, 4, 5, 6]]
    np.testing.assert_array_equal(move_view(frame, "Move forward"), expected)


def test_other_words_do_something_of_their_own(quiet: FakeWorld) -> None:
    frames = [imagine_after(quiet, words) for words in ("open the door", "jump", "Rotate the camera to the left by 45 degrees")]
    assert not np.array_equal(frames[0], frames[1])
    np.testing.assert_array_equal(frames[2], imagine_after(quiet, "Look left"))


def test_degrees_add_up_and_close() -> None:
    quiet = FakeWorld(task="rotate", noise=0)
    assert quiet.action_words == ROTATE_WORDS
    start = quiet.starts[0].frames[0]
    left = [f"Rotate the camera to the left by {degrees} degrees" for degrees in TURNS]
    views = {words: move_view(start, words) for words in ROTATE_WORDS}
    assert len({view.tobytes() for view in views.values()}) == len(ROTATE_WORDS)
    np.testing.assert_array_equal(move_view(views[left[0]], left[1]), views[left[2]])
    np.testing.assert_array_equal(move_view(views[left[1]], ROTATE_WORDS[4]), start)
    full = start
    for _ in range(360 // TURNS[0]):
        full = move_view(full, left[0])
    np.testing.assert_array_equal(full, start)


def test_moments_add_up_and_close() -> None:
    quiet = FakeWorld(task="rollout", noise=0)
    assert quiet.action_words == ROLLOUT_WORDS
    one, two, four = ROLLOUT_WORDS
    np.testing.assert_array_equal(move_view(ROOM, one), np.roll(ROOM, 64 // VIEWS_PER_TURN, axis=0))
    np.testing.assert_array_equal(move_view(move_view(ROOM, one), one), move_view(ROOM, two))
    np.testing.assert_array_equal(move_view(move_view(ROOM, four), four), ROOM)


@pytest.mark.parametrize("task", TASK_WORDS)
def test_every_task_has_starts_of_its_own_words(task: str) -> None:
    world = FakeWorld(task=task, noise=0)
    assert (world.task, world.action_words) == (task, TASK_WORDS[task])
    for start in world.starts:
        assert start.metadata["task"] == task
        assert {action.text for action in start.actions} <= set(TASK_WORDS[task])
        np.testing.assert_array_equal(move_view(start.frames[0], start.actions[0].text), start.frames[1])


def test_a_task_that_nobody_knows() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'rotate'"):
        FakeWorld(task="rotat")


@pytest.mark.parametrize("noise", [0, 1])
@pytest.mark.parametrize("task", TASK_WORDS)
def test_it_explains_what_happened(task: str, noise: int) -> None:
    world = FakeWorld(task=task, noise=noise)
    before = world.observe(world.starts[0].frames[0])
    words = world.action_words
    frames = world.imagine([before.say(word) for word in words], seeds=range(len(words)))
    chances = world.explain([before] * len(words), frames, words=words, seeds=[0] * len(words))
    assert chances.shape == (len(words), len(words))
    np.testing.assert_allclose(chances.sum(-1), 1.0)
    assert chances.argmax(-1).tolist() == list(range(len(words)))
    assert world.explain([], [], words=words, seeds=[]).shape == (0, len(words))


def test_words_that_do_the_same_are_equally_likely(quiet: FakeWorld) -> None:
    flat = np.full((64, 64, 3), 9, np.uint8)
    chances = quiet.explain([quiet.observe(flat)], [flat], words=NAVIGATE_WORDS, seeds=[0])
    np.testing.assert_allclose(chances, [[0.25] * 4])


def test_it_judges_by_the_colors_that_a_goal_names(world: FakeWorld) -> None:
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[..., 0], frame[..., 2] = 150, 50
    context = world.observe(frame)
    assert world.can_write
    goals = ["stand in the red light", "blue!", "red and blue", "find the door", "redder"]
    assert world.judge([context] * 5, goals) == pytest.approx([0.75, 0.25, 1.0, 0.0, 0.0])


def test_noise_is_small_and_decided_by_the_seed(world: FakeWorld, quiet: FakeWorld) -> None:
    context = world.observe(ROOM).say("Stay")
    first, second, again = world.imagine([context] * 3, seeds=[1, 2, 1])
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, second)
    assert set(np.unique(first.astype(int) - ROOM)) == {-1, 0, 1}
    np.testing.assert_array_equal(quiet.imagine([quiet.observe(ROOM).say("Stay")], seeds=[2**63 - 1])[0], ROOM)


def test_a_batch_equals_singles(world: FakeWorld) -> None:
    contexts = [world.observe(ROOM).say(word) for word in NAVIGATE_WORDS] + [world.begin(), world.begin("A house.").say("jump")]
    seeds = list(range(len(contexts)))
    batch = world.imagine(contexts, seeds=seeds)
    for context, seed, frame in zip(contexts, seeds, batch, strict=True):
        np.testing.assert_array_equal(world.imagine([context], seeds=[seed])[0], frame)
    with pytest.raises(ValueError, match="shorter"):
        world.imagine(contexts, seeds=[0])


def test_frames_depend_on_everything_in_the_context(world: FakeWorld) -> None:
    other = draw_room(4, 64, 64)
    contexts = [
        world.observe(ROOM).say("Stay"),
        world.begin("prompt").observe(ROOM).say("Stay"),
        world.observe(other).say("Stay").observe(ROOM).say("Stay"),
        world.observe(other).say("Look left").observe(ROOM).say("Stay"),
        world.observe(ROOM).say(Thought(text="Hm.")).say("Stay"),
        world.observe(ROOM).say("Hm.").say("Stay"),
    ]
    frames = world.imagine(contexts, seeds=[0] * len(contexts))
    assert len({frame.tobytes() for frame in frames}) == len(contexts)


def test_contexts_are_values(world: FakeWorld) -> None:
    context = world.observe(ROOM)
    context.say("Look left").observe(ROOM)
    fork = context.fork()
    assert fork.say("Stay").tokens == context.tokens + 1
    assert (len(context.frames), context.tokens, context.spoken) == (1, 16, "")
    with pytest.raises(ValueError, match="read-only"):
        context.frames[0][:] = 0
    image = ROOM.copy()
    seen = world.observe(image)
    image[:] = 0
    np.testing.assert_array_equal(seen.frames[0], ROOM)


def test_the_window_keeps_the_first_frame_and_the_newest() -> None:
    world = FakeWorld(max_frames=3)
    context = world.begin("prompt")
    frames = [draw_room(seed, 64, 64) for seed in range(6)]
    for number, frame in enumerate(frames):
        context = context.observe(frame).say(f"word{number}")
    np.testing.assert_array_equal(np.stack(context.frames), np.stack([frames[0], frames[4], frames[5]]))
    assert [item for item in context.items if isinstance(item, str)] == ["word0", "word4", "word5"]
    assert (context.dropped_frames, context.tokens, context.prompt) == (3, 3 * 16 + 3, "prompt")


def test_restored_contexts_imagine_the_same(world: FakeWorld) -> None:
    context = world.begin("prompt")
    for number in range(12):
        context = context.observe(draw_room(number, 64, 64)).say("Look left").say(Thought(text=f"thought {number}"))
    restored = FakeWorld().restore(context.get_state())
    assert (restored.tokens, restored.dropped_frames, restored.spoken) == (context.tokens, context.dropped_frames, context.spoken)
    np.testing.assert_array_equal(world.imagine([restored], seeds=[5])[0], world.imagine([context], seeds=[5])[0])


@pytest.mark.parametrize("state", [{}, {"items": 3}, {"items": [{}], "prompt": None, "digest": "", "dropped_frames": 0}])
def test_what_is_no_state_is_refused(world: FakeWorld, state: dict[str, Any]) -> None:
    with pytest.raises(StateError, match="FakeWorld"):
        world.restore(state)


def test_similarity_is_a_cosine(world: FakeWorld) -> None:
    black = np.zeros((64, 64, 3), np.uint8)
    turned = [np.roll(ROOM, 8 * turns, axis=1) for turns in range(3)]
    same, once, twice, flat = world.similarity([*turned, black], [ROOM] * 4)
    assert (same, flat) == (1.0, 0.0)
    assert max(once, twice) < 1.0
    assert world.similarity([black], [black]) == [1.0]
    assert view_cosine(ROOM, 255 - ROOM) == pytest.approx(-1.0, abs=1e-3)


def test_starts_are_walks_the_world_itself_would_make(quiet: FakeWorld) -> None:
    assert len(quiet.starts) >= 4
    assert len({start.frames[0].tobytes() for start in quiet.starts}) == len(quiet.starts)
    for start in quiet.starts:
        context = quiet.observe(start.frames[0])
        for action, frame in zip(start.actions, start.frames[1:], strict=True):
            assert action.text == NAVIGATE_WORDS[action.id or 0]
            context = context.say(action.text)
            np.testing.assert_array_equal(quiet.imagine([context], seeds=[0])[0], frame)
            context = context.observe(frame)
    assert not np.array_equal(FakeWorld(seed=1).starts[0].frames, quiet.starts[0].frames)


def test_it_thinks_and_answers_about_what_it_sees(world: FakeWorld) -> None:
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 200
    context = world.observe(red)
    assert world.ask(context, "What color is it?") == "It is mostly red."
    (thought,) = world.think([context.say("Look left")], seeds=[7])
    assert thought == Thought(text="The view is mostly red. I Look left. (7)")


def test_calls_are_counted_once_per_batch(world: FakeWorld) -> None:
    context = world.observe(ROOM).say("Stay")
    assert world.model_calls == 0
    world.imagine([context] * 5, seeds=range(5))
    world.similarity([ROOM] * 3, [ROOM] * 3)
    world.think([context], seeds=[0])
    world.ask(context, "?")
    world.judge([context] * 2, ["a", "b"])
    world.explain([context] * 2, [ROOM] * 2, words=["Stay"], seeds=[0, 1])
    assert world.model_calls == 6


@pytest.mark.parametrize(
    "settings",
    [
        {"frame_size": (64, 60)},
        {"task": "rotate", "frame_size": (64, 64)},
        {"frame_size": (0, 64)},
        {"max_frames": 1},
        {"noise": -1},
    ],
)
def test_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Expected"):
        FakeWorld(**settings)


def test_other_sizes_work(world: FakeWorld) -> None:
    small = FakeWorld(frame_size=(24, 40))
    assert small.imagine([small.observe(ROOM).say("Stay")], seeds=[0])[0].shape == (24, 40, 3)
    assert isinstance(small.begin(), FakeContext)
    assert small.provenance["frame_size"] == [24, 40]


def test_advancing_is_imagining_and_seeing() -> None:
    world = FakeWorld()
    contexts = [world.observe(ROOM).say("Look left"), world.observe(ROOM).say("Move forward")]
    frames = world.imagine(contexts, seeds=[1, 2])
    for context, frame in zip(world.advance(contexts, seeds=[1, 2]), frames, strict=True):
        np.testing.assert_array_equal(context.frames[-1], frame)
