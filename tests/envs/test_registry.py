"""The ids: cheap to register, makeable from anywhere, and specs that travel as JSON."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

from bagel_world.envs import WorldEnv, WorldVectorEnv, register_all
from bagel_world.envs.registry import NAVIGATE_ID
from bagel_world.errors import ConfigError
from tests.envs.conftest import hash_frames


def test_registering_again_changes_nothing() -> None:
    before = gym.spec(NAVIGATE_ID)
    register_all()
    assert gym.spec(NAVIGATE_ID) is before
    assert before.nondeterministic is False
    assert before.max_episode_steps is None


def test_registering_and_making_the_fake_costs_no_torch(run_python: Callable[[str], str]) -> None:
    program = """
import sys, gymnasium as gym
from bagel_world.envs import register_all
register_all()
light = sorted(name for name in sys.modules if name in {"torch", "PIL", "pydantic", "safetensors", "bagel_world.envs.world_env"})
env = gym.make("BagelNavigate-v0", checkpoint="fake")
env.reset(seed=0)
env.step(0)
print(light, "torch" in sys.modules)
"""
    assert run_python(program) == "[] False"


def test_the_package_name_in_front_of_the_id_is_enough(checkpoint: str, run_python: Callable[[str], str]) -> None:
    program = f"""
import hashlib, gymnasium as gym
env = gym.make("bagel_world:BagelNavigate-v0", checkpoint={checkpoint!r})
print(hashlib.sha256(env.reset(seed=1)[0].tobytes()).hexdigest())
"""
    frame, _ = gym.make(NAVIGATE_ID, checkpoint=checkpoint).reset(seed=1)
    assert run_python(program) == hash_frames([frame])


def test_specs_travel(checkpoint: str) -> None:
    env = gym.make(NAVIGATE_ID, checkpoint=checkpoint, horizon=7, render_mode="rgb_array", reset_options={"prompt": "A house."})
    expected = [env.reset(seed=3)[0], env.step(1)[0]]
    assert env.spec is not None
    for spec in (EnvSpec.from_json(env.spec.to_json()), pickle.loads(pickle.dumps(env.spec)), env.unwrapped.spec):
        assert spec is not None
        twin = gym.make(spec)
        frames = [twin.reset(seed=3)[0], twin.step(1)[0]]
        np.testing.assert_array_equal(np.stack(frames), np.stack(expected))
        unwrapped = twin.unwrapped
        assert isinstance(unwrapped, WorldEnv)
        assert (unwrapped.dynamics.config.horizon, unwrapped.render_mode) == (7, "rgb_array")


def test_make_vec_is_native_and_equal_to_sync(checkpoint: str) -> None:
    vector = gym.make_vec(NAVIGATE_ID, num_envs=2, checkpoint=checkpoint, autoreset_mode="SameStep", horizon=2)
    assert isinstance(vector.unwrapped, WorldVectorEnv)
    assert vector.metadata["autoreset_mode"] is gym.vector.AutoresetMode.SAME_STEP
    singles = gym.make_vec(NAVIGATE_ID, num_envs=2, vectorization_mode="sync", checkpoint=checkpoint)
    assert isinstance(singles, gym.vector.SyncVectorEnv)
    np.testing.assert_array_equal(vector.reset(seed=9)[0], singles.reset(seed=9)[0])
    assert vector.spec is not None
    for spec in (EnvSpec.from_json(vector.spec.to_json()), pickle.loads(pickle.dumps(vector.spec))):
        assert spec.kwargs["horizon"] == 2
        twin = gym.make_vec(spec, num_envs=2)
        np.testing.assert_array_equal(twin.reset(seed=9)[0], vector.reset(seed=9)[0])


def test_lists_of_frames_are_collected(checkpoint: str) -> None:
    env = gym.make(NAVIGATE_ID, checkpoint=checkpoint, render_mode="rgb_array_list")
    frames = [env.reset(seed=0)[0], env.step(0)[0]]
    collected = env.render()
    assert isinstance(collected, list)
    np.testing.assert_array_equal(np.array(collected), np.stack(frames))


def test_an_unknown_setting_is_named() -> None:
    for kind in (ConfigError, TypeError):
        with pytest.raises(kind, match=r"unexpected keyword argument 'horizons'.*'horizon'"):
            gym.make(NAVIGATE_ID, checkpoint="fake", horizons=3)
