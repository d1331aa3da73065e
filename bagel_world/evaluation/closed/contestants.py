"""Contestants: who is sent on missions, from one who acts at random to a planner with perfect imagination."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bagel_world.actions import NAVIGATE_WORDS
from bagel_world.agents import Aggregate, BestOf, Planner
from bagel_world.agents.parsing import read_proposal
from bagel_world.agents.plan import Malformed
from bagel_world.agents.prompts import goal_sentence
from bagel_world.evaluation.closed.maneuvers import Maneuvers
from bagel_world.evaluation.closed.way_scorer import WayScorer
from bagel_world.evaluation.subject import seed_for
from bagel_world.sims.captions import GOALS, STANDING
from bagel_world.types import Frame
from bagel_world.world.protocol import Context, World
from bagel_world.world.scoring import Goal, RandomScorer, Scorer

FORWARD, LEFT, RIGHT, STAY = NAVIGATE_WORDS

FINDING = GOALS[1]

_MOVES = (FORWARD, LEFT, RIGHT)
_WANDER, _THINK = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do next.

    Attributes:
        words: actions, to be done one after the other.
        stops: whether the goal counts as reached here.
        model_calls: of the world; a batch counts once.
        imagined_frames: that were imagined.
        expected: the frames that were imagined for the words, one per word; empty where nothing was.
    """

    words: tuple[str, ...]
    stops: bool = False
    model_calls: int = 0
    imagined_frames: int = 0
    expected: tuple[Frame, ...] = ()


class Contestant(Protocol):
    """Someone who decides."""

    @property
    def name(self) -> str:
        """Of the row in the table."""
        ...

    @property
    def world(self) -> World:
        """In which it keeps what it saw and did."""
        ...

    def decide(self, context: Context, goal: Goal, *, step: int, seed: int) -> Decision:
        """What to do next, after what was seen and done; equal seeds give equal decisions."""
        ...


@dataclass(slots=True, kw_only=True)
class Wanderer:
    """Acts at random: forward, left or right with equal chances."""

    world: World
    name: str = "random actions"

    def decide(self, context: Context, goal: Goal, *, step: int, seed: int) -> Decision:
        """One action."""
        rng = np.random.default_rng(seed_for(seed, _WANDER, step))
        return Decision(words=(_MOVES[int(rng.integers(len(_MOVES)))],))


@dataclass(slots=True, kw_only=True)
class Thinker:
    """The model's own chain of thought, without imagining anything: it is asked, and does what it says.

    Attributes:
        stops: whether it may stop by its own word; else by the rule alone, as everybody else.
    """

    world: World
    stops: bool = True

    @property
    def name(self) -> str:
        """Of the row in the table."""
        return "thought only" if self.stops else "thought only, stopped by the rule"

    def decide(self, context: Context, goal: Goal, *, step: int, seed: int) -> Decision:
        """The first action of its answer; "Stay" and what it calls the end stop, or turn left like what cannot be read."""
        world: Any = self.world
        (answer,) = world.ask_many([context], [_question(goal)], think=True, seeds=[seed_for(seed, _THINK, step)])
        read = read_proposal(answer, NAVIGATE_WORDS, thought=getattr(answer, "thought", None))
        if isinstance(read, Malformed):
            return Decision(words=(LEFT,), model_calls=1)
        words = tuple(action.text for action in read.actions[:1])
        if words and words[0] != STAY:
            return Decision(words=words, model_calls=1)
        return Decision(words=() if self.stops else (LEFT,), stops=self.stops, model_calls=1)


def _question(goal: Goal) -> str:
    """The goal as it is asked for in thoughts: goals to stand in front of something become goals to find it."""
    before, _, _ = STANDING.partition("{object}")
    if goal.text is None or not goal.text.startswith(before):
        return goal_sentence(goal)
    return FINDING.format(object=goal.text.removeprefix(before))


@dataclass(slots=True, kw_only=True)
class Planning:
    """A planner, in whichever world.

    Attributes:
        planner: decides; it never stops by itself.
        commit: most actions of a plan that are done before the next plan.
    """

    planner: Planner
    name: str
    commit: int

    @property
    def world(self) -> World:
        """The one it imagines in."""
        return self.planner.world

    def decide(self, context: Context, goal: Goal, *, step: int, seed: int) -> Decision:
        """The beginning of the best plan.

        Not only as far as its best frame: an agent that turns to whatever looks best and plans again turns back and forth.
        """
        plan = self.planner.plan(context, goal, seed=seed, step=step)
        chosen = plan.chosen
        assert chosen is not None  # it never stops by itself
        return Decision(
            words=chosen.words[: self.commit],
            model_calls=plan.cost.model_calls,
            imagined_frames=plan.cost.imagined_frames,
            expected=chosen.frames[: self.commit],
        )


def planning(name: str, world: World, scorer: Scorer, *, rollouts: int, maneuvers: Maneuvers, commit: int) -> Planning:
    """A planner that imagines so many maneuvers and takes the one that ends best.

    What is seen on the way does not count: else it would choose by what it sees while it turns, and turn back the next time.
    """
    search, ends = BestOf(limit=rollouts), Aggregate(kind="last")
    planner = Planner(world, maneuvers, scorer, search, aggregate=ends, stop_at=float("inf"))
    return Planning(planner=planner, name=name, commit=commit)


def line_up(
    world: World, oracle: World | None, scorer: Scorer, *, rollouts: Sequence[int], maneuvers: Maneuvers, commit: int
) -> list[Contestant]:
    """Everybody who takes part, from the least informed to the best.

    Args:
        world: the learned one.
        oracle: the simulator as a world; None leaves its rows out.
        scorer: of imagined frames.
        rollouts: imagined maneuvers per plan; the control and the oracle get the most of them.
        maneuvers: what is weighed.
        commit: most actions of a plan that are done.
    """
    most = max(rollouts)
    settings: dict[str, Any] = {"maneuvers": maneuvers, "commit": commit}
    found: list[Contestant] = [Wanderer(world=world)]
    if getattr(world, "can_write", False):
        found += [Thinker(world=world), Thinker(world=world, stops=False)]
    found.append(planning("planner, random scorer", world, RandomScorer(), rollouts=most, **settings))
    for count in sorted(rollouts):
        found.append(planning(f"planner, learned world, {rollout_words(count)}", world, scorer, rollouts=count, **settings))
    if oracle is not None:
        found.append(planning("planner, simulator as world", oracle, scorer, rollouts=most, **settings))
        found.append(planning("planner, simulator as world and scorer", oracle, WayScorer(), rollouts=most, **settings))
    return found


def rollout_words(count: int) -> str:
    """So many rollouts, in words."""
    return f"{count} rollout{'s' if count > 1 else ''}"
