"""Action and observation spaces, and the one place where an agent's action is read."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from gymnasium import spaces

from bagel_world.actions import MAX_TEXT_LENGTH, action_from_id, action_from_text
from bagel_world.errors import ActionError
from bagel_world.types import Action

ActionMode = Literal["discrete", "text", "either"]
"""Ids, words, or whichever of the two the agent chooses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An action as understood: the action, or why there is none."""

    action: Action | None
    error: str | None = None


def observation_space(frame_size: tuple[int, int]) -> spaces.Box:
    """Frames: uint8, shape (height, width, 3), 0..255."""
    return spaces.Box(0, 255, shape=(*frame_size, 3), dtype=np.uint8)


def action_space(mode: ActionMode, words: tuple[str, ...]) -> spaces.Space[Any]:
    """Ids of the words ("discrete"), printable text of at most `MAX_TEXT_LENGTH` characters ("text"), or one of the two.

    Actions of "either" are pairs: (0, id) or (1, text).
    """
    ids, text = spaces.Discrete(len(words)), spaces.Text(max_length=MAX_TEXT_LENGTH, charset=string.printable)
    if mode == "either":
        return spaces.OneOf((ids, text))
    return ids if mode == "discrete" else text


def read_action(action: Any, mode: ActionMode, words: tuple[str, ...]) -> Reading:
    """What the agent means; with "either" also a bare id or a bare text, which cannot be taken for each other.

    Raises:
        ActionError: anything but an id of one of the words, where an id is meant. Bad text is no exception but a
            `Reading.error`: a language model can learn from it and go on.
    """
    if mode == "either":
        mode, action = _choice_of(action)
    if mode == "discrete":
        return Reading(action=action_from_id(action, words))
    try:
        return Reading(action=action_from_text(action, words))
    except ActionError as error:
        return Reading(action=None, error=str(error))


def as_list(values: Any) -> list[Any] | None:
    """The values as a list; None where they are none, or a text."""
    if isinstance(values, (str, bytes)):
        return None
    try:
        return list(values)
    except TypeError:
        return None


def _choice_of(action: Any) -> tuple[ActionMode, Any]:
    """Which of the two kinds an action is of, and the action itself."""
    if not isinstance(action, (tuple, list)):
        return ("text" if isinstance(action, str) else "discrete"), action
    if len(action) != 2 or isinstance(action[0], bool) or not isinstance(action[0], (int, np.integer)) or action[0] not in (0, 1):
        raise ActionError(f"Expected an action as (0, id), (1, text), an id or a text, got {action!r:.80}.")
    return ("text" if action[0] else "discrete"), action[1]
