"""An imagined episode is imagined again from its metadata alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bagel_world.errors import CapabilityError, RecordingError, StateError
from bagel_world.types import Action, Episode, Thought
from bagel_world.world.fake import FakeContext, FakeWorld
from bagel_world.world.provenance import Provenance, named, provenance_of
from bagel_world.world.record import load_episode, save_episode
from bagel_world.world.replay import Difference, differences, replay
from bagel_world.world.rollout import rollout

WORDS = ["Look left", "Move forward", "open the door", "Look right"]


def long_context(world: FakeWorld) -> FakeContext:
    """More than a first frame: a prompt, words, frames that have left the window."""
    context = world.begin("A house.")
    for place in range(10):
        context = context.observe(world.starts[place % 3].frames[0]).say(f"go {place}")
    return context.observe(world.starts[3].frames[1])


@pytest.fixture
def episode(fake: FakeWorld) -> Episode:
    return rollout(fake, long_context(fake), WORDS, seed=4)


@pytest.fixture
def fake() -> FakeWorld:
    return FakeWorld(noise=9)


def altered(episode: Episode, **fields: Any) -> Episode:
    return replace(episode, metadata={**episode.metadata, "provenance": {**episode.metadata["provenance"], **fields}})


def test_a_replay_is_equal_also_after_a_long_past(fake: FakeWorld, episode: Episode, tmp_path: Path) -> None:
    assert long_context(fake).dropped_frames > 0
    loaded = load_episode(save_episode(tmp_path, episode))
    again = replay(FakeWorld(noise=9), loaded)
    np.testing.assert_array_equal(again.frames, episode.frames)
    assert (again.actions, again.metadata) == (episode.actions, loaded.metadata)
    assert list(differences(episode.frames, again.frames)) == []


def test_the_past_decides_the_frames(fake: FakeWorld, episode: Episode) -> None:
    """Were the past forgotten, the same actions and seeds would show other frames."""
    short = rollout(fake, fake.observe(episode.frames[0]), WORDS, seed=4)
    assert [each.place for each in differences(episode.frames, short.frames)] == [1, 2, 3, 4]


def test_another_world_shows_other_frames_and_the_changes_say_why(fake: FakeWorld, episode: Episode) -> None:
    other = FakeWorld(noise=0)
    found = list(differences(episode.frames, replay(other, episode).frames))
    assert [each.place for each in found] == [1, 2, 3, 4]
    assert found[0].largest == 9
    assert list(provenance_of(episode).changes(other)) == [("weights", "fake-noise9", "fake-noise0")]
    assert list(provenance_of(episode).changes(fake)) == []


def test_changes_name_nested_settings(fake: FakeWorld, episode: Episode) -> None:
    world = {**fake.provenance, "versions": {"torch": "1.0", "numpy": "2.0"}}
    changes = list(Provenance.model_validate({**episode.metadata["provenance"], "world": world}).changes(fake))
    assert changes == [("versions.numpy", "2.0", None), ("versions.torch", "1.0", None)]


def test_differences_count_values() -> None:
    recorded = np.full((3, 2, 2, 3), 100, np.uint8)
    replayed = recorded.copy()
    replayed[1, 0, 0] = (97, 100, 104)
    assert list(differences(recorded, replayed)) == [Difference(place=1, share=2 / 12, largest=4, mean=7 / 12)]
    replayed[2] = 0
    assert [each.place for each in differences(recorded, replayed)] == [1, 2]
    assert list(differences(recorded, replayed))[1] == Difference(place=2, share=1.0, largest=100, mean=100.0)
    with pytest.raises(RecordingError, match="shape"):
        list(differences(recorded, replayed[:2]))


def test_thoughts_are_thought_again(fake: FakeWorld) -> None:
    start = fake.observe(fake.starts[0].frames[0])
    frames, thoughts, context = [start.frames[-1]], [], start
    for word, seed in (("Look left", 5), ("Look right", 6)):
        context = context.say(word)
        (thought,) = fake.think([context], seeds=[seed + 100])
        (context,) = fake.advance([context.say(thought)], seeds=[seed])
        thoughts.append(thought)
        frames.append(context.frames[-1])
    provenance = Provenance.of(fake, start, seeds=[5, 6], thought_seeds=(105, 106))
    episode = Episode(
        frames=np.stack(frames),
        actions=(Action(text="Look left"), Action(text="Look right")),
        metadata={"provenance": json.loads(json.dumps(provenance.to_json()))},
    )
    again = replay(fake, episode)
    np.testing.assert_array_equal(again.frames, episode.frames)
    assert again.thoughts == tuple(thoughts)
    assert all(isinstance(thought, Thought) for thought in again.thoughts)
    unthought = replay(fake, altered(episode, thought_seeds=None))
    assert [each.place for each in differences(episode.frames, unthought.frames)] == [1, 2]

    class Mute(FakeWorld):
        think = None  # type: ignore[assignment]

    with pytest.raises(CapabilityError, match="Mute cannot think"):
        replay(Mute(), episode)


def test_a_step_without_a_seed_keeps_the_frame(fake: FakeWorld) -> None:
    start = fake.observe(fake.starts[0].frames[0])
    (context,) = fake.advance([start.say("Look left")], seeds=[8])
    frames = np.stack([start.frames[-1], start.frames[-1], context.frames[-1]])
    provenance = Provenance.of(fake, start, seeds=[None, 8]).to_json()
    episode = Episode(frames=frames, actions=(Action(text=""), Action(text="Look left")), metadata={"provenance": provenance})
    np.testing.assert_array_equal(replay(fake, episode).frames, frames)


def test_what_was_never_imagined_is_refused(fake: FakeWorld) -> None:
    with pytest.raises(RecordingError, match=r"one of fake without.*bagel-world rollout"):
        replay(fake, fake.starts[0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"start": None}, "start"),
        ({"seeds": [1, 2]}, "4 steps, got 2 seeds"),
        ({"seeds": ["x", 1, 2, 3]}, r"seeds\.0"),
        ({"more": 1}, "more"),
    ],
)
def test_a_damaged_provenance_is_refused(fake: FakeWorld, episode: Episode, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        replay(fake, altered(episode, **fields))


def test_a_damaged_start_is_refused(fake: FakeWorld, episode: Episode) -> None:
    start = episode.metadata["provenance"]["start"]
    broken = [{**item, "base64": item["base64"][:-8]} if isinstance(item, dict) else item for item in start["items"]]
    with pytest.raises(RecordingError, match="damaged array"):
        replay(fake, altered(episode, start={**start, "items": broken}))
    with pytest.raises(StateError):
        replay(fake, altered(episode, start={"events": []}))
    small = FakeWorld(frame_size=(32, 32))
    other = Provenance.of(small, small.observe(small.starts[0].frames[0]), seeds=[1] * 4)
    with pytest.raises(RecordingError, match="episode's size"):
        replay(fake, altered(episode, start=other.to_json()["start"]))


def test_the_name_of_the_weights_travels(episode: Episode) -> None:
    assert provenance_of(named(episode, "my/folder")).checkpoint == "my/folder"
    assert provenance_of(episode).checkpoint is None
