"""Plans: what was thought, proposed, imagined, scored and chosen, and what that cost; all of them values."""

from __future__ import annotations

from dataclasses import dataclass, field

from bagel_world.types import Action, Frame, Thought
from bagel_world.world.scoring import Goal


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """A model's text that holds no plan.

    Attributes:
        text: the text as it came, cut to `parsing.KEPT_CHARACTERS`.
        reason: what is wrong with it, in words that the model could mend it by.
    """

    text: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Something that could be done.

    Attributes:
        actions: what, step by step; none means to stay where one is.
        thought: why, where the proposer said so.
        stops: whether the proposer holds that the goal is reached behind these actions.
    """

    actions: tuple[Action, ...]
    thought: Thought | None = None
    stops: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """The texts of the actions."""
        return tuple(action.text for action in self.actions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposals:
    """What a proposer came up with.

    Attributes:
        items: what could be done; may be empty.
        malformed: texts that could not be read.
        model_calls: calls of a model that it took, beside imagining.
    """

    items: tuple[Proposal, ...] = ()
    malformed: tuple[Malformed, ...] = ()
    model_calls: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Future:
    """A candidate: actions and where they were imagined to lead.

    Attributes:
        actions: what would be done.
        frames: one imagined frame per action, uint8 (height, width, 3).
        scores: the scorer's word on each frame; None where nobody asked, as the value did not depend on it.
        value: what the candidates are compared by: the scores, aggregated.
        thought: why it was proposed, where the proposer said so.
        stops: whether the goal counts as reached behind it.
        draws: how often it was imagined, with different noise; `frames` and `scores` are those of the first time.
        visits: how often a tree search went this way; 0 for other searches.
    """

    actions: tuple[Action, ...]
    frames: tuple[Frame, ...]
    scores: tuple[float | None, ...]
    value: float
    thought: Thought | None = None
    stops: bool = False
    draws: int = 1
    visits: int = 0

    @property
    def words(self) -> tuple[str, ...]:
        """The texts of the actions."""
        return tuple(action.text for action in self.actions)

    def __str__(self) -> str:
        """The actions in one line."""
        return ", ".join([*self.words, *(["stop"] if self.stops else [])]) or "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What was paid.

    Attributes:
        model_calls: calls of models; a batch counts once.
        imagined_frames: frames that were imagined.
        ms: wall time in milliseconds.
    """

    model_calls: int = 0
    imagined_frames: int = 0
    ms: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        """Both together."""
        return Cost(
            model_calls=self.model_calls + other.model_calls,
            imagined_frames=self.imagined_frames + other.imagined_frames,
            ms=self.ms + other.ms,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """What to do next, and how that came about.

    Attributes:
        goal: what is to be reached.
        candidates: the futures that were weighed, in no order of merit; empty where the goal is reached already.
        choice: the place of the chosen one among them; None where the goal is reached already.
        reason: why, in words.
        now: the score of the present frame.
        trust: how much the imagination was trusted, in (0, 1].
        scorer: where the scores come from.
        thoughts: what was thought on the way.
        malformed: texts of the proposer that could not be read.
        cost: calls, frames and time.
    """

    goal: Goal
    candidates: tuple[Future, ...]
    choice: int | None
    reason: str
    now: float
    trust: float = 1.0
    scorer: str = ""
    thoughts: tuple[Thought, ...] = ()
    malformed: tuple[Malformed, ...] = ()
    cost: Cost = field(default_factory=Cost)

    @property
    def chosen(self) -> Future | None:
        """The chosen future; None where the goal is reached already."""
        return None if self.choice is None else self.candidates[self.choice]

    @property
    def actions(self) -> tuple[Action, ...]:
        """What to do; empty means to stop here."""
        return () if self.chosen is None else self.chosen.actions

    @property
    def stops(self) -> bool:
        """Whether the goal counts as reached behind these actions."""
        return self.chosen is None or self.chosen.stops
