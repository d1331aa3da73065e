"""Body: what an agent sees and does in somebody's environment: frames out, action words in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from bagel_world.actions import action_from_id, action_from_text
from bagel_world.errors import ActionError, ConfigError, nearest
from bagel_world.images import fit_image
from bagel_world.types import Action, Frame


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sight:
    """What came of an action.

    Attributes:
        frame: at the world's size.
        reward: the environment's.
        terminated: the environment says that the episode is over.
        truncated: the environment breaks it off.
        info: the environment's.
    """

    frame: Frame
    reward: float
    terminated: bool
    truncated: bool
    info: Mapping[str, Any]


def success_of(info: Mapping[str, Any]) -> bool | None:
    """Whether an environment says that the goal is reached ("success" or "is_success"); None where it says nothing."""
    told = [info[name] for name in ("success", "is_success") if name in info]
    return any(bool(np.all(each)) for each in told) if told else None


class Body:
    """An environment seen through frames and moved by words.

    Args:
        env: any Gymnasium environment whose observation or `render()` is an RGB picture.
        frame_size: (height, width) that frames are brought to: cropped around the center to the aspect, then resized.
        actions: what to hand to `env.step` for every action word. Not needed where the environment has `action_words` (its ids
            are taken) or takes text.
        look: makes a picture of an observation; not needed where the observation is one, or where the environment renders
            "rgb_array".

    Raises:
        ConfigError: no way to see or to act, or no environment at all.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        frame_size: tuple[int, int],
        *,
        actions: Mapping[str, Any] | None = None,
        look: Callable[[Any], Any] | None = None,
    ) -> None:
        if not isinstance(env, gym.Env):
            raise ConfigError(f"Expected an environment, for example gym.make('BagelNavigate-v0'), got {env!r:.80}.")
        if actions is not None and not isinstance(actions, Mapping):
            raise ConfigError(f"Expected what to hand to env.step by action word, as a dictionary, got {actions!r:.80}.")
        self.env = env
        self._size = frame_size
        self._look = look or _find_eyes(env)
        self._speak = _find_voice(env) if actions is None else None
        self._moves = {} if self._speak is not None else _find_moves(env, actions)

    @property
    def actions(self) -> tuple[Action, ...]:
        """What can be done; empty where any words can."""
        return tuple(Action(text=word, id=place) for place, word in enumerate(self._moves))

    def begin(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> Frame:
        """Reset the environment and look."""
        observation, _ = self.env.reset(seed=seed, options=None if options is None else dict(options))
        return self.see(observation)

    def see(self, observation: Any) -> Frame:
        """The frame of an observation."""
        return fit_image(self._look(observation), self._size)

    def act(self, action: Action) -> Sight:
        """Do something and look.

        Raises:
            ActionError: the environment has no such action.
        """
        observation, reward, terminated, truncated, info = self.env.step(self._move(action))
        return Sight(
            frame=self.see(observation),
            reward=float(reward),
            terminated=bool(terminated),
            truncated=bool(truncated),
            info=dict(info),
        )

    def _move(self, action: Action) -> Any:
        if self._speak is not None:
            return self._speak(action.text)
        if action.text not in self._moves:
            raise ActionError(f"This environment has no action {action.text!r}. {nearest(action.text, self._moves)}")
        return self._moves[action.text]


def _find_voice(env: gym.Env[Any, Any]) -> Callable[[str], Any] | None:
    """How to tell an environment anything in words; None where it takes no text."""
    space = env.action_space
    if isinstance(space, spaces.Text):
        return str
    choices = space.spaces if isinstance(space, spaces.OneOf) else ()
    place = next((place for place, choice in enumerate(choices) if isinstance(choice, spaces.Text)), None)
    return None if place is None else lambda word: (place, word)


def _find_moves(env: gym.Env[Any, Any], actions: Mapping[str, Any] | None) -> dict[str, Any]:
    if actions is not None:
        if not actions:
            raise ConfigError("Expected at least one action word in actions={word: what env.step takes}, got none.")
        return {action_from_text(word).text: move for word, move in actions.items()}
    words = getattr(env.unwrapped, "action_words", None)
    if words is not None and isinstance(env.action_space, spaces.Discrete):
        start = int(env.action_space.start)
        return {action_from_id(place, tuple(words)).text: np.int64(start + place) for place in range(len(words))}
    raise ConfigError(
        f"Expected to know what the action words mean to {env.unwrapped}, which has the actions {env.action_space} and no "
        "`action_words`. Pass actions={'Move forward': ..., 'Look left': ...} with what env.step takes for each word."
    )


def _find_eyes(env: gym.Env[Any, Any]) -> Callable[[Any], Any]:
    space = env.observation_space
    if isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3 and space.shape[-1] in (1, 3, 4):
        return np.asarray
    if env.render_mode == "rgb_array":
        return lambda observation: env.render()
    raise ConfigError(
        f"Expected an environment that shows pictures, got observations {space!r:.120} and render_mode={env.render_mode!r}. "
        "Make it with render_mode='rgb_array', or pass look=: a function that makes a picture of an observation."
    )
