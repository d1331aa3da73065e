"""Thousands of random call sequences: only named errors, and never a broken environment afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded

from bagel_world.envs import WorldEnv, state_from_bytes, state_to_bytes
from bagel_world.errors import BagelWorldError
from bagel_world.world.fake import FakeWorld

SEQUENCES = {"fake": 2000, "nano": 50}
LONGEST = 10

OPTIONS: list[Any] = [
    None,
    {},
    {"image": np.zeros((5, 9, 3), np.uint8)},
    {"image": "no such file"},
    {"goal_image": np.full((16, 16), 128, np.uint8)},
    {"goal_text": "the door", "prompt": "A house."},
    {"goal_text": ""},
    {"history": {"frames": [np.zeros((8, 8, 3), np.uint8)] * 2, "actions": [1]}},
    {"history": {"frames": [], "actions": []}},
    {"state": b"none"},
    {"what": 1},
]
ACTIONS: list[Any] = [
    0,
    1,
    2,
    3,
    np.int64(1),
    4,
    -1,
    None,
    float("nan"),
    "Look left",
    "",
    "x" * 100_000,
    "\ud800\x00",
    [],
    b"\xff",
    object(),
]


def call_something(env: WorldEnv, generator: np.random.Generator, states: list[Any]) -> None:
    """One random call; any refusal but the package's own and Gymnasium's for a missing reset fails the test."""
    choice = int(generator.integers(10))
    try:
        if choice < 5:
            env.step(pick(ACTIONS, generator))
        elif choice == 5:
            env.reset(seed=pick([None, 0, 7], generator), options=pick(OPTIONS, generator))
        elif choice == 6:
            env.branch([pick(ACTIONS[:5], generator), pick(ACTIONS, generator)])
        elif choice == 7:
            states.append(state_from_bytes(state_to_bytes(env.get_state())) if generator.random() < 0.2 else env.get_state())
        elif choice == 8:
            env.set_state(pick([*states, {}, b"", None], generator), reseed=pick([None, 3, -1], generator))
        else:
            env.render()
    except (BagelWorldError, ResetNeeded):
        return


def pick(values: list[Any], generator: np.random.Generator) -> Any:
    return values[int(generator.integers(len(values)))]


def still_works(env: WorldEnv) -> bool:
    env.reset(seed=0)
    action = 1 if env.dynamics.config.action_mode == "discrete" else "Look left"
    frame, reward, terminated, truncated, info = env.step(action)
    return frame in env.observation_space and (reward, terminated, truncated, info["action_valid"]) == (0.0, False, False, True)


def test_random_sequences_of_calls(make: Callable[..., WorldEnv], checkpoint: str) -> None:
    generator = np.random.default_rng(0)
    envs = [make(action_mode=mode, horizon=4, render_mode="ansi") for mode in ("discrete", "text")]
    for sequence in range(SEQUENCES[checkpoint]):
        env = envs[sequence % 2]
        states: list[Any] = []
        for _ in range(int(generator.integers(1, LONGEST))):
            call_something(env, generator, states)
        if sequence % 20 < 2:
            assert still_works(env)


def test_sequences_leave_nothing_behind() -> None:
    generator = np.random.default_rng(1)
    used, fresh = WorldEnv(FakeWorld(), horizon=4), WorldEnv(FakeWorld(), horizon=4)
    for _ in range(100):
        states: list[Any] = []
        for _ in range(5):
            call_something(used, generator, states)
        for env in (used, fresh):
            env.reset(seed=5)
        for action in (0, 1, 2):
            ours, theirs = used.step(action), fresh.step(action)
            np.testing.assert_array_equal(ours[0], theirs[0])
            assert ours[1:] == theirs[1:]
