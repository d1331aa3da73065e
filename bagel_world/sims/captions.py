"""Captions: what is seen, in words: questions, answers, goals and thoughts, and how a thought is read back.

Texts are few and short on purpose: a small model learns its whole vocabulary from them.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

import numpy as np

from bagel_world.actions import GOAL_QUESTION, NAVIGATE_WORDS, goal_question
from bagel_world.errors import ConfigError
from bagel_world.sims.sightings import Side, Sighting

Whereabouts = Side | Literal["hidden"]
"""Where a thought says that its goal is; hidden is out of view."""

THINK_PROMPT = "Think, then act."
"""What opens a context in which thoughts are written; a checkpoint taught with it brings it as its prompts."""

AHEAD_QUESTION = "Which object is ahead?"
SIDE_QUESTION = "Which object is to the {side}?"
VIEW_QUESTION = "Is there {object} in view?"
TABLE_QUESTION = "Which object is on the table?"
COUNT_QUESTION = "How many bodies are there?"
FALLING_QUESTION = "What is falling?"
STANDING = "stand in front of the {object}"
"""The goal that is judged."""

GOALS = ("Go to the {object}.", "Find the {object}.", "Walk to the {object}.", "Stand in front of the {object}.")

IN_VIEW = (
    "The {object} is {side}, {distance} away.",
    "I see the {object} {side}, {distance} away.",
    "{Side}, {distance} away, is the {object}.",
    "My goal is the {object}. It is {side}, {distance} away.",
    "There is the {object}, {side}. It is {distance} away.",
    "{Distance} away is the {object}. It is {side}.",
    "I look for the {object}. I see it {side}, {distance} away.",
)
"""How a thought says where its goal is."""

OUT_OF_VIEW = (
    "The {object} is not in view.",
    "I do not see the {object}.",
    "My goal is the {object}. It is not in view.",
    "There is no {object} in view.",
    "I look for the {object}. I do not see it.",
    "No {object} in view.",
)
"""How a thought says that its goal is out of view."""

TURNING = ("I turn {side}.", "So I look {side}.", "I turn {side} to face it.")
WALKING = ("I walk on.", "So I move forward.", "I walk to it.")
STAYING = ("I am there.", "So I stay.", "I stand in front of it.")
SEARCHING = ("I turn left to find it.", "So I look left.", "I turn left and look again.")

FORESEEN = ("The {object} will be {side}, {distance} away.", "Then the {object} is {side}, {distance} away.")
"""How a thought says where something will be after an action."""

LOST = ("The {object} will not be in view.", "Then the {object} is not in view.")

_SIDES = {"left": "to the left", "right": "to the right", "ahead": "ahead"}
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DECISION = re.compile(r"<think>(?P<thought>[^<>]+)</think>(?P<action>[^<>]+)", re.DOTALL)
_FORWARD, _LEFT, _RIGHT, _STAY = NAVIGATE_WORDS
_WAYS = {"left": _LEFT, "right": _RIGHT, "ahead": _FORWARD, "hidden": _LEFT}


def with_article(name: str) -> str:
    """The name behind its article: "a duck", "an armchair"."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def number_word(number: int) -> str:
    """Zero to ten in words."""
    return _NUMBERS[number]


def distance_words(meters: float) -> str:
    """A rough distance: "half a meter", "one meter", "two meters", ..., "ten meters" and more."""
    if meters < 0.75:
        return "half a meter"
    whole = min(10, max(1, int(meters + 0.5)))
    return f"{_NUMBERS[whole]} meter{'s' if whole > 1 else ''}"


def judge_question(name: str) -> str:
    """The question whether someone stands in front of an object, as a world is asked it."""
    return goal_question(STANDING.format(object=name))


def read_goal(question: str) -> str:
    """The goal that a question made by `actions.goal_question` asks about.

    Raises:
        ConfigError: another question.
    """
    before, after = GOAL_QUESTION.split("{goal}")
    if not (question.startswith(before) and question.endswith(after)):
        raise ConfigError(f"Expected a question like {GOAL_QUESTION.format(goal='...')!r}, got {question!r:.80}.")
    return question.removeprefix(before).removesuffix(after)


def draw_goal(name: str, rng: np.random.Generator) -> str:
    """An object to go to, as one would say it."""
    return _pick(GOALS, rng).format(object=name)


def whereabouts(sighting: Sighting) -> Whereabouts:
    """The side of what is visible; hidden otherwise."""
    return sighting.side if sighting.visible else "hidden"


def next_action(sighting: Sighting) -> str:
    """What a simple policy does to stand in front of an object.

    It stays where it is there already, turns to what is more than `AHEAD` degrees off, walks to what is ahead, and turns left
    as long as nothing is to be seen of it.
    """
    return _STAY if sighting.reached else _WAYS[whereabouts(sighting)]


def draw_thought(sighting: Sighting, rng: np.random.Generator) -> str:
    """A thought on the way to an object, without marks: where it is, and what to do about it."""
    side = whereabouts(sighting)
    if side == "hidden":
        return f"{_pick(OUT_OF_VIEW, rng)} {_pick(SEARCHING, rng)}".format(object=sighting.name)
    place, distance = _SIDES[side], distance_words(sighting.distance)
    then = STAYING if sighting.reached else WALKING if side == "ahead" else TURNING
    said = _pick(IN_VIEW, rng).format(
        object=sighting.name, side=place, distance=distance, Side=_capital(place), Distance=_capital(distance)
    )
    return f"{said} {_pick(then, rng).format(side=side)}"


def draw_foresight(later: Sighting, rng: np.random.Generator) -> str:
    """A thought about the picture that an action leads to, without marks: where this object is in it."""
    side = whereabouts(later)
    if side == "hidden":
        return _pick(LOST, rng).format(object=later.name)
    return _pick(FORESEEN, rng).format(object=later.name, side=_SIDES[side], distance=distance_words(later.distance))


def thinking(thought: str) -> str:
    """A thought in its marks, as the model writes it."""
    return f"<think>{thought}</think>"


def decision(thought: str, action: str) -> str:
    """A thought and the action behind it, as the model writes them."""
    return thinking(thought) + action


def read_decision(text: str) -> tuple[str, str] | None:
    """(thought, action) of what a model wrote; None where it is not of this form."""
    found = _DECISION.fullmatch(text.strip())
    if found is None or not found["thought"].strip() or not found["action"].strip():
        return None
    return found["thought"].strip(), found["action"].strip()


def read_whereabouts(thought: str) -> Whereabouts | None:
    """Where a thought says that its goal is; None where it says nothing, or two things."""
    named: set[Whereabouts] = {side for side in get_args(Side) if re.search(rf"\b{_SIDES[side]}\b", thought, re.IGNORECASE)}
    if re.search(r"\b(no|not)\b", thought, re.IGNORECASE):
        named.add("hidden")
    return named.pop() if len(named) == 1 else None


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _pick(forms: tuple[str, ...], rng: np.random.Generator) -> str:
    return forms[int(rng.integers(len(forms)))]
