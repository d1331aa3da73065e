"""What came of an agent's walk: every step with what was planned, imagined and really seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from bagel_world.agents.plan import Cost, Plan
from bagel_world.types import Action, Episode, Frame
from bagel_world.world.scoring import Goal

End = Literal["goal", "stop", "terminated", "truncated", "steps"]
"""Why a walk ended: the score says that the goal is reached; the proposer or the stop rule said to stop; the environment ended
the episode; it broke it off; there were no steps left."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """One step of a walk.

    Attributes:
        action: what was done.
        frame: what really came, at the world's size.
        imagined: what had been imagined to come; None where nothing was.
        surprise: 1 - similarity of both, in the world's own features; None where nothing was imagined.
        trust: in the imagination, after this step.
        plan: the plan that this step began; None for later steps of a plan.
        reward: the environment's.
        info: the environment's.
    """

    action: Action
    frame: Frame
    imagined: Frame | None
    surprise: float | None
    trust: float
    plan: Plan | None
    reward: float = 0.0
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EpisodeReport:
    """A walk and how it ended.

    Attributes:
        goal: what was to be reached.
        start: the first frame, at the world's size.
        steps: one per action.
        end: why it ended.
        success: whether the goal is reached, as far as the agent can tell: it stopped for that reason, or the environment's info
            says so. Who only stays where it is has not arrived. The truth is for an evaluation to know.
        score: of the last frame.
        last_plan: the plan by which the agent stopped, if it did.
        cost: of all plans.
    """

    goal: Goal
    start: Frame
    steps: tuple[Step, ...]
    end: End
    success: bool
    score: float
    last_plan: Plan | None = None
    cost: Cost = field(default_factory=Cost)

    @property
    def actions(self) -> tuple[Action, ...]:
        """What was done."""
        return tuple(step.action for step in self.steps)

    @property
    def surprises(self) -> tuple[float, ...]:
        """The surprise of every step that had been imagined."""
        return tuple(step.surprise for step in self.steps if step.surprise is not None)

    @property
    def plans(self) -> tuple[Plan, ...]:
        """Every plan that was made, in order."""
        made = [step.plan for step in self.steps if step.plan is not None]
        last = self.last_plan  # it may have begun a step too: then it is the newest of them
        return tuple(made if last is None or (made and made[-1] is last) else [*made, last])

    def to_episode(self) -> Episode:
        """The frames and actions as an episode, to be saved or shown."""
        return Episode(
            frames=np.stack([self.start, *(step.frame for step in self.steps)]),
            actions=self.actions,
            metadata={"source": "agent", "end": self.end, "success": self.success},
        )
