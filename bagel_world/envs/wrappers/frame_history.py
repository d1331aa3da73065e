"""FrameHistory: observations of the last few frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector.utils import batch_space

from bagel_world.envs.wrappers.stateful import StatefulWrapper
from bagel_world.errors import ConfigError
from bagel_world.types import Transition


class FrameHistory(StatefulWrapper, RecordConstructorArgs):
    """Shows the last `length` observations, oldest first; an episode begins with its first one repeated.

    Observations have shape (length, *shape below). Unlike Gymnasium's, the history travels in states.

    Args:
        env: its observations are arrays (`spaces.Box`).
        length: how many, at least 1.

    Raises:
        ConfigError: not a length, or observations that are no arrays.
    """

    remembers = True

    def __init__(self, env: gym.Env[Any, Any], length: int) -> None:
        if isinstance(length, bool) or not isinstance(length, int) or length < 1:
            raise ConfigError(f"Expected a length of at least 1, got {length!r}.")
        if not isinstance(env.observation_space, spaces.Box):
            raise ConfigError(f"Expected observations that are arrays (Box), got {env.observation_space}.")
        RecordConstructorArgs.__init__(self, length=length)
        StatefulWrapper.__init__(self, env)
        self.length = length
        self.observation_space = batch_space(env.observation_space, length)
        self._history: tuple[npt.NDArray[Any], ...] = ()

    @property
    def observation(self) -> npt.NDArray[Any]:
        """The last observations as they stand, such as after `set_state`; empty before the first reset."""
        return np.array(self._history)

    def begin(self, observation: Any, info: dict[str, Any], memory: Any) -> tuple[Any, dict[str, Any]]:
        """The first observation repeated, or the history of a state."""
        self._history = memory or (observation,) * self.length
        return self.observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """One step, shown with what came before."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._history = (*self._history[1:], observation)
        return self.observation, reward, terminated, truncated, info

    def show(self, transition: Transition) -> Transition:
        """The branch, shown with what came before."""
        return replace(transition, frame=np.stack([*self._history[1:], transition.frame]))

    def remember(self) -> dict[str, Any]:
        """The last observations."""
        return {"history": [each.copy() for each in self._history]}

    def read_memory(self, memory: Mapping[str, Any]) -> tuple[npt.NDArray[Any], ...]:
        """The last observations."""
        history = tuple(np.array(each) for each in memory["history"])
        below = self.env.observation_space
        if len(history) != self.length or any(each not in below for each in history):
            raise ValueError(f"expected {self.length} observations in {below}, got {[each.shape for each in history]}")
        return history

    def keep_memory(self, memory: tuple[npt.NDArray[Any], ...]) -> None:
        """Show these from now on."""
        self._history = memory
