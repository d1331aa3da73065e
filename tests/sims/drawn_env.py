"""Environments for tests, with frames drawn by numpy: a dot that walks along a line."""

from __future__ import annotations

import enum
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces


class Walk(gym.Env):
    """The dot starts where the seed says and ends the episode at either wall."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"]}
    observation_space = spaces.Box(0, 15, (1,), np.int64)
    action_space = spaces.Discrete(2)

    def __init__(self, render_mode: str | None = None, height: int = 12) -> None:
        self.render_mode = render_mode
        self.height = height
        self.place = 8

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(4, 12))
        return np.array([self.place]), {"place": self.place}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.place += 1 if action == 1 else -1
        return np.array([self.place]), float(self.place), self.place in (0, 15), False, {"place": self.place}

    def render(self) -> Any:
        return self.drawn()

    def drawn(self) -> np.ndarray:
        """The picture: gray, with a red dot in the upper row."""
        picture = np.full((self.height, 16, 3), 100, np.uint8)
        picture[0, self.place] = (255, 0, 0)
        return picture


class Blind(Walk):
    """Shows nothing."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["human"]}


class Seen(Walk):
    """Shows itself in its observations, beside other things."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}
    observation_space = spaces.Dict({"image": spaces.Box(0, 255, (12, 16, 3), np.uint8), "place": Walk.observation_space})

    def __init__(self) -> None:
        super().__init__()

    def reset(self, **settings: Any) -> Any:
        _, info = super().reset(**settings)
        return {"image": self.drawn(), "place": np.array([self.place])}, info

    def step(self, action: Any) -> Any:
        _, *rest = super().step(action)
        return {"image": self.drawn(), "place": np.array([self.place])}, *rest


class Growing(Walk):
    """Its frames become higher on the way."""

    def render(self) -> Any:
        self.height += 1
        return self.drawn()


class Fragile(Walk):
    """Fails in the episodes of every fourth seed."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        self.left = 10**6 if (seed or 0) % 4 else 2
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if not self.left:
            raise RuntimeError("out of order")
        self.left -= 1
        return super().step(action)


class Named(Walk):
    """Names its actions as MiniGrid does, and leaves out the last one."""

    class Actions(enum.IntEnum):
        """What it can do."""

        step_back = 0
        step_ahead = 1
        wave = 2

    actions = Actions


class Pushed(Walk):
    """Takes a number instead of a choice."""

    action_space = spaces.Box(-1, 1, (2,), np.float32)

    def step(self, action: Any) -> Any:
        return super().step(int(action[0] > 0))


def always_right(env: gym.Env, rng: np.random.Generator) -> Any:
    """A policy that steps to the right."""
    return lambda observation, info: 1


def wrong(env: gym.Env, rng: np.random.Generator) -> Any:
    """A policy that chooses what is not there."""
    return lambda observation, info: 7


def clumsy(env: gym.Env, rng: np.random.Generator) -> Any:
    """A policy that breaks."""
    return lambda observation, info: 1 // 0


def nothing(env: gym.Env, rng: np.random.Generator) -> Any:
    """No policy at all."""


ZERO = 0
