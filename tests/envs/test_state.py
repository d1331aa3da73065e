"""States: what is saved goes on bit for bit, here, elsewhere and as bytes; other futures on request."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bagel_world.envs import WorldEnv, state_from_bytes, state_to_bytes
from bagel_world.errors import StateError
from bagel_world.world.fake import FakeWorld
from bagel_world.world.scoring import JudgeScorer
from tests.envs.conftest import hash_frames, walk

Make = Callable[..., WorldEnv]


def test_the_same_actions_show_the_same_frames_again(make: Make) -> None:
    env = make()
    env.reset(seed=8)
    walk(env, [0, 1])
    state = env.get_state()
    first = [env.step(action) for action in (0, 2, 3, 1)]
    first_reset = env.reset()
    env.set_state(state)
    second = [env.step(action) for action in (0, 2, 3, 1)]
    for ours, theirs in zip(first, second, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        assert ours[1:] == theirs[1:]
    second_reset = env.reset()
    np.testing.assert_array_equal(first_reset[0], second_reset[0])
    assert first_reset[1] == second_reset[1]


def test_a_state_goes_on_in_another_process(
    make: Make, checkpoint: str, run_python: Callable[[str], str], tmp_path: Path
) -> None:
    env = make()
    env.reset(seed=8, options={"goal_image": np.zeros((40, 40, 3), np.uint8)})
    walk(env, [0, 1, 1])
    file = tmp_path / "walk.state"
    file.write_bytes(state_to_bytes(env.get_state()))
    actions = [2, 0, 3, 3, 1, 0, 0]
    program = f"""
import hashlib, gymnasium as gym
from pathlib import Path
from bagel_world.envs import register_all
register_all()
env = gym.make("BagelNavigate-v0", checkpoint={checkpoint!r}).unwrapped
env.set_state(Path({str(file)!r}).read_bytes())
steps = [env.step(action) for action in {actions}]
print(hashlib.sha256(b"".join(step[0].tobytes() for step in steps)).hexdigest(), steps[-1][1], steps[-1][4]["model_calls"])
"""
    steps = [env.step(action) for action in actions]
    expected = f"{hash_frames([step[0] for step in steps])} {steps[-1][1]} {steps[-1][4]['model_calls']}"
    assert run_python(program) == expected


def test_a_long_walk_is_restored_with_its_window() -> None:
    world = FakeWorld(max_frames=4)
    env = WorldEnv(world, horizon=100)
    env.reset(seed=0)
    walk(env, [0, 1, 2] * 5)
    twin = WorldEnv(FakeWorld(max_frames=4), horizon=100)
    twin.set_state(state_to_bytes(env.get_state()))
    assert twin.dynamics.info(twin.session) == env.dynamics.info(env.session)
    np.testing.assert_array_equal(np.stack(walk(twin, [1, 0, 3])), np.stack(walk(env, [1, 0, 3])))


def test_reseed_draws_another_future_and_repeats_it(make: Make) -> None:
    env = make()
    env.reset(seed=8)
    state = env.get_state()
    futures = []
    for reseed in (None, 1, 2, 1, None):
        env.set_state(state, reseed=reseed)
        futures.append(hash_frames(walk(env, [0, 0])))
    assert futures[0] == futures[4]
    assert futures[1] == futures[3]
    assert len(set(futures)) == 3


def test_reset_takes_a_state(make: Make) -> None:
    env, twin = make(), make()
    env.reset(seed=8)
    here = env.step(1)[0]
    state = env.get_state()
    future = walk(env, [0, 2])
    observation, info = twin.reset(options={"state": state})
    np.testing.assert_array_equal(observation, here)
    assert info["action_text"] is None
    assert info["model_calls"] == 1
    np.testing.assert_array_equal(np.stack(walk(twin, [0, 2])), np.stack(future))
    seeded = []
    for _ in range(2):
        observation, _ = twin.reset(seed=99, options={"state": state_to_bytes(state)})
        np.testing.assert_array_equal(observation, here)
        seeded.append(hash_frames(walk(twin, [0, 2])))
    assert seeded[0] == seeded[1] != hash_frames(future)


def test_the_step_counter_and_the_end_travel_along(make: Make) -> None:
    env = make(horizon=3)
    env.reset(seed=0)
    walk(env, [3, 3])
    twin = make(horizon=3)
    twin.set_state(env.get_state())
    assert twin.step(3)[3] is True
    env.set_state(twin.get_state())
    with pytest.raises(Exception, match="over"):
        env.step(3)


def test_another_reward_scores_a_foreign_state_anew(fake: FakeWorld) -> None:
    env = WorldEnv(fake, reward="none")
    env.reset(seed=0, options={"goal_image": fake.starts[0].frames[0]})
    assert env.session.score is None
    judged = WorldEnv(fake)
    judged.set_state(env.get_state())
    expected = fake.similarity([env.session.frame], [fake.starts[0].frames[0]])
    assert judged.session.score == expected[0]


def test_functions_of_one_name_and_judges_that_see_otherwise_score_anew(fake: FakeWorld) -> None:
    low, high = WorldEnv(fake, reward=lambda frame, goal: 0.1), WorldEnv(fake, reward=lambda frame, goal: 0.9)
    high.reset(seed=0)
    low.reset(seed=0)
    _, info = low.reset(options={"state": high.get_state()})
    assert info["goal_distance"] == pytest.approx(0.9)
    assert low.step(3)[1] == pytest.approx(0.0)
    assert JudgeScorer().source != JudgeScorer(sees="frame").source


def test_bytes_hold_equal_values() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    state: dict[str, Any] = {
        "frame": frame,
        "view": frame[::2, ::-1, 0],
        "latents": np.arange(12, dtype=np.float32).reshape(3, 4).T,
        "scalar": np.array(2.5),
        "empty": np.zeros((0, 4), np.float16),
        "nested": [{"list": [1, 2.5, None, True, "text \u00fc"]}, []],
        "large": 2**127 + 1,
        "tiny": 0.1 + 0.2,
    }
    data = state_to_bytes(state)
    back = state_from_bytes(data)
    assert list(back) == list(state)
    for name in ("frame", "view", "latents", "scalar", "empty"):
        assert back[name].dtype == state[name].dtype
        np.testing.assert_array_equal(back[name], state[name])
    assert {name: back[name] for name in ("nested", "large", "tiny")} == {
        name: state[name] for name in ("nested", "large", "tiny")
    }
    assert state_to_bytes(back) == data


def test_bytes_are_a_safetensors_file(tmp_path: Path, fake: FakeWorld) -> None:
    from safetensors import safe_open

    env = WorldEnv(fake)
    env.reset(seed=0)
    (tmp_path / "walk.safetensors").write_bytes(state_to_bytes(env.get_state()))
    with safe_open(tmp_path / "walk.safetensors", framework="numpy") as file:
        document = json.loads(file.metadata()["bagel_world.state"])
    assert document["step"] == 0
    assert document["weights"] == fake.provenance["weights"]


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, b"bytes", 1j, np.array([object()]), np.array(["text"]), {1: 2}, {"$array": 1}]
)
def test_values_that_are_no_state(value: Any) -> None:
    with pytest.raises(StateError, match="Expected"):
        state_to_bytes({"value": value})


def test_damaged_bytes_are_refused_whole(fake: FakeWorld) -> None:
    env = WorldEnv(fake)
    env.reset(seed=0)
    data = state_to_bytes(env.get_state())
    generator = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(data[: generator.integers(0, len(data))])
        with pytest.raises(StateError):
            env.set_state(bytes(damaged))
    refused = 0
    for place in generator.integers(0, 2000, 200).tolist():
        damaged = bytearray(data)
        damaged[place] ^= 255
        try:
            env.set_state(bytes(damaged))
        except StateError:
            refused += 1
    assert refused > 150
    env.set_state(data)
    assert env.session.step == 0


def test_states_of_other_worlds_are_refused(fake: FakeWorld) -> None:
    env = WorldEnv(fake)
    env.reset(seed=0)
    state = env.get_state()
    with pytest.raises(StateError, match=r"fake-noise1.*fake-noise0"):
        WorldEnv(FakeWorld(noise=0)).set_state(state)
    with pytest.raises(StateError, match="size"):
        WorldEnv(FakeWorld(frame_size=(32, 64))).set_state(state)
    with pytest.raises(StateError, match="version"):
        env.set_state({**state, "version": 0})
    for missing in set(state) - {"weights"}:
        with pytest.raises(StateError):
            WorldEnv(fake).set_state({name: value for name, value in state.items() if name != missing})


@pytest.mark.parametrize("reseed", [-1, 1.5, "7", True])
def test_a_wrong_reseed_changes_nothing(fake: FakeWorld, reseed: Any) -> None:
    env = WorldEnv(fake)
    env.reset(seed=0)
    state = env.get_state()
    env.step(0)
    with pytest.raises(StateError, match="whole number"):
        env.set_state(state, reseed=reseed)
    assert env.session.step == 1


def test_a_state_is_small_and_does_not_change_later(make: Make) -> None:
    env = make()
    env.reset(seed=0)
    before = state_to_bytes(env.get_state())
    state = env.get_state()
    walk(env, [0, 1, 2])
    assert state_to_bytes(state) == before
    height, width = env.world.frame_size
    assert len(before) < 3 * height * width * 3
