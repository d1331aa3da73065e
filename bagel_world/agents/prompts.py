"""What an agent says to the models that propose for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bagel_world.agents.parsing import STOP
from bagel_world.images import png_base64
from bagel_world.types import Frame
from bagel_world.world.prompts import THINK_CLOSE, THINK_OPEN
from bagel_world.world.scoring import Goal

_ARTICLES = ("the", "a", "an")


def goal_sentence(goal: Goal) -> str:
    """The goal as a sentence that asks for it: "the yellow duck" becomes "Find the yellow duck."."""
    if goal.text is None:
        return "Reach the place that the goal picture shows."
    text = goal.text.strip()
    return f"Find {text.rstrip('.')}." if text.split(" ")[0].lower() in _ARTICLES else text


def decision_prompt(goal: Goal, words: Sequence[str], depth: int) -> str:
    """What a general chat model needs to be told: the goal, the actions, and how to write them."""
    listed = f"The actions are: {', '.join(words)}." if words else "An action is a short instruction in words."
    return (
        f"You look through the eyes of an agent. {goal_sentence(goal)} {listed} "
        f"First reason about where the goal is and what to do, between {THINK_OPEN} and {THINK_CLOSE}. "
        f"Then write the next {depth} action{'s' if depth > 1 else ''}, separated by commas, and nothing else. "
        f"Write {STOP} instead, or as the last one, where the goal is reached."
    )


def image_block(frame: Frame) -> dict[str, Any]:
    """A frame as the image block that chat models take."""
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png_base64(frame)}"}}
