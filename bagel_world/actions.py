"""The action words that simulators, checkpoints and environments share, and the rules for free text."""

from __future__ import annotations

import numpy as np

from bagel_world.errors import ActionError
from bagel_world.types import Action

NAVIGATE_WORDS = ("Move forward", "Look left", "Look right", "Stay")
"""Discrete actions of the navigation worlds; the id is the place in the tuple."""

TURNS = (15, 30, 45)
"""Degrees that a camera can go around an object in one action."""

ROTATE_WORDS = (
    *(f"Rotate the camera to the left by {degrees} degrees" for degrees in TURNS),
    *(f"Rotate the camera to the right by {degrees} degrees" for degrees in TURNS),
    "Stay",
)
"""Discrete actions of the rotation worlds; the id is the place in the tuple."""

WAITS = (1, 2, 4)
"""Frame intervals that can go by in one action."""

ROLLOUT_WORDS = ("Wait one moment", "Wait two moments", "Wait four moments")
"""Discrete actions of the worlds that go on by themselves, in the order of `WAITS`; the id is the place in the tuple."""

_HALF = len(TURNS)
_LEFT_RIGHT = (("Look left", "Look right"), *zip(ROTATE_WORDS[:_HALF], ROTATE_WORDS[_HALF : 2 * _HALF], strict=True))
MIRRORED = {**dict(_LEFT_RIGHT), **{right: left for left, right in _LEFT_RIGHT}}
"""The action that does in a mirror image what this one does."""

SYMMETRIC = tuple(word for word in dict.fromkeys((*NAVIGATE_WORDS, *ROTATE_WORDS, *ROLLOUT_WORDS)) if word not in MIRRORED)
"""Actions that do the same in a mirror image. Nobody knows it of any other word: such walks have no mirror."""

TASK_WORDS = {"navigate": NAVIGATE_WORDS, "rotate": ROTATE_WORDS, "rollout": ROLLOUT_WORDS}
"""What a checkpoint can be taught, by task, and the discrete actions of each."""

GOAL_QUESTION = "Is the goal reached: {goal}?"
"""How a checkpoint is taught to judge a goal, and how it is asked; the answer is one of the two below."""

YES, NO = "yes", "no"
"""Answers to a question that has two."""

MAX_TEXT_LENGTH = 512
"""Longest action text, in characters."""


def goal_question(goal: str) -> str:
    """The question whether this goal is reached: the goal begins small, and its closing marks give way to the question's own."""
    goal = goal.strip().rstrip(".?! ")
    return GOAL_QUESTION.format(goal=goal[:1].lower() + goal[1:])


def action_from_id(index: int, words: tuple[str, ...]) -> Action:
    """The action with this id.

    Raises:
        ActionError: the id is not a whole number in `range(len(words))`.
    """
    try:
        number = int(index)
        whole = number == index
    except (TypeError, ValueError, OverflowError):
        whole = False
        number = -1
    if not whole or isinstance(index, (bool, np.bool_)) or not 0 <= number < len(words):
        table = ", ".join(f"{place} = {word!r}" for place, word in enumerate(words))
        raise ActionError(f"Expected an action id in 0..{len(words) - 1} ({table}), got {index!r}.")
    return Action(text=words[number], id=number)


def action_from_text(text: object, words: tuple[str, ...] = ()) -> Action:
    """The action these words describe; its id where they are one of the known action words.

    Raises:
        ActionError: not a string, blank, longer than `MAX_TEXT_LENGTH` characters, or no valid Unicode.
    """
    if not isinstance(text, str):
        raise ActionError(f"Expected an action in words (str), got {type(text).__name__}: {text!r:.80}.")
    stripped = text.strip()
    if not stripped:
        hint = f", for example {words[0]!r}" if words else ""
        raise ActionError(f"Expected an action in words, got an empty text. Say what to do{hint}.")
    if len(stripped) > MAX_TEXT_LENGTH:
        raise ActionError(
            f"Expected at most {MAX_TEXT_LENGTH} characters of action text, got {len(stripped)}. Say it in one short sentence."
        )
    try:
        stripped.encode()
    except UnicodeEncodeError as error:
        raise ActionError(
            f"Expected text that can be written as UTF-8, got {stripped!r:.80} ({error.reason}). Retype it."
        ) from error
    lowered = {word.lower(): place for place, word in enumerate(words)}
    place = lowered.get(stripped.lower())
    return Action(text=stripped) if place is None else Action(text=words[place], id=place)
