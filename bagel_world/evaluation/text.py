"""Text: does a world answer, think and judge rightly about frames it never saw? The truth is the simulator's.

The samples of `bagel-world data from-footage` hold the questions. A world is asked each of them by itself, behind the walk that
the sample shows: answers have to match word for word (case aside); of a thought is asked whether it is well formed, names the
side on which its goal is, and ends in the action of the policy that taught it; of a judgment, P(yes).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from bagel_world.actions import YES
from bagel_world.episodes.samples import Sample
from bagel_world.errors import ConfigError
from bagel_world.evaluation.asked import Asked, draw_asked
from bagel_world.evaluation.metrics import Values, mean_interval
from bagel_world.evaluation.ranking import auc_interval
from bagel_world.evaluation.report import Row, make_row
from bagel_world.evaluation.subject import Subject, Track, batches, seed_for, untracked
from bagel_world.evaluation.windows import scenes_note
from bagel_world.sims.captions import Whereabouts, read_decision, read_goal, read_whereabouts
from bagel_world.sims.exercises import JUDGE, QUESTIONS, THOUGHT
from bagel_world.types import Frame
from bagel_world.world.protocol import Context
from bagel_world.world.scoring import check_writes

ENOUGH = 500
"""Exercises of a kind, below which a figure gets a remark."""

QUESTIONS_IN_WORDS = {
    "ahead": "which object is ahead",
    "left": "which object is to the left",
    "right": "which object is to the right",
    "view": "is this object in view (house)",
    "table": "which object is on the table",
    "count": "how many bodies are there",
    "falling": "what is falling",
    "body": "is this body in view (drop)",
}
"""What the rows call the kinds of questions."""

_MOST_SHOWN_MISTAKES = 5


class TextConfig(BaseModel):
    """What to measure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    most: int = Field(default=2000, ge=1)
    """Exercises of each kind, at most."""
    seed: int = Field(default=0, ge=0)
    """Decides which ones are taken, and sampled text."""
    batch: int = Field(default=32, ge=1)
    """Texts written at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFindings:
    """The rows, what was left out or is thin, and some of the mistakes."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a world wrote when it was asked: its thought, empty where there was none, and its words."""

    thought: str
    words: str


def measure_text(subject: Subject, samples: Iterable[Sample], config: TextConfig, *, track: Track = untracked) -> TextFindings:
    """Ask a world, and compare with the truth.

    Args:
        subject: the world under test.
        samples: from `bagel-world data from-footage`, about footage it never saw.
        config: how much to ask.
        track: shows progress.

    Raises:
        ConfigError: samples without questions.
        CapabilityError: a world that was never taught to write.
    """
    check_writes(subject.world, "Measuring text")
    drawn = draw_asked(samples, most=config.most, seed=config.seed)
    kinds = {kind: [each for each in drawn if each.kind == kind] for kind in dict.fromkeys(each.kind for each in drawn)}
    questions = [each for each in drawn if each.kind in QUESTIONS]
    thoughts, judgments = kinds.get(THOUGHT, []), kinds.get(JUDGE, [])
    rows: list[Row] = []
    notes = [*scenes_note(each.group for each in drawn), *_size_notes(subject, drawn)]
    if questions:
        said = write_all(subject, questions, config, think=False, track=track)
        rows += question_rows(questions, said)
        notes += mistakes(questions, said)
    if thoughts:
        rows += thought_rows(thoughts, write_all(subject, thoughts, config, think=True, track=track), subject.words)
    if judgments:
        rows += judge_rows(judgments, judge_all(subject, judgments, config, track))
    thin = {kind: len(each) for kind, each in kinds.items() if len(each) < ENOUGH and kind in (*QUESTIONS, THOUGHT, JUDGE)}
    if thin:
        listed = ", ".join(f"{kind} {n}" for kind, n in thin.items())
        notes.append(f"Fewer than {ENOUGH} exercises: {listed}. Their intervals are wide; record more footage.")
    return TextFindings(rows=tuple(rows), notes=tuple(notes))


def _size_notes(subject: Subject, drawn: Sequence[Asked]) -> list[str]:
    """A remark on pictures that are not of the size which the world imagines: it may never have seen such ones."""
    height, width = subject.world.frame_size
    others = sorted({each.frames[-1].size for each in drawn} - {(width, height)})
    told = ", ".join(f"{tall} x {wide}" for wide, tall in others)
    return [f"Pictures of {told} pixels, where the checkpoint imagines {height} x {width}."] if others else []


def write_all(
    subject: Subject, asked: Sequence[Asked], config: TextConfig, *, think: bool, track: Track = untracked
) -> list[Said]:
    """What the world writes when it is asked, in batches."""
    said: list[Said] = []
    for batch in track(batches(len(asked), config.batch), "thinking" if think else "answering"):
        part = [asked[place] for place in batch]
        contexts = [context_of(subject, each) for each in part]
        seeds = [seed_for(config.seed, place) for place in batch]
        answers = subject.ask(contexts, [each.question for each in part], think=think, seeds=seeds)
        said += [_said(answer) for answer in answers]
    return said


def judge_all(subject: Subject, asked: Sequence[Asked], config: TextConfig, track: Track = untracked) -> Values:
    """P(yes) of every judgment, in batches."""
    chances: list[float] = []
    for batch in track(batches(len(asked), config.batch), "judging"):
        part = [asked[place] for place in batch]
        chances += subject.judge([context_of(subject, each) for each in part], [read_goal(each.question) for each in part])
    return np.array(chances, dtype=np.float64)


def context_of(subject: Subject, asked: Asked) -> Context:
    """The walk that leads to the picture, seen and said."""
    frames: list[Frame] = [each.frame() for each in asked.frames]
    context = subject.world.observe(frames[0])
    for action, frame in zip(asked.actions, frames[1:], strict=True):
        context = context.say(action).observe(frame)
    return context


def question_rows(asked: Sequence[Asked], said: Sequence[Said]) -> list[Row]:
    """Exact matches: all, by kind, and beside each kind what the most frequent answer would reach."""
    hits = np.array([_same(each.truth, answer.words) for each, answer in zip(asked, said, strict=True)], dtype=np.float64)
    groups = np.array([each.group for each in asked])
    rows: list[Row] = []
    majority = np.zeros(len(hits))
    for kind, words in QUESTIONS_IN_WORDS.items():
        chosen = np.array([each.kind == kind for each in asked])
        if not chosen.any():
            continue
        majority[chosen] = _majority([each.truth for each in asked if each.kind == kind])
        rows += _beside(words, "exact_match", hits[chosen], majority[chosen], groups[chosen])
    return [*_beside("all questions", "exact_match", hits, majority, groups), *rows]


def thought_rows(asked: Sequence[Asked], said: Sequence[Said], words: Sequence[str]) -> list[Row]:
    """How many thoughts are well formed, name the side of their goal, and act as the policy does; of all that were asked for.

    Args:
        asked: the exercises.
        said: what was written.
        words: the actions there are.
    """
    truths = [_true_decision(each) for each in asked]
    formed = [bool(each.thought) and each.words in words for each in said]
    sides = [read_whereabouts(each.thought) == side for each, (side, _) in zip(said, truths, strict=True)]
    actions = [each.words == action for each, (_, action) in zip(said, truths, strict=True)]
    groups = np.array([each.group for each in asked])
    in_view = np.array([side != "hidden" for side, _ in truths])
    rows = [make_row("thought", "well formed", len(said), mean_interval(np.array(formed, np.float64), groups=groups))]
    rows += _beside("names the side of the goal", "thought", sides, _majority([side for side, _ in truths]), groups)
    for name, chosen in (("goal in view", in_view), ("goal out of view", ~in_view)):
        if chosen.any():
            interval = mean_interval(np.array(sides, np.float64)[chosen], groups=groups[chosen])
            rows.append(make_row("thought", f"names the side of the goal, {name}", int(chosen.sum()), interval))
    return rows + _beside("acts as the policy", "thought", actions, _majority([action for _, action in truths]), groups)


def judge_rows(asked: Sequence[Asked], chances: Values) -> list[Row]:
    """Accuracy of "P(yes) of at least a half" and the area under the curve of P(yes)."""
    truths = np.array([each.truth == YES for each in asked])
    groups = np.array([each.group for each in asked])
    rows = _beside("goal reached", "judge_accuracy", (chances >= 0.5) == truths, _majority(truths.tolist()), groups)
    if truths.any() and not truths.all():
        rows.append(make_row("judge_auc", "goal reached", len(truths), auc_interval(chances, truths, groups=groups)))
    return rows


def mistakes(asked: Sequence[Asked], said: Sequence[Said]) -> list[str]:
    """What was answered instead, most frequent first."""
    wrong = Counter(
        (each.kind, each.truth, answer.words[:40])
        for each, answer in zip(asked, said, strict=True)
        if not _same(each.truth, answer.words)
    )
    if not wrong:
        return []
    listed = "; ".join(
        f"{answer!r} for {truth!r} ({kind}, {n} times)" for (kind, truth, answer), n in wrong.most_common(_MOST_SHOWN_MISTAKES)
    )
    return [f"Most frequent mistakes: {listed}."]


def _beside(name: str, metric: str, hits: Sequence[bool] | Values, majority: Values, groups: npt.NDArray[Any]) -> list[Row]:
    """A share of hits, and what the most frequent answer alone would reach."""
    right = mean_interval(np.asarray(hits, np.float64), groups=groups)
    return [
        make_row(metric, name, len(groups), right),
        make_row(metric, f"{name}: always the most frequent", len(groups), mean_interval(majority, groups=groups)),
    ]


def _majority(truths: Sequence[Any]) -> Values:
    """1 where the truth is the most frequent one, else 0."""
    most = Counter(truths).most_common(1)[0][0]
    return np.array([each == most for each in truths], dtype=np.float64)


def _true_decision(asked: Asked) -> tuple[Whereabouts | None, str]:
    decision = read_decision(asked.truth)
    if decision is None:
        raise ConfigError(f"Expected a thought with its marks and an action behind it, got {asked.truth!r:.80}.")
    return read_whereabouts(decision[0]), decision[1]


def _said(answer: str) -> Said:
    thought = getattr(answer, "thought", None)
    if thought is not None:
        return Said(thought=thought.text, words=str(answer).strip())
    decision = read_decision(answer)  # a world may leave the marks in its answer
    return Said(thought="", words=answer.strip()) if decision is None else Said(thought=decision[0], words=decision[1])


def _same(truth: str, answer: str) -> bool:
    return truth.casefold() == answer.strip().casefold()
