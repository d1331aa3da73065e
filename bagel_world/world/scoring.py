"""Scorers: how near a frame is to a goal. Environments make rewards of scores, planners make choices of them.

A score of 1 means "there". Every scorer says where its numbers come from (`source`) and what they mean (`calibration`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from bagel_world.errors import CapabilityError, ConfigError, UnknownNameError, nearest
from bagel_world.types import Frame
from bagel_world.world.protocol import World


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Goal:
    """What is to be reached: a picture, words, or both; empty where nothing is.

    Attributes:
        image: uint8, shape (height, width, 3).
        text: words such as "stand in front of the red door".
    """

    image: Frame | None = None
    text: str | None = None

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
    """

    frame: Frame
    goal: Goal
    seed: int = 0


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

    def score(self, world: World, candidates: Sequence[Candidate]) -> list[float]:
        """One score per candidate, at most 1; a candidate's score does not depend on the others."""
        ...


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

    def score(self, world: World, candidates: Sequence[Candidate]) -> list[float]:
        """The similarity of every frame and its goal picture.

        Raises:
            ConfigError: a goal without a picture.
        """
        goals = [candidate.goal.image for candidate in candidates]
        pictures = [goal for goal in goals if goal is not None]
        if len(pictures) < len(goals):
            raise ConfigError("The scorer 'goal_image' needs a goal picture, got none. Pass reset(options={'goal_image': ...}).")
        return [float(value) for value in world.similarity([candidate.frame for candidate in candidates], pictures)]


@dataclass(frozen=True, slots=True)
class RandomScorer:
    """Scores that know nothing: the control against which every other scorer has to win."""

    source: str = "random"
    calibration: str = "Uniform in [0, 1) by seed, whatever the frame: a control without any information."
    model_calls: int = 0
    judges_success: bool = False

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

    @property
    def source(self) -> str:
        """The function's name."""
        return f"callable:{getattr(self.function, '__name__', type(self.function).__name__)}"

    def score(self, world: World, candidates: Sequence[Candidate]) -> list[float]:
        """The function's value for every candidate.

        Raises:
            ConfigError: the function returned anything but a finite number.
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
            raise ConfigError(f"Expected a finite number from the scorer {self.source!r}, got {value!r:.80}. Return a float.")
        return number


_NAMED: dict[str, Callable[[], Scorer]] = {"goal_image": GoalImageScorer, "random": RandomScorer}

SCORER_NAMES = ("none", "goal_image", "random", "judge")
"""Names that `make_scorer` knows; "none" means that nothing is scored."""


def make_scorer(scorer: str | Scorer | Callable[[Frame, Goal], float]) -> Scorer | None:
    """The scorer of this name, or around this function; None for "none".

    Raises:
        UnknownNameError: no scorer of this name.
        CapabilityError: "judge", which needs the understanding expert's probabilities; no world offers them yet.
        ConfigError: neither a name nor a scorer nor a function.
    """
    if isinstance(scorer, str):
        return _named_scorer(scorer)
    if isinstance(scorer, Scorer):
        return scorer
    if callable(scorer):
        return CallableScorer(scorer)
    raise ConfigError(f"Expected a scorer's name, a Scorer or a function (frame, goal) -> float, got {scorer!r:.80}.")


def _named_scorer(name: str) -> Scorer | None:
    if name == "none":
        return None
    if name == "judge":
        raise CapabilityError(
            "The scorer 'judge' (the model's own probability that a goal in words is reached) is not available yet. "
            "Use 'goal_image' with a goal picture, or pass a function (frame, goal) -> float."
        )
    if name not in _NAMED:
        raise UnknownNameError(f"There is no scorer named {name!r}. {nearest(name, SCORER_NAMES)}")
    return _NAMED[name]()
