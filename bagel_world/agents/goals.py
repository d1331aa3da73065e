"""Goals: what is to be reached, as people and programs name it, and what tells how near it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bagel_world.actions import action_from_text
from bagel_world.errors import ActionError, ConfigError
from bagel_world.images import fit_image
from bagel_world.world.scoring import Goal, Scorer, make_scorer


def read_goal(goal: Goal | Any, size: tuple[int, int]) -> Goal:
    """A goal at the world's size.

    Args:
        goal: a `Goal`, a text, or an image.
        size: (height, width) of the world's frames.

    Raises:
        ConfigError: nothing to reach, or words that cannot be read.
        ImageError: an image that cannot be read.
    """
    if isinstance(goal, str):
        goal = Goal(text=goal)
    elif not isinstance(goal, Goal):
        goal = Goal(image=goal)
    if not goal:
        raise ConfigError("Expected a goal: a picture, words, or both; got neither.")
    image = None if goal.image is None else fit_image(goal.image, size)
    return replace(goal, image=image, text=None if goal.text is None else checked_goal(goal.text))


def scorer_for(goal: Goal, scorer: Scorer | None) -> Scorer:
    """The scorer that was chosen, or else the one that fits the goal: "judge" for words alone, "goal_image" for a picture."""
    return scorer or needed(make_scorer("judge" if goal.image is None else "goal_image"))


def needed(scorer: Scorer | None) -> Scorer:
    """The scorer, which nobody plans without.

    Raises:
        ConfigError: there is none.
    """
    if scorer is None:
        raise ConfigError("A planner needs scores to choose by, got the scorer 'none'. Use 'random' to choose without knowing.")
    return scorer


def checked_goal(goal: str) -> str:
    """A goal in words, as a world reads it.

    Raises:
        ConfigError: words that cannot be read.
    """
    try:
        return action_from_text(goal).text
    except ActionError as error:
        raise ConfigError(
            f"Expected a goal in words, one short sentence such as 'the yellow duck', got {goal!r:.80}. Say what to find."
        ) from error
