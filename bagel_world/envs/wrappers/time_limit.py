"""TimeLimit: truncates after a number of steps, and knows how many there were after `set_state`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs

from bagel_world.envs.wrappers.stateful import StatefulWrapper
from bagel_world.errors import ConfigError
from bagel_world.types import Transition


class TimeLimit(StatefulWrapper, RecordConstructorArgs):
    """Truncates an episode after some steps; unlike Gymnasium's, its counter travels in states.

    Args:
        env: what to limit.
        max_episode_steps: at least 1.

    Raises:
        ConfigError: fewer steps than one, or no whole number.
    """

    remembers = True

    def __init__(self, env: gym.Env[Any, Any], max_episode_steps: int) -> None:
        if isinstance(max_episode_steps, bool) or not isinstance(max_episode_steps, int) or max_episode_steps < 1:
            raise ConfigError(f"Expected max_episode_steps of at least 1, got {max_episode_steps!r}.")
        RecordConstructorArgs.__init__(self, max_episode_steps=max_episode_steps)
        StatefulWrapper.__init__(self, env)
        self.max_episode_steps = max_episode_steps
        self._elapsed = 0

    @property
    def elapsed_steps(self) -> int:
        """Steps since the reset."""
        return self._elapsed

    def begin(self, observation: Any, info: dict[str, Any], memory: Any) -> tuple[Any, dict[str, Any]]:
        """Count from 0, or from where a state was saved."""
        self._elapsed = memory or 0
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """One step, truncated if it is the last one allowed."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._elapsed += 1
        return observation, reward, terminated, truncated or self._elapsed >= self.max_episode_steps, info

    def show(self, transition: Transition) -> Transition:
        """The branch, truncated if the next step is the last one allowed."""
        return replace(transition, truncated=transition.truncated or self._elapsed + 1 >= self.max_episode_steps)

    def remember(self) -> dict[str, Any]:
        """The steps since the reset."""
        return {"elapsed": self._elapsed}

    def read_memory(self, memory: Mapping[str, Any]) -> int:
        """The steps since the reset."""
        elapsed = memory["elapsed"]
        if isinstance(elapsed, bool) or not isinstance(elapsed, int) or elapsed < 0:
            raise ValueError(f"expected elapsed steps as a whole number from 0 on, got {elapsed!r}")
        return elapsed

    def keep_memory(self, memory: int) -> None:
        """Count on from there."""
        self._elapsed = memory
