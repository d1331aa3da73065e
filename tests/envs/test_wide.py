"""Many walks at once: one call of the world however different their histories, and each of them as if it were alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from bagel_world import BagelWorld
from bagel_world.envs import WorldEnv, WorldVectorEnv, register_all
from bagel_world.envs.registry import NAVIGATE_ID
from bagel_world.errors import ConfigError, UnknownSettingError
from bagel_world.world.fake import FakeWorld
from bagel_world.world.weights import shipped
from tests.model.folder import write_folder

MANY, HORIZON = 64, 6


def test_sixty_four_walks_equal_sixty_four_single_ones_in_one_call_per_step() -> None:
    world, goal = FakeWorld(max_frames=4), {"goal_image": FakeWorld().starts[1].frames[0]}
    singles = SyncVectorEnv(
        [lambda: WorldEnv(FakeWorld(max_frames=4), horizon=HORIZON, success_distance=0.0, reset_options=goal)] * MANY,
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    vector = WorldVectorEnv(world, MANY, autoreset_mode="SameStep", horizon=HORIZON, success_distance=0.0, reset_options=goal)
    assert data_equivalence(vector.reset(seed=0), singles.reset(seed=0), exact=True)
    # Every walk has a past of its own length from here on, so that walks end at different steps.
    for place in range(MANY):
        for _ in range(place % HORIZON):
            singles.envs[place].step(place % 4)
        vector.set_state(singles.envs[place].unwrapped.get_state(), place=place)  # type: ignore[attr-defined]
    generator = np.random.default_rng(0)
    for _ in range(2 * HORIZON):
        actions, calls = generator.integers(0, 4, MANY), world.model_calls
        ours, theirs = vector.step(actions), singles.step(actions)
        for mine, other in zip(ours, theirs, strict=True):
            assert data_equivalence(mine, other, exact=True)
        over = bool((ours[2] | ours[3]).any())
        assert over, "some walk ends at every step"
        assert world.model_calls == calls + 3, "imagine, score, and score what began anew"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("tiny"))


def test_histories_of_all_lengths_share_a_batch_of_the_model(folder: Path) -> None:
    """A small random model: after one step from equal states, each walk shows what it shows alone."""
    world: Any = BagelWorld.from_pretrained(
        folder, sampling={"evaluations": 2}, context={"max_frames": 5, "keep_frames": 3, "sinks": 1}
    )
    size = world.frame_size
    pictures = np.random.default_rng(0).integers(0, 256, (7, *size, 3), dtype=np.uint8)
    env, single = WorldVectorEnv(world, 7, starts=list(pictures)), WorldEnv(world, starts=list(pictures))
    env.reset(seed=0)
    for place in range(7):  # pasts of 0 to 6 steps: without a past, with one, and with frames that have left
        single.reset(seed=place)
        for step in range(place):
            single.step(step % 4)
        env.set_state(single.get_state(), place=place)
    frames, *_, infos = env.step(np.arange(7) % 4)
    assert infos["dropped_frames"].tolist() == [0, 0, 0, 0, 3, 3, 3]
    assert infos["context_frames"].tolist() == [2, 3, 4, 5, 3, 4, 5]
    for place in range(7):
        single.reset(seed=place)
        for step in range(place):
            single.step(step % 4)
        frame = single.step(place % 4)[0]
        assert np.mean(frame == frames[place]) >= 0.999
        assert np.abs(frame.astype(int) - frames[place]).max() <= 1


@pytest.mark.slow
@pytest.mark.skipif("nano" not in shipped(), reason="the checkpoint nano is not in the package")
def test_sixty_four_walks_of_nano_equal_single_ones() -> None:
    """After one step from equal states nearly all pixels are equal; over free steps the walks stay together."""
    world: Any = BagelWorld.from_pretrained("nano", device="cpu")
    vector, single, free = WorldVectorEnv(world, MANY), WorldEnv(world), 8
    vector.reset(seed=0)
    for place in range(MANY):  # pasts of 0 to 6 steps, so that the batch joins full contexts and short ones
        single.reset(seed=place)
        for step in range(place % 7):
            single.step((place + step) % 4)
        vector.set_state(single.get_state(), place=place)
    states = [vector.get_state(place=place) for place in range(MANY)]
    actions = np.random.default_rng(0).integers(0, 4, (free, MANY))
    together = np.stack([vector.step(each)[0] for each in actions])
    alone = together.copy()
    for place, state in enumerate(states):
        single.reset(seed=place)
        single.set_state(state)
        for step in range(free if place % 4 == 0 else 1):  # singles are dear: a quarter of them walks on
            alone[step, place] = single.step(int(actions[step, place]))[0]
    apart = np.abs(together.astype(np.int16) - alone)
    assert np.mean(apart[0] == 0) >= 0.999
    assert apart[0].max() <= 1
    errors = np.square(apart[:, ::4].astype(np.float64)).mean(axis=(0, 2, 3, 4))
    assert 10 * np.log10(255.0**2 / max(errors.max(), 1e-12)) >= 40.0, "the walk that has come furthest apart"


def test_the_context_policy_is_a_setting_of_the_environment(folder: Path) -> None:
    register_all()
    policy = {"max_frames": 3, "keep_frames": 2, "sinks": 1, "reuse_latents": True}
    env = gym.make(NAVIGATE_ID, checkpoint=str(folder), sampling={"evaluations": 1}, context=policy)
    picture = np.zeros((*env.observation_space.shape[:2], 3), np.uint8)  # type: ignore[index]
    first, _ = env.reset(seed=0, options={"image": picture})
    told = [env.step(0)[-1] for _ in range(4)]
    assert [(info["context_frames"], info["dropped_frames"]) for info in told] == [(2, 0), (3, 0), (2, 2), (3, 2)]
    context: Any = env.unwrapped.session.context  # type: ignore[attr-defined]
    np.testing.assert_array_equal(context.frames[0], first, err_msg="a sink never leaves")
    assert context.reader.settings.reuse_latents
    assert env.spec is not None
    assert gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json())).spec.kwargs["context"] == policy  # type: ignore[union-attr]
    vector: Any = gym.make_vec(NAVIGATE_ID, num_envs=2, checkpoint=str(folder), context=policy)
    assert vector.unwrapped.world.context_settings.sinks == 1


def test_policies_that_do_not_fit(folder: Path) -> None:
    register_all()
    with pytest.raises(ConfigError, match="sinks < keep_frames"):
        gym.make(NAVIGATE_ID, checkpoint=str(folder), context={"sinks": 9})
    with pytest.raises((ConfigError, UnknownSettingError), match="max_frames"):
        gym.make(NAVIGATE_ID, checkpoint=str(folder), context={"max_frame": 9})
    with pytest.raises(ConfigError, match="fixed context"):
        gym.make(NAVIGATE_ID, checkpoint="fake", context={"sinks": 1})
