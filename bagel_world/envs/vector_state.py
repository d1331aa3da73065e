"""The state of many walks: those of the single ones, and what they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gymnasium.vector import AutoresetMode

from bagel_world.envs.state import state_from_bytes
from bagel_world.errors import StateError

VECTOR_STATE_VERSION = 1

_KIND = "vector"
_HEAD = ("kind", "version", "autoreset_mode")


def join_states(states: Sequence[Mapping[str, Any]], mode: AutoresetMode) -> dict[str, Any]:
    """One state of all walks; an end that waits for its reset is in the state of its walk."""
    return {
        "kind": _KIND,
        "version": VECTOR_STATE_VERSION,
        "autoreset_mode": mode.value,
        "states": [dict(each) for each in states],
    }


def split_state(state: Any, count: int, mode: AutoresetMode) -> list[Mapping[str, Any]]:
    """The states that `join_states` joined.

    Args:
        state: a mapping, or its bytes.
        count: walks of the environment that is to go on.
        mode: its autoreset mode: at the next end another one would show other frames.

    Raises:
        StateError: something else, or for another number of walks or another mode.
    """
    if isinstance(state, (bytes, bytearray, memoryview)):
        state = state_from_bytes(bytes(state))
    # By what they look like, as anything may stand here: arrays do not compare to a truth value.
    kind, version, saved = (repr(state.get(name)) if isinstance(state, Mapping) else "" for name in _HEAD)
    if kind != repr(_KIND):
        raise StateError(
            f"Expected the state of a vector environment, got {_describe(state)}. "
            f"The state of a single walk goes to one place: set_state(state, place=0)."
        )
    if version != repr(VECTOR_STATE_VERSION):
        raise StateError(f"Expected a vector state of version {VECTOR_STATE_VERSION}, got {version:.80}. Save it again.")
    if saved != repr(mode.value):
        raise StateError(
            f"This state was saved with autoreset_mode={saved:.80}, this environment has {mode.value!r}. "
            f"Make it with that mode, or hand over walk by walk: set_state(state['states'][0], place=0)."
        )
    states = state.get("states")
    if not isinstance(states, (list, tuple)) or len(states) != count:
        found = len(states) if isinstance(states, (list, tuple)) else "none"
        raise StateError(f"Expected a state of {count} walks, got {found}. Make as many environments, or hand over walk by walk.")
    return list(states)


def _describe(state: Any) -> str:
    if not isinstance(state, Mapping):
        return f"{type(state).__name__}"
    return "that of a single walk" if "context" in state else f"a mapping of kind {state.get('kind')!r:.40}"
