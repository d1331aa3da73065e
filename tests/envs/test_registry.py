"""The ids: cheap to register, makeable from anywhere, and specs that travel as JSON."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

from bagel_world.actions import TASK_WORDS
from bagel_world.envs import NavigateEnv, RolloutEnv, RotateEnv, WorldEnv, WorldVectorEnv, register_all
from bagel_world.envs.registry import ENTRY_POINTS, NAVIGATE_ID, ROLLOUT_ID, ROTATE_ID, load_world
from bagel_world.errors import CapabilityError, ConfigError, UnknownNameError
from bagel_world.model.config import PRESETS, BagelConfig
from tests.envs.conftest import hash_frames
from tests.model.folder import write_folder

KINDS = {NAVIGATE_ID: (NavigateEnv, "navigate"), ROTATE_ID: (RotateEnv, "rotate"), ROLLOUT_ID: (RolloutEnv, "rollout")}


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_registering_again_changes_nothing(name: str) -> None:
    before = gym.spec(name)
    register_all()
    assert gym.spec(name) is before
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


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_every_id_makes_its_environment_and_its_vector(name: str) -> None:
    kind, task = KINDS[name]
    env = gym.make(name, checkpoint="fake").unwrapped
    assert isinstance(env, kind)
    assert env.action_words == TASK_WORDS[task]
    assert env.action_space == gym.spaces.Discrete(len(TASK_WORDS[task]))
    vector = gym.make_vec(name, num_envs=2, checkpoint="fake").unwrapped
    assert isinstance(vector, WorldVectorEnv)
    assert vector.action_words == TASK_WORDS[task]
    first = {start.frames[0].tobytes() for start in env.world.starts}
    history = env.reset(seed=4) and env.session.context.frames
    assert history[0].tobytes() in first
    np.testing.assert_array_equal(vector.reset(seed=4)[0][0], env.reset(seed=4)[0])


SECTIONS = (
    "Description",
    "Action Space",
    "Observation Space",
    "Rewards",
    "Starting State",
    "Episode End",
    "Arguments",
    "Version History",
)


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_docstrings_have_gymnasiums_sections_and_the_true_table_of_actions(name: str) -> None:
    kind, task = KINDS[name]
    text = kind.__doc__ or ""
    assert re.findall(r"^    ## (.+)$", text, flags=re.MULTILINE) == list(SECTIONS)
    assert f'gym.make("{name}"' in text
    rows = re.findall(r"^    \| (\d+) \| ([^|]+) \|", text, flags=re.MULTILINE)
    assert [(int(place), words.strip()) for place, words in rows] == list(enumerate(TASK_WORDS[task]))


@pytest.mark.parametrize("action_mode", ["discrete", "text", "either"])
@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_every_spec_travels(name: str, action_mode: str) -> None:
    env = gym.make(
        name, checkpoint="fake", action_mode=action_mode, think=True, consistency=True, reset_options={"goal_text": "red"}
    )
    assert env.spec is not None
    expected = env.reset(seed=2)
    for spec in (EnvSpec.from_json(env.spec.to_json()), pickle.loads(pickle.dumps(env.spec))):
        twin = gym.make(spec)
        assert (twin.action_space, twin.observation_space) == (env.action_space, env.observation_space)
        frame, info = twin.reset(seed=2)
        np.testing.assert_array_equal(frame, expected[0])
        assert info == expected[1]


def test_a_task_that_a_checkpoint_was_never_taught_is_refused_in_words(tmp_path: Path) -> None:
    world = {"action_words": ["Move forward", "Stay"]}
    folder = write_folder(
        tmp_path / "old", BagelConfig.model_validate({**PRESETS["tiny"], "world": {**PRESETS["tiny"]["world"], **world}})
    )
    env = gym.make(NAVIGATE_ID, checkpoint=str(folder)).unwrapped
    assert isinstance(env, WorldEnv)
    assert env.action_words == ("Move forward", "Stay")
    for name, task in ((ROTATE_ID, "rotate"), (ROLLOUT_ID, "rollout")):
        with pytest.raises(CapabilityError, match=f"never taught the task '{task}', only 'navigate'"):
            gym.make(name, checkpoint=str(folder))
        with pytest.raises(CapabilityError, match="Load one that was"):
            gym.make_vec(name, num_envs=2, checkpoint=str(folder))
    with pytest.raises(UnknownNameError, match="There is no task 'drive'"):
        load_world("drive", str(folder))


def test_an_unknown_setting_is_named() -> None:
    for kind in (ConfigError, TypeError):
        with pytest.raises(kind, match=r"unexpected keyword argument 'horizons'.*'horizon'"):
            gym.make(NAVIGATE_ID, checkpoint="fake", horizons=3)
