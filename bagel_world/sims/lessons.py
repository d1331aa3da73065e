"""Lessons: which pictures of recorded footage are asked about, and what, so that every answer is as frequent as the others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from bagel_world.actions import NO, YES
from bagel_world.episodes.schema import SCHEMA
from bagel_world.episodes.shards import read_rows
from bagel_world.errors import ConfigError
from bagel_world.sims.captions import THINK_PROMPT
from bagel_world.sims.exercises import FORESIGHT, JUDGE, QUESTIONS, THOUGHT, Exercise, exercises_of

QUESTION_SHARES = {
    "ahead": 0.20, "left": 0.10, "right": 0.10, "view": 0.20, "table": 0.15, "count": 0.10, "falling": 0.05, "body": 0.10,
}  # fmt: skip
"""How many of the questions are of each kind; kinds that the footage does not offer leave their share to the others."""

SCENES = ("house", "table", "drop")
"""What metadata call the number of the scene."""

_WITHOUT_FRAMES = tuple(name for name in SCHEMA.names if name != "frames")
_CHOICE, _HISTORY_CHANCE = 1, 0.5


class LessonPlan(BaseModel):
    """How many lessons to make."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    questions: int = Field(default=1000, ge=0, description="Short questions with their answers.")
    thoughts: int = Field(default=500, ge=0, description="Thoughts on the way to a goal, with the next action.")
    foresights: int = Field(default=250, ge=0, description="Thoughts about what an action leads to, before it is painted.")
    judge: int = Field(default=250, ge=0, description="Questions whether a goal is reached.")
    per_picture: int = Field(default=3, ge=1, description="Questions about one picture, at most.")
    history: int = Field(default=0, ge=0, description="Frames and actions before the picture, at most; half have none.")
    even: bool = Field(default=False, description="As many questions of every kind, instead of `QUESTION_SHARES`.")
    think_prompt: str = Field(default=THINK_PROMPT, min_length=1, description="What opens a context with thoughts.")
    seed: int = Field(default=0, ge=0, description="Decides which pictures are asked about, and how.")


class Place(NamedTuple):
    """Where a frame is stored."""

    folder: int
    """Place of the footage folder among those given."""
    row: int
    """Place of the episode in the folder."""
    frame: int
    """Place of the frame in the episode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A picture and what is asked about it.

    Attributes:
        place: where the picture is stored.
        before: the actions that led to it, from as many frames before; empty shows it alone.
        exercises: in the order in which they are asked.
        episode_id, source, split: of the episode.
        scene: the house, turntable or drop; lessons of one scene resemble each other.
    """

    place: Place
    before: tuple[str, ...]
    exercises: tuple[Exercise, ...]
    episode_id: str
    source: str
    split: str
    scene: str


@dataclass(slots=True)
class Account:
    """What was wanted by kind, and what was offered and taken by (kind, group)."""

    wanted: dict[str, int]
    offered: Counter[tuple[str, str]] = field(default_factory=Counter)
    taken: Counter[tuple[str, str]] = field(default_factory=Counter)


def survey(folders: Sequence[Path], plan: LessonPlan) -> Iterator[Lesson]:
    """Every frame of these folders that something can be asked about, with all that can be asked.

    Raises:
        RecordingError: a folder without shards, or a damaged one.
    """
    for folder, path in enumerate(folders):
        for number, row in enumerate(read_rows(path, _WITHOUT_FRAMES)):
            rng = np.random.default_rng((plan.seed, crc32(row["episode_id"].encode())))
            facts = json.loads(row["metadata"])
            source = str(facts.get("source") or "unknown")
            scene = next((f"{name} {facts[name]}" for name in SCENES if name in facts), row["episode_id"])
            for frame, exercises in enumerate(exercises_of(row, rng)):
                if exercises:
                    yield Lesson(
                        place=Place(folder, number, frame),
                        before=tuple(row["action_texts"][max(0, frame - plan.history) : frame]),
                        exercises=tuple(exercises),
                        episode_id=row["episode_id"],
                        source=source,
                        split=row["split"] or "train",
                        scene=scene,
                    )


def choose(offers: Sequence[Lesson], plan: LessonPlan) -> tuple[list[Lesson], Account]:
    """The lessons to give: as many exercises as planned, balanced by answer; and the account of it.

    Pictures come in random order and give all that is still wanted of them: so one picture is asked about more than once.

    Raises:
        ConfigError: nothing is offered.
    """
    account = Account(wanted=_wanted(offers, plan))
    for offer in offers:
        account.offered.update((each.kind, each.group) for each in offer.exercises)
    quotas = _quotas(account)
    scarcity = {key: count / account.offered[key] for key, count in quotas.items()}
    left = Counter(quotas)
    rng = np.random.default_rng((plan.seed, _CHOICE))
    chosen: list[Lesson] = []
    for place in rng.permutation(len(offers)):
        offer = offers[int(place)]
        for exercises in _given(offer.exercises, left, scarcity, plan.per_picture, rng):
            chosen.append(replace(offer, exercises=exercises, before=_some_before(offer.before, rng)))
    chosen = _evened(chosen)
    account.taken.update((each.kind, each.group) for lesson in chosen for each in lesson.exercises)
    return chosen, account


def balance(counts: Mapping[str, int], total: int) -> dict[str, int]:
    """How many of each group make `total`, as evenly as what there is allows.

    Groups named "yes: ..." and "no: ..." are halves, exactly equal; within a half, and where there are none, no group gets more
    than another as long as that one has enough.
    """
    halves = [{group: n for group, n in counts.items() if group.startswith(f"{word}:")} for word in (YES, NO)]
    if not any(halves):
        return _fill(counts, total)
    each = min(total // 2, *(sum(half.values()) for half in halves))
    return {group: n for half in halves for group, n in _fill(half, each).items()}


def _fill(counts: Mapping[str, int], total: int) -> dict[str, int]:
    """The smallest groups first: what they lack, the larger ones share."""
    taken, left = {}, total
    for place, (group, count) in enumerate(sorted(counts.items(), key=lambda item: (item[1], item[0]))):
        taken[group] = min(count, -(-left // (len(counts) - place)))
        left -= taken[group]
    return taken


def _wanted(offers: Sequence[Lesson], plan: LessonPlan) -> dict[str, int]:
    """Exercises by kind, of the kinds that are offered."""
    offered = {each.kind for offer in offers for each in offer.exercises}
    if not offered:
        raise ConfigError(
            "Expected footage of which the simulator's truth is known, got none: no episode comes from sims.House, "
            "sims.Turntable or sims.Drops. Record some with: bagel-world record OUT --sim house"
        )
    shares = {kind: 1.0 if plan.even else share for kind, share in QUESTION_SHARES.items() if kind in offered}
    wanted = {kind: round(plan.questions * share / sum(shares.values())) for kind, share in shares.items()}
    alone = {THOUGHT: plan.thoughts, FORESIGHT: plan.foresights, JUDGE: plan.judge}
    return wanted | {kind: count for kind, count in alone.items() if kind in offered}


def _quotas(account: Account) -> dict[tuple[str, str], int]:
    """How many exercises of each (kind, group) are taken."""
    quotas = {}
    for kind, total in account.wanted.items():
        counts = {group: count for (each, group), count in account.offered.items() if each == kind}
        quotas |= {(kind, group): count for group, count in balance(counts, total).items()}
    return quotas


def _given(
    exercises: Sequence[Exercise],
    left: Counter[tuple[str, str]],
    scarcity: Mapping[tuple[str, str], float],
    per_picture: int,
    rng: np.random.Generator,
) -> Iterator[tuple[Exercise, ...]]:
    """What is still wanted of a picture: its questions together, every thought and judgment alone.

    No two questions mention the same thing: an answer has to be seen, it cannot be read in the one before. What is scarce comes
    first, so that what is plentiful does not take its place.
    """
    together: list[Exercise] = []
    mentioned: set[str] = set()
    shuffled = [exercises[int(place)] for place in rng.permutation(len(exercises))]
    for each in sorted(shuffled, key=lambda each: -scarcity.get((each.kind, each.group), 0.0)):
        if left[each.kind, each.group] <= 0:
            continue
        if each.kind in QUESTIONS:
            if len(together) == per_picture or mentioned & each.mentions:
                continue
            together.append(each)
            mentioned |= each.mentions
        else:
            yield (each,)
        left[each.kind, each.group] -= 1
    if together:
        yield tuple(together[int(place)] for place in rng.permutation(len(together)))


def _evened(lessons: Sequence[Lesson]) -> list[Lesson]:
    """The lessons without what one half has more than the other: where pictures give no more, "yes" and "no" stay equal."""
    counts = Counter((each.kind, each.answer) for lesson in lessons for each in lesson.exercises)
    opposite = {YES: NO, NO: YES}
    excess = {(kind, word): n - counts[kind, opposite[word]] for (kind, word), n in counts.items() if word in opposite}
    evened = []
    for lesson in lessons:
        kept = []
        for each in lesson.exercises:
            if excess.get((each.kind, each.answer), 0) > 0:
                excess[each.kind, each.answer] -= 1
            else:
                kept.append(each)
        if kept:
            evened.append(replace(lesson, exercises=tuple(kept)))
    return evened


def _some_before(before: tuple[str, ...], rng: np.random.Generator) -> tuple[str, ...]:
    """None or some of the last actions."""
    if not before or rng.random() >= _HISTORY_CHANCE:
        return ()
    return before[-int(rng.integers(1, len(before) + 1)) :]
