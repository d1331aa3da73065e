"""Stable-Baselines3: its own vector environment shows what ours does, and PPO learns in an imagined world."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from bagel_world.envs import WorldEnv, WorldVectorEnv, register_all
from bagel_world.envs.registry import NAVIGATE_ID
from bagel_world.errors import ConfigError
from bagel_world.evaluation.metrics import mean_interval
from bagel_world.world.fake import FakeWorld

pytest.importorskip("stable_baselines3")

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv, VecCheckNan, VecMonitor

from bagel_world.envs.stable_baselines import WorldVecEnv

NUM, HORIZON = 3, 4


def test_it_shows_what_their_own_shows() -> None:
    goal = {"goal_image": FakeWorld().starts[1].frames[0]}
    theirs = DummyVecEnv([lambda: WorldEnv(FakeWorld(), horizon=HORIZON, reset_options=goal)] * NUM)
    ours = WorldVecEnv(WorldVectorEnv(FakeWorld(), NUM, autoreset_mode="SameStep", horizon=HORIZON, reset_options=goal))
    for env in (theirs, ours):
        env.seed(7)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    assert ours.reset_infos == theirs.reset_infos
    generator = np.random.default_rng(0)
    ends = 0
    for _ in range(3 * HORIZON):
        actions = generator.integers(0, 4, NUM)
        mine, other = ours.step(actions), theirs.step(actions)
        for one, two in zip(mine[:3], other[:3], strict=True):
            np.testing.assert_array_equal(one, two)
            assert one.dtype == two.dtype
        for one, two in zip(mine[3], other[3], strict=True):
            assert set(one) == set(two)
            ends += "terminal_observation" in one
            np.testing.assert_array_equal(one.pop("terminal_observation", None), two.pop("terminal_observation", None))
            assert one == two
        assert ours.reset_infos == theirs.reset_infos
    assert ends == 3 * NUM
    np.testing.assert_array_equal(ours.reset(), theirs.reset())


def test_the_rest_of_their_interface() -> None:
    vector = WorldVectorEnv(FakeWorld(), NUM, autoreset_mode="SameStep", render_mode="rgb_array")
    env = WorldVecEnv(vector)
    frames = env.reset()
    np.testing.assert_array_equal(np.stack(list(env.get_images())), frames)
    assert env.get_attr("action_words") == [vector.action_words] * NUM
    assert env.env_is_wrapped(VecMonitor) == [False] * NUM
    assert len(env.env_method("get_state")) == NUM
    env.set_attr("label", "x")
    assert env.get_attr("label", 1) == ["x"]
    with pytest.raises(ConfigError, match="indices"):
        env.set_attr("label", "y", 1)
    env.close()
    env.close()


@pytest.mark.parametrize("mode", ["NextStep", "Disabled"])
def test_only_their_own_way_to_begin_again(mode: str) -> None:
    with pytest.raises(ConfigError, match="SameStep"):
        WorldVecEnv(WorldVectorEnv(FakeWorld(), NUM, autoreset_mode=mode))


def test_their_checks_and_their_own_vectors_run_unmodified(checkpoint: str) -> None:
    register_all()
    check_env(gym.make(NAVIGATE_ID, checkpoint=checkpoint).unwrapped)
    env = make_vec_env(NAVIGATE_ID, n_envs=2, seed=3, env_kwargs={"checkpoint": checkpoint, "horizon": 2})
    single = gym.make(NAVIGATE_ID, checkpoint=checkpoint, horizon=2)
    frames = env.reset()
    np.testing.assert_array_equal(frames[1], single.reset(seed=4)[0])
    frames, _, dones, _ = env.step(np.array([0, 1]))
    np.testing.assert_array_equal(frames[1], single.step(1)[0])
    assert not dones.any()
    assert env.step(np.array([0, 1]))[2].all()


# --- learning

EPISODE, ENVS, ROUNDS, TRIALS = 6, 16, 14, 8
SEEDS = (0, 1, 2)


class Coarse(BaseFeaturesExtractor):
    """A picture of 8 x 8 mean colors: enough to tell views apart, and quick to learn from."""

    def __init__(self, space: gym.spaces.Box) -> None:
        channels, height, _ = space.shape
        super().__init__(space, features_dim=channels * 64)
        self.pool = torch.nn.Sequential(torch.nn.AvgPool2d(height // 8), torch.nn.Flatten())

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.pool(pixels)


def find_the_view(world: Any) -> dict[str, Any]:
    """A task with a shaped reward: from the first view of a held-out walk, find the view three turns to the left of it.

    What is to be found is imagined too, with noise that no episode has.
    """
    env = WorldEnv(world, reset_options={"image": world.starts[0].frames[0]})
    env.reset(seed=10_000)
    for _ in range(3):
        view = env.step(1)[0]
    return {"image": world.starts[0].frames[0], "goal_image": view}


def returns_of(env: WorldVecEnv, choose: Any) -> np.ndarray:
    """The return of every episode of `TRIALS` rounds."""
    observations, sums = env.reset(), []
    for _ in range(TRIALS):
        total = np.zeros(env.num_envs)
        for _ in range(EPISODE):
            observations, rewards, dones, _ = env.step(choose(observations))
            total += rewards
        assert dones.all()
        sums.append(total)
    return np.concatenate(sums)


def train_and_compare(world: Any, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns of random actions and of a policy that PPO learned in the imagined world, on other seeds than it learned from."""
    settings = {"horizon": EPISODE, "success_distance": 0.0, "reset_options": find_the_view(world)}
    env = WorldVecEnv(WorldVectorEnv(world, ENVS, autoreset_mode="SameStep", **settings))
    env.seed(seed)
    model = PPO(
        "CnnPolicy",
        VecMonitor(VecCheckNan(env, raise_exception=True)),
        seed=seed,
        device="cpu",
        n_steps=2 * EPISODE,
        batch_size=64,
        n_epochs=8,
        learning_rate=3e-3,
        gamma=0.95,
        ent_coef=0.01,
        policy_kwargs={"features_extractor_class": Coarse, "net_arch": [32]},
    )
    model.learn(ROUNDS * 2 * EPISODE * ENVS)
    generator = np.random.default_rng(seed)
    env.seed(1_000_000 + seed)
    chance = returns_of(env, lambda observations: generator.integers(0, 4, ENVS))
    env.seed(2_000_000 + seed)
    learned = returns_of(env, lambda observations: model.predict(observations, deterministic=False)[0])
    return chance, learned


def test_ppo_learns_in_the_fake_world() -> None:
    chance, learned = train_and_compare(FakeWorld(), 0)
    assert learned.mean() > mean_interval(chance).high


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_ppo_learns_in_the_world_of_the_checkpoint(seed: int) -> None:
    """Three minutes on two cores for all seeds together: a twelfth of the steps are those of the comparison."""
    pytest.importorskip("torch")
    from bagel_world import BagelWorld
    from bagel_world.world.weights import find_folder

    if not (find_folder("nano") / "ema.safetensors").is_file():
        pytest.skip("assets/nano is not here")
    chance, learned = train_and_compare(BagelWorld.from_pretrained("nano"), seed)
    print(f"seed {seed}: random {mean_interval(chance)}, learned {mean_interval(learned)}")
    assert learned.mean() > mean_interval(chance).high


def test_what_is_not_the_same_for_all_walks_is_refused() -> None:
    env = WorldVecEnv(WorldVectorEnv(FakeWorld(), 2, autoreset_mode="SameStep"))
    black, white = (np.full((64, 64, 3), value, np.uint8) for value in (0, 255))
    env.set_options([{"image": black.tobytes()}, {"image": white.tobytes()}])
    with pytest.raises(ConfigError, match="same options"):
        env.reset()
    env.set_options({"prompt": "a house"})
    env.reset()
    with pytest.raises(ConfigError, match="indices"):
        env.env_method("get_state", indices=[1])
