"""Resize: observations of another size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from PIL import Image

from bagel_world.envs.wrappers.stateful import StatefulWrapper
from bagel_world.errors import ConfigError
from bagel_world.types import Frame, Transition


class Resize(StatefulWrapper, RecordConstructorArgs):
    """Shows frames at another size (bicubic, antialiased); the world below goes on at its own.

    Args:
        env: its observations are frames, uint8 (height, width, 3).
        size: (height, width) in pixels.

    Raises:
        ConfigError: not a size, or observations that are no frames.
    """

    def __init__(self, env: gym.Env[Any, Any], size: tuple[int, int]) -> None:
        space = env.observation_space
        if not isinstance(space, spaces.Box) or space.dtype != np.uint8 or len(space.shape) != 3 or space.shape[-1] != 3:
            raise ConfigError(
                f"Expected observations that are frames, uint8 (height, width, 3), got {space}. Resize before other wrappers."
            )
        if not _is_size(size):
            raise ConfigError(f"Expected a size (height, width) of whole numbers from 1 on, got {size!r}.")
        RecordConstructorArgs.__init__(self, size=size)
        StatefulWrapper.__init__(self, env)
        self.size = (size[0], size[1])
        self.observation_space = spaces.Box(0, 255, shape=(*self.size, 3), dtype=np.uint8)

    def begin(self, observation: Any, info: dict[str, Any], memory: Any) -> tuple[Any, dict[str, Any]]:
        """The first frame at the new size."""
        return self._resized(observation), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """One step, its frame at the new size."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._resized(observation), reward, terminated, truncated, info

    def show(self, transition: Transition) -> Transition:
        """The branch with its frame at the new size."""
        return replace(transition, frame=self._resized(transition.frame))

    def _resized(self, frame: Frame) -> Frame:
        if frame.shape[:2] == self.size:
            return frame
        height, width = self.size
        return np.array(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))


def _is_size(size: Any) -> bool:
    sides = size if isinstance(size, (tuple, list)) else ()
    return len(sides) == 2 and all(isinstance(side, int) and not isinstance(side, bool) and side >= 1 for side in sides)
