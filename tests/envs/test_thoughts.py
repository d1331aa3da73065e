"""Thinking before every frame: single, in batches, in branches, in states and in recordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bagel_world.envs import WorldEnv, WorldVectorEnv, state_from_bytes, state_to_bytes
from bagel_world.envs.session import Draw
from bagel_world.envs.wrappers import Recorder
from bagel_world.types import Thought
from bagel_world.world.fake import FakeWorld
from bagel_world.world.record import load_episode
from bagel_world.world.replay import replay


class Scripted(FakeWorld):
    """Thinks a line that tells its context and seed; frames depend on the line, as on all that was said."""

    def think(self, contexts: Sequence[Any], *, seeds: Sequence[int]) -> list[Thought]:
        self.model_calls += 1
        return [
            Thought(text=f"{len(context.frames)} frames, I will {context.spoken}, {seed}")
            for context, seed in zip(contexts, seeds, strict=True)
        ]


def begun(**settings: Any) -> WorldEnv:
    env = WorldEnv(Scripted(), think=True, **settings)
    env.reset(seed=8)
    return env


def line(env: WorldEnv, words: str) -> str:
    return f"{len(env.session.context.frames)} frames, I will {words}, {env.session.seed_for(Draw.THOUGHT)}"


def test_every_step_brings_the_thought_of_its_context_action_and_seed() -> None:
    env = begun(action_mode="either")
    for action, words in ((1, "Look left"), ((1, "go back"), "go back"), ("Stay", "Stay")):
        expected = line(env, words)
        info = env.step(action)[-1]
        assert info["thought"] == expected
        items = env.session.context.get_state()["items"]
        assert items[-3:-1] == [words, {"thought": expected}]
    assert env.step("")[-1]["thought"] is None


def test_thoughts_change_what_is_imagined() -> None:
    thinking, silent = begun(), WorldEnv(Scripted())
    silent.reset(seed=8)
    assert not np.array_equal(thinking.step(3)[0], silent.step(3)[0])


def test_a_vector_thinks_once_for_all() -> None:
    world = Scripted()
    envs = WorldVectorEnv(world, 3, think=True)
    _, infos = envs.reset(seed=8)
    assert infos["thought"].tolist() == [None] * 3
    before = world.model_calls
    infos = envs.step(np.array([1, 0, 3]))[-1]
    assert world.model_calls - before == 2
    single = begun()
    assert infos["thought"][0] == single.step(1)[-1]["thought"]
    assert len(set(infos["thought"])) == 3


def test_branches_think_what_steps_would() -> None:
    env = begun()
    futures = env.branch([0, 1, 1])
    assert [future.thought for future in futures] == [Thought(text=future.info["thought"]) for future in futures]
    frame, *_, info = env.step(1)
    assert futures[1].info["thought"] == futures[2].info["thought"] == info["thought"]
    np.testing.assert_array_equal(futures[1].frame, frame)
    assert futures[0].info["thought"] != info["thought"]


def test_a_state_brings_the_same_thoughts_back() -> None:
    env = begun()
    env.step(1)
    state = state_to_bytes(env.get_state())
    expected = env.step(2)
    twin = WorldEnv(Scripted(), think=True)
    twin.set_state(state_from_bytes(state))
    frame, *_, info = twin.step(2)
    np.testing.assert_array_equal(frame, expected[0])
    assert info["thought"] == expected[-1]["thought"]


@pytest.mark.parametrize("checked", [False, True])
def test_a_recording_keeps_the_thoughts_and_replays_them(checked: bool, tmp_path: Path) -> None:
    env = WorldEnv(Scripted(), think=True, consistency=checked, action_mode="text", horizon=3)
    recorder = Recorder(env, str(tmp_path), movie=None)
    recorder.reset(seed=3)
    thoughts = [recorder.step(words)[-1]["thought"] for words in ("Look left", "", "Move forward")]
    episode = load_episode(tmp_path / "episode-00000")
    assert episode.thoughts == (Thought(text=thoughts[0]), None, Thought(text=thoughts[2]))
    again = replay(Scripted(), episode)
    assert again.thoughts == episode.thoughts
    np.testing.assert_array_equal(again.frames, episode.frames)
