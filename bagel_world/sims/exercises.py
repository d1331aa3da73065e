"""Exercises: what can be asked about a recorded frame, with the answer that the simulator knows.

An exercise is about one picture. What cannot be told from the picture is not asked: objects on the border between two sides,
two objects on the same side, objects behind a corner, bodies that hide each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from bagel_world.actions import NO, YES
from bagel_world.sims import captions
from bagel_world.sims.bodies import kinds_of
from bagel_world.sims.palettes import palette_of
from bagel_world.sims.plans import HousePlan, draw_plan
from bagel_world.sims.sightings import NEAR, Sighting, sightings

QUESTIONS = ("ahead", "left", "right", "view", "table", "count", "falling", "body")
"""The kinds of short questions: four about houses, one about turntables, three about drops."""

THOUGHT, FORESIGHT, JUDGE = "thought", "foresight", "judge"
T = TypeVar("T")

KINDS = (*QUESTIONS, THOUGHT, FORESIGHT, JUDGE)

FALL = 0.05
"""Meters that something sinks from a frame to the next while it is falling."""

_FARTHEST = 7.0
_HAIR = 0.1  # meters around `NEAR` in which a picture does not tell whether one is there
_NUMBER_OF_BODIES = "#bodies"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exercise:
    """A question about a picture and what to say.

    Attributes:
        kind: one of `KINDS`.
        question: in words; the goal, where a thought is wanted; the action, where it is about what comes next.
        answer: in words; a thought with its marks, and the action behind it.
        group: what is balanced: "answer" or "answer: what it is about"; for a thought where the goal is and what to do.
        mentions: what question and answer give away to somebody who is asked more about the picture.
    """

    kind: str
    question: str
    answer: str
    group: str
    mentions: frozenset[str]


def exercises_of(row: Mapping[str, Any], rng: np.random.Generator) -> list[list[Exercise]]:
    """What can be asked about every frame of a stored episode (a row without its "frames" is enough).

    Episodes of other sources than the three simulators give nothing.
    """
    facts = json.loads(row["metadata"])
    match str(facts.get("source", "")).rpartition(".")[2]:
        case "House":
            plan = _plan(facts["split"], int(facts["seed"]))
            views = list(zip(row["poses"], row["visible"], strict=True))
            asked = [list(about_house(plan, pose, names, rng)) for pose, names in views]
            for exercises, action, (now, then) in zip(asked, row["action_texts"], pairwise(views), strict=False):
                exercises += about_step(plan, now, action, then, rng)
            return asked
        case "Turntable":
            name = facts["object"]
            return [[_ask("table", captions.TABLE_QUESTION, name, name)] for _ in row["visible"]]
        case "Drops":
            heights = [[body[2] for body in bodies] for bodies in facts["body_poses"]]
            falls = [_falling(*pair) for pair in pairwise(heights)] + [False]
            split, bodies = facts["split"], facts["bodies"]
            return [
                list(about_drop(split, bodies, names, falling, rng)) for names, falling in zip(row["visible"], falls, strict=True)
            ]
        case _:
            return [[] for _ in row["action_texts"]] + [[]]


def about_house(plan: HousePlan, pose: Sequence[float], visible: Sequence[str], rng: np.random.Generator) -> Iterator[Exercise]:
    """What can be asked about a view of a house; objects that are not in it are drawn."""
    all_of_them = sightings(plan, pose, visible)
    seen = [each for each in all_of_them if each.visible]
    clear = [each for each in seen if each.clear and not each.doubtful and each.distance <= _FARTHEST]
    if not any(each.doubtful for each in seen):
        for side in ("ahead", "left", "right"):
            there = [each for each in seen if each.side == side]
            if len(there) == 1 and there[0] in clear:
                question = captions.AHEAD_QUESTION if side == "ahead" else captions.SIDE_QUESTION.format(side=side)
                yield _ask(side, question, there[0].name, there[0].name)
    perhaps = {each.name for each in all_of_them if not each.hidden}
    absent = [kind.name for kind in palette_of(plan.split).objects if kind.name not in perhaps]
    for each in clear:
        yield _in_view("view", each.name, YES)
    for name in _some(absent, max(1, len(clear)), rng):
        yield _in_view("view", name, NO)
    goals = clear + _some([each for each in all_of_them if each.hidden], 1, rng)
    for goal in goals:
        yield _thought(goal, rng)
    for goal in goals:
        if not (goal.visible and abs(goal.distance - NEAR) < _HAIR):
            yield _judge(goal)


def about_step(
    plan: HousePlan,
    now: tuple[Sequence[float], Sequence[str]],
    action: str,
    then: tuple[Sequence[float], Sequence[str]],
    rng: np.random.Generator,
) -> Iterator[Exercise]:
    """What comes of an action in a house: where one of the things that are seen now will be; nothing where none surely is.

    Args:
        plan: the house.
        now: pose, and names of what is visible.
        action: in words.
        then: the same after the action.
        rng: picks the thing and the words.
    """
    after = {each.name: each for each in sightings(plan, *then)}
    seen = [after[each.name] for each in sightings(plan, *now) if each.clear and each.distance <= _FARTHEST]
    for later in _some([each for each in seen if each.hidden or (each.clear and not each.doubtful)], 1, rng):
        yield Exercise(
            kind=FORESIGHT,
            question=action,
            answer=captions.thinking(captions.draw_foresight(later, rng)),
            group=f"{captions.whereabouts(later)}, {action}",
            mentions=frozenset((later.name,)),
        )


def about_drop(
    split: str, bodies: Sequence[str], visible: Sequence[str], falling: bool, rng: np.random.Generator
) -> Iterator[Exercise]:
    """What can be asked about a moment of a drop."""
    if len(visible) == len(bodies):
        word = captions.number_word(len(bodies))
        yield _ask("count", captions.COUNT_QUESTION, word, _NUMBER_OF_BODIES)
    if len(bodies) == 1 and visible and falling:
        yield _ask("falling", captions.FALLING_QUESTION, bodies[0], bodies[0], _NUMBER_OF_BODIES)
    absent = [kind.name for kind in kinds_of(split) if kind.name not in bodies]
    for name in _some(sorted(set(visible)), 1, rng):
        yield _in_view("body", name, YES)
    for name in _some(absent, 1, rng):
        yield _in_view("body", name, NO)


def _ask(kind: str, question: str, answer: str, *mentions: str) -> Exercise:
    return Exercise(kind=kind, question=question, answer=answer, group=answer, mentions=frozenset(mentions))


def _in_view(kind: str, name: str, answer: str) -> Exercise:
    return Exercise(
        kind=kind,
        question=captions.VIEW_QUESTION.format(object=captions.with_article(name)),
        answer=answer,
        group=f"{answer}: {name}",
        mentions=frozenset((name,)),
    )


def _thought(goal: Sighting, rng: np.random.Generator) -> Exercise:
    action = captions.next_action(goal)
    return Exercise(
        kind=THOUGHT,
        question=captions.draw_goal(goal.name, rng),
        answer=captions.decision(captions.draw_thought(goal, rng), action),
        group=f"{captions.whereabouts(goal)}, {action}",
        mentions=frozenset((goal.name,)),
    )


def _judge(goal: Sighting) -> Exercise:
    answer = YES if goal.reached else NO
    return Exercise(
        kind=JUDGE,
        question=captions.judge_question(goal.name),
        answer=answer,
        group=f"{answer}: {'in view' if goal.visible else 'hidden'}",
        mentions=frozenset((goal.name,)),
    )


def _falling(now: Sequence[float], then: Sequence[float]) -> bool:
    return any(before - after > FALL for before, after in zip(now, then, strict=True))


def _some(items: Sequence[T], count: int, rng: np.random.Generator) -> list[T]:
    return [items[int(place)] for place in rng.permutation(len(items))[:count]]


@lru_cache(maxsize=8)
def _plan(split: str, seed: int) -> HousePlan:
    return draw_plan(split, seed)
