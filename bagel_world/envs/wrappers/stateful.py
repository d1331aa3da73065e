"""StatefulWrapper: what it remembers travels in the state of the environment, and branches pass through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym

from bagel_world.envs.starts import options_of
from bagel_world.envs.state import state_from_bytes
from bagel_world.errors import StateError
from bagel_world.types import Transition

WRAPPERS = "wrappers"
"""The key of a state under which wrappers keep what they remember, innermost first."""


class StatefulWrapper(gym.Wrapper[Any, Any, Any, Any]):
    """A wrapper that keeps `get_state`, `set_state` and `branch` of `WorldEnv` working.

    A subclass that remembers something overrides `remember`, `read_memory` and `keep_memory`; one that changes what a step
    shows also overrides `show`. Other wrappers may lie between it and the environment, as `gym.make` adds some.
    """

    remembers = False
    """Whether this wrapper has a part of its own in states."""

    def remember(self) -> dict[str, Any]:
        """What the rest of the episode depends on: JSON values and arrays."""
        return {}

    def read_memory(self, memory: Mapping[str, Any]) -> Any:
        """Check what `remember` gave; the wrapper stays as it is.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        return None

    def keep_memory(self, memory: Any) -> None:
        """Go on from what `read_memory` gave."""

    def show(self, transition: Transition) -> Transition:
        """A branch of the environment below as `step` of this wrapper would show it."""
        return transition

    def get_state(self) -> dict[str, Any]:
        """The state of the environment below, with what this wrapper remembers."""
        state = dict(self._below("get_state")())
        if self.remembers:
            state[WRAPPERS] = [*state.get(WRAPPERS, ()), {"name": type(self).__name__, **self.remember()}]
        return state

    def set_state(self, state: Mapping[str, Any] | bytes, reseed: int | None = None) -> None:
        """Go on from a saved state, as `WorldEnv.set_state` does.

        Raises:
            StateError: the state does not fit, or was saved below this wrapper; the running episode stays as it is.
        """
        below, memory = self._split(state)
        if not self._has_begun():  # Gymnasium lets nobody step before a reset
            self.env.reset(options={"state": below})
        self._below("set_state")(below, reseed=reseed)
        if self.remembers:
            self.keep_memory(memory)

    def branch(self, actions: Sequence[Any], *, reseed: int | Sequence[int] | None = None) -> list[Transition]:
        """The futures these actions would lead to, each as `step` would show it; see `WorldEnv.branch`."""
        return [self.show(transition) for transition in self._below("branch")(actions, reseed=reseed)]

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; a state in the options restores this wrapper too, where it was saved through it."""
        below, memory = options_of(options), None
        if below.get("state") is not None:
            state = _mapping(below["state"])
            if self.remembers and state.get(WRAPPERS):
                below["state"], memory = self._split(state)
        observation, info = self.env.reset(seed=seed, options=below if options is not None else None)
        return self.begin(observation, info, memory)

    def begin(self, observation: Any, info: dict[str, Any], memory: Any) -> tuple[Any, dict[str, Any]]:
        """What a reset shows; `memory` is from `read_memory`, or None at a new beginning."""
        return observation, info

    def _split(self, state: Any) -> tuple[Mapping[str, Any] | bytes, Any]:
        """The state of the environment below, and what this wrapper remembers in it."""
        if not self.remembers:
            return state, None
        state = _mapping(state)
        parts = state.get(WRAPPERS)
        name = type(self).__name__
        last = parts[-1] if isinstance(parts, (list, tuple)) and parts else None
        if not isinstance(last, Mapping) or last.get("name") != name:
            raise StateError(
                f"Expected a state that was saved through the wrapper {name}, got one without its part. "
                f"Call get_state of this environment, or set_state of env.unwrapped to go around the wrapper."
            )
        try:
            memory = self.read_memory(last)
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(f"The part of the wrapper {name} in this state does not fit: {error}. Save it again.") from error
        return {**state, WRAPPERS: list(parts[:-1])}, memory

    def _has_begun(self) -> bool:
        try:
            return bool(self.env.get_wrapper_attr("has_reset"))
        except AttributeError:  # nobody below keeps count
            return True

    def _below(self, name: str) -> Any:
        try:
            return self.env.get_wrapper_attr(name)
        except AttributeError as error:
            raise StateError(
                f"Expected an environment with {name}, got {self.env.unwrapped}, which has no states. Wrap a WorldEnv."
            ) from error


def _mapping(state: Any) -> Mapping[str, Any]:
    if isinstance(state, (bytes, bytearray, memoryview)):
        return state_from_bytes(bytes(state))
    if not isinstance(state, Mapping):
        raise StateError(f"Expected a state from get_state (a mapping) or its bytes, got {type(state).__name__}.")
    return state
