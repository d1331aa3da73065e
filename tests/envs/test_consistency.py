"""The self-check: what the world reads from a frame, and when a frame is drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from bagel_world.actions import NAVIGATE_WORDS
from bagel_world.envs import WorldEnv, WorldVectorEnv
from bagel_world.envs.session import Draw
from bagel_world.envs.wrappers import Recorder
from bagel_world.errors import CapabilityError
from bagel_world.types import Frame
from bagel_world.world.fake import FakeWorld
from bagel_world.world.fake_views import move_view
from bagel_world.world.record import load_episode
from bagel_world.world.replay import replay

CHECK_KEYS = {"action_read", "agreement", "redraws", "draw"}


class Scatterbrain(FakeWorld):
    """Turns the wrong way for two seeds in three; `imagined` lists (words, seed) of every frame that was drawn."""

    def __init__(self) -> None:
        super().__init__(noise=0)
        self.imagined: list[tuple[str, int]] = []

    def _imagine_one(self, context: Any, seed: int) -> Frame:
        self.imagined.append((context.spoken, seed))
        words = context.spoken if seed % 3 == 0 else {"Look left": "Look right"}.get(context.spoken, context.spoken)
        return move_view(context.frames[-1], words)


def seed_until(world: Scatterbrain, draws: int, **settings: Any) -> tuple[WorldEnv, int]:
    """An environment at whose first step the draw of this number is the first that turns left, and its seed."""
    env = WorldEnv(world, consistency=True, **settings)
    for seed in range(1000):
        env.reset(seed=seed)
        good = [env.session.seed_for(Draw.FRAME, again) % 3 == 0 for again in range(draws + 1)]
        if good == [False] * draws + [True]:
            return env, seed
    raise AssertionError("no such seed")


def test_frames_that_obey_are_read_as_what_was_done() -> None:
    env = WorldEnv(FakeWorld(), consistency=True, consistency_redraws=3)
    _, info = env.reset(seed=0)
    assert {key: info[key] for key in CHECK_KEYS} == {"action_read": None, "agreement": None, "redraws": 0, "draw": 0}
    for action, words in enumerate(NAVIGATE_WORDS):
        before = env.session.model_calls
        info = env.step(action)[-1]
        assert (info["action_read"], info["redraws"], info["draw"]) == (words, 0, 0)
        assert info["agreement"] > 0.99
        assert info["model_calls"] - before == 2


def test_without_a_budget_it_only_says_so() -> None:
    world = Scatterbrain()
    env, seed = seed_until(world, 1)
    start, _ = env.reset(seed=seed)
    frame, *_, info = env.step(1)
    np.testing.assert_array_equal(frame, move_view(start, "Look right"))
    assert (info["action_read"], info["redraws"], info["draw"]) == ("Look right", 0, 0)
    assert info["agreement"] < 0.01


@pytest.mark.parametrize("draws", [0, 1, 2])
def test_a_frame_is_drawn_again_until_it_obeys(draws: int) -> None:
    world = Scatterbrain()
    env, seed = seed_until(world, draws, consistency_redraws=3)
    start, _ = env.reset(seed=seed)
    seeds = [env.session.seed_for(Draw.FRAME, again) for again in range(draws + 1)]
    assert len(set(seeds)) == draws + 1
    frame, *_, info = env.step(1)
    np.testing.assert_array_equal(frame, move_view(start, "Look left"))
    assert world.imagined == [("Look left", each) for each in seeds]
    assert (info["action_read"], info["redraws"], info["draw"]) == ("Look left", draws, draws)
    assert info["model_calls"] == 2 + 2 * draws


def test_the_budget_is_kept_and_the_best_draw_stays() -> None:
    world = Scatterbrain()
    env, seed = seed_until(world, 3, consistency_redraws=2)
    start, _ = env.reset(seed=seed)
    frame, *_, info = env.step(1)
    np.testing.assert_array_equal(frame, move_view(start, "Look right"))
    assert len(world.imagined) == 3
    assert (info["action_read"], info["redraws"], info["draw"]) == ("Look right", 2, 0)


def test_free_words_are_held_against_the_known_ones() -> None:
    env = WorldEnv(FakeWorld(noise=0), consistency=True, action_mode="text")
    env.reset(seed=0)
    assert env.step("paint it red")[-1]["action_read"] == "paint it red"
    assert env.step("Rotate the camera to the left by 45 degrees")[-1]["agreement"] == pytest.approx(0.5)
    info = env.step("")[-1]
    assert {key: info[key] for key in CHECK_KEYS} == {"action_read": None, "agreement": None, "redraws": 0, "draw": 0}


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_many_walks_are_checked_as_one_by_one(mode: AutoresetMode) -> None:
    settings: dict[str, Any] = {"consistency": True, "consistency_redraws": 2, "horizon": 4, "think": True}
    ours = WorldVectorEnv(Scatterbrain(), 3, autoreset_mode=mode, **settings)
    theirs = SyncVectorEnv([lambda: WorldEnv(Scatterbrain(), **settings)] * 3, autoreset_mode=mode)
    assert data_equivalence(ours.reset(seed=1), theirs.reset(seed=1), exact=True)
    redraws = 0
    for step in range(4):
        actions = np.array([1, step % 4, 2])
        mine, others = ours.step(actions), theirs.step(actions)
        for one, other in zip(mine, others, strict=True):
            assert data_equivalence(one, other, exact=True)
        redraws += int(mine[-1]["redraws"].sum())
    assert redraws > 0


def test_the_doubtful_are_drawn_again_in_one_batch() -> None:
    world = Scatterbrain()
    envs = WorldVectorEnv(world, 16, consistency=True, consistency_redraws=2)
    envs.reset(seed=0)
    before = world.model_calls
    info = envs.step(np.ones(16, np.int64))[-1]
    assert info["redraws"].max() == 2
    assert world.model_calls - before == 6
    assert len(world.imagined) == 16 + int(info["redraws"].sum())


def test_branches_are_checked_as_steps_are() -> None:
    world = Scatterbrain()
    env, seed = seed_until(world, 1, consistency_redraws=1)
    env.reset(seed=seed)
    future = env.branch([2, 1])[1]
    frame, *_, info = env.step(1)
    np.testing.assert_array_equal(future.frame, frame)
    assert dict(future.info) == info
    assert info["draw"] == 1


def test_a_recorded_walk_with_redraws_replays(tmp_path: Path) -> None:
    world = Scatterbrain()
    env, seed = seed_until(world, 2, consistency_redraws=3)
    recorder = Recorder(env, str(tmp_path), movie=None)
    recorder.reset(seed=seed)
    draws = [recorder.step(1)[-1]["draw"] for _ in range(3)]
    recorder.close()
    episode = load_episode(tmp_path / "episode-00000")
    assert draws[0] == 2
    np.testing.assert_array_equal(replay(world, episode).frames, episode.frames)


def test_a_world_that_cannot_explain_says_so() -> None:
    class Silent(FakeWorld):
        explain: Any = None

    with pytest.raises(CapabilityError, match="Silent cannot"):
        WorldEnv(Silent(), consistency=True)


def test_equally_likely_words_count_as_agreement() -> None:
    flat = np.full((64, 64, 3), 90, np.uint8)
    env = WorldEnv(FakeWorld(noise=0), consistency=True)
    env.reset(seed=0, options={"image": flat})
    reads: Sequence[str] = [env.step(action)[-1]["action_read"] for action in range(4)]
    assert tuple(reads) == NAVIGATE_WORDS
