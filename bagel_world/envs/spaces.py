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

ActionMode = Literal["discrete", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An action as understood: the action, or why there is none."""

    action: Action | None
    error: str | None = None


def observation_space(frame_size: tuple[int, int]) -> spaces.Box:
    """Frames: uint8, shape (height, width, 3), 0..255."""
    return spaces.Box(0, 255, shape=(*frame_size, 3), dtype=np.uint8)


def action_space(mode: ActionMode, words: tuple[str, ...]) -> spaces.Space[Any]:
    """Ids of the words, or printable text of at most `MAX_TEXT_LENGTH` characters."""
    if mode == "discrete":
        return spaces.Discrete(len(words))
    return spaces.Text(max_length=MAX_TEXT_LENGTH, charset=string.printable)


def read_action(action: Any, mode: ActionMode, words: tuple[str, ...]) -> Reading:
    """What the agent means.

    Raises:
        ActionError: in discrete mode, anything but an id of one of the words. Bad text is no exception but a `Reading.error`:
            a language model can learn from it and go on.
    """
    if mode == "discrete":
        return Reading(action=action_from_id(action, words))
    try:
        return Reading(action=action_from_text(action, words))
    except ActionError as error:
        return Reading(action=None, error=str(error))
