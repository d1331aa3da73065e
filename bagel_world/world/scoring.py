"""Scorers: how near a frame is to a goal. Environments make rewards of scores, planners make choices of them.

A score of 1 means "there". Every scorer says where its numbers come from (`source`) and what they mean (`calibration`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from bagel_world.errors import CapabilityError, ConfigError, OutputError, UnknownNameError, nearest
from bagel_world.types import Frame
from bagel_world.world.protocol import Context, World


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Goal:
    """What is to be reached: a picture, words, or both; empty where nothing is.

    Attributes:
        image: uint8, shape (height, width, 3).
        text: words such as "stand in front of the red door".
        explored: real frames of places that were looked at before, where the goal is not. A scorer that has a `curiosity` above 0
            thinks less of being there again; the others do not mind. They do not count as something to reach.
    """

    image: Frame | None = None
    text: str | None = None
    explored: tuple[Frame, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to reach."""
        return self.image is not None or self.text is not None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """A frame to be scored.

    Attributes:
        frame: uint8, shape (height, width, 3).
        goal: what it is compared with.
        seed: whole number that decides the draw of a random scorer.
        context: what was seen and done up to the frame, which is its newest; None where only the frame is known.
    """

    frame: Frame
    goal: Goal
    seed: int = 0
    context: Context | None = None


@runtime_checkable
class Scorer(Protocol):
    """How near frames are to their goals."""

    @property
    def source(self) -> str:
        """Where the scores come from: a short name for tables and infos."""
        ...

    @property
    def calibration(self) -> str:
        """What the numbers mean, in one sentence."""
        ...

    @property
    def model_calls(self) -> int:
        """Calls of the world that scoring one batch takes."""
        ...

    @property
    def judges_success(self) -> bool:
        """Whether a score near 1 means that the goal is reached."""
        ...

    @property
    def success_distance(self) -> float:
        """So far from 1 may a score be for the goal to count as reached, where the environment does not say otherwise."""
        ...

    def score(self, world: World, candidates: Sequence[Candidate]) -> list[float]:
        """One score per candidate, at most 1; a candidate's score does not depend on the others."""
        ...


def ask_scorer(scorer: Scorer, world: World, candidates: Sequence[Candidate]) -> list[float]:
    """The scorer's word on every candidate, as plain finite numbers.

    Raises:
        OutputError: the scorer gave another number of them, or one that is no finite number.
    """
    scores = scorer.score(world, candidates)
    try:
        numbers = [float(score) for score in scores]
    except (TypeError, ValueError) as error:
        raise OutputError(f"Expected numbers from the scorer {scorer.source!r}, got {scores!r:.80}.") from error
    if len(numbers) != len(candidates) or not all(map(math.isfinite, numbers)):
        raise OutputError(f"Expected {len(candidates)} finite numbers from the scorer {scorer.source!r}, got {numbers!r:.80}.")
    return numbers


def goal_pictures(who: str, candidates: Sequence[Candidate], remedy: str) -> list[Frame]:
    """The goal picture of every candidate.

    Raises:
        ConfigError: a goal without one; the message ends in the remedy.
    """
    goals = [candidate.goal.image for candidate in candidates]
    pictures = [goal for goal in goals if goal is not None]
    if len(pictures) < len(goals):
        raise ConfigError(f"The scorer {who!r} needs a goal picture, got none. {remedy}")
    return pictures


@dataclass(frozen=True, slots=True)
class GoalImageScorer:
    """How alike frame and goal picture are in the world's own visual features."""

    source: str = "goal_image"
    calibration: str = (
        "Cosine of the checkpoint's visual features, in [-1, 1]; 1 for equal frames. "
        "Values compare frames of one checkpoint, they do not compare checkpoints."
    )
    model_calls: int = 1
    judges_success: bool = True
    success_distance: float = 0.05

    def score(self, world: World, candidates: Sequence[Candidate]) -> list[float]:
        """The similarity of every frame and its goal picture.

        Raises:
            ConfigError: a goal without a picture.
        """
        pictures = goal_pictures(self.source, candidates, "Name one as goal_image.")
        return [float(value) for value in world.similarity([candidate.frame for candidate in candidates], pictures)]


@dataclass(frozen=True, slots=True)
class JudgeScorer:
    """What the understanding expert says when it is asked whether a goal in words is reached.

    Attributes:
        sees: the whole context, or its newest frame alone.
    """

    sees: Literal["context", "frame"] = "context"
    calibration: str = (
        "The checkpoint's own probability of 'yes' against 'no', in [0, 1]. "
        "How far to trust it is measured by `bagel-world eval calibration`."
    )
    model_calls: int = 1
    judges_success: bool = True
    success_distance: float = 0.5

    @property
    def source(self) -> str:
        """Its name, which tells what it sees: scores of the one are none of the other."""
        return "judge" if self.sees == "context" else "judge:frame"

    def score(self, world: World, candidates: Sequence[Candidate]) -> list[float]:
        """P(yes) of every candidate.

        Raises:
            ConfigError: a goal without words.
            CapabilityError: a world that was never taught to write.
        """
        goals = [candidate.goal.text for candidate in candidates]
        texts = [goal for goal in goals if goal is not None]
        if len(texts) < len(goals):
            raise ConfigError("The scorer 'judge' needs a goal in words, got none. Say it as goal_text.")
        check_writes(world, "The scorer 'judge'")
        judge: Any = world
        return [float(chance) for chance in judge.judge([self._shown(world, each) for each in candidates], texts)]

    def _shown(self, world: World, candidate: Candidate) -> Context:
        if self.sees == "frame" or candidate.context is None:
            return world.observe(candidate.frame)
        return candidate.context


@dataclass(frozen=True, slots=True)
class RandomScorer:
    """Scores that know nothing: the control against which every other scorer has to win."""

    source: str = "random"
    calibration: str = "Uniform in [0, 1) by seed, whatever the frame: a control without any information."
    model_calls: int = 0
    judges_success: bool = False
    success_distance: float = 0.0

    def score(self, world: World, candidates: Sequence[Candidate]) -> list[float]:
        """One uniform draw per candidate, from its own seed."""
        return [float(np.random.default_rng(candidate.seed).random()) for candidate in candidates]


@dataclass(frozen=True, slots=True)
class CallableScorer:
    """A function of the user's: frame and goal in, one number out.

    Attributes:
        function: gets the frame (uint8, read-only) and the `Goal`; returns a finite number, 1 for "there".
    """

    function: Callable[[Frame, Goal], float]
    calibration: str = "A function of the user's: 1 means that the goal is reached."
    model_calls: int = 0
    judges_success: bool = True
    success_distance: float = 0.05

    @property
    def source(self) -> str:
        """The function's name."""
        return f"callable:{getattr(self.function, '__name__', type(self.function).__name__)}"

    def score(self, world: World, candidates: Sequence[Candidate]) -> list[float]:
        """The function's value for every candidate.

        Raises:
            OutputError: the function returned anything but a finite number.
        """
        return [self._score_one(candidate) for candidate in candidates]

    def _score_one(self, candidate: Candidate) -> float:
        frame = candidate.frame.view()
        frame.flags.writeable = False
        value = self.function(frame, candidate.goal)
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise OutputError(f"Expected a finite number from the scorer {self.source!r}, got {value!r:.80}. Return a float.")
        return number


def _reach() -> Scorer:
    from bagel_world.world.reach_scorer import ReachScorer  # it loads torch, which scoring does not

    return ReachScorer()


_NAMED: dict[str, Callable[[], Scorer]] = {
    "goal_image": GoalImageScorer,
    "judge": JudgeScorer,
    "random": RandomScorer,
    "reach": _reach,
}

SCORER_NAMES = ("none", *_NAMED)
"""Names that `make_scorer` knows; "none" means that nothing is scored."""


def make_scorer(scorer: str | Scorer | Callable[[Frame, Goal], float]) -> Scorer | None:
    """The scorer of this name, or around this function; None for "none".

    Raises:
        UnknownNameError: no scorer of this name.
        ConfigError: neither a name nor a scorer nor a function, or a class in place of one.
    """
    if isinstance(scorer, str):
        return _named_scorer(scorer)
    refuse_class("scorer", scorer)
    if isinstance(scorer, Scorer):
        return scorer
    if callable(scorer):
        return CallableScorer(scorer)
    raise ConfigError(f"Expected a scorer's name, a Scorer or a function (frame, goal) -> float, got {scorer!r:.80}.")


def refuse_class(what: str, given: object) -> None:
    """Refuse a class where one of its objects is wanted; a protocol cannot tell them apart.

    Raises:
        ConfigError: it is one.
    """
    if isinstance(given, type):
        raise ConfigError(f"Expected a {what}, got the class {given.__name__}. Make one: {given.__name__}().")


def _named_scorer(name: str) -> Scorer | None:
    if name == "none":
        return None
    if name not in _NAMED:
        raise UnknownNameError(f"There is no scorer named {name!r}. {nearest(name, SCORER_NAMES)}")
    return _NAMED[name]()


def can_write(world: World) -> bool:
    """Whether a world also speaks: answers, thinks and judges."""
    return bool(getattr(world, "can_write", False))


def check_writes(world: World, who: str) -> None:
    """Check that a world speaks.

    Raises:
        CapabilityError: it does not; `who` opens the sentence.
    """
    if not can_write(world):
        raise CapabilityError(
            f"{who} needs a world that was taught to write, {type(world).__name__} was not. Load a checkpoint that can, such as "
            "'nano-worlds' or 'ByteDance-Seed/BAGEL-7B-MoT'."
        )
