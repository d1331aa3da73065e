"""The planner: think, propose, imagine, score, choose; then act, check what really came, and revise."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from math import inf, isnan
from numbers import Real
from typing import Any, cast

import gymnasium as gym

from bagel_world.actions import action_from_text
from bagel_world.agents.aggregate import Aggregate
from bagel_world.agents.body import Body
from bagel_world.agents.choosing import make_proposer, make_search
from bagel_world.agents.explaining import arrived_reason, choice_reason
from bagel_world.agents.goals import needed, read_goal, scorer_for
from bagel_world.agents.imagination import Budget, Draw, Imagination, checked_world, is_whole
from bagel_world.agents.plan import Cost, Plan, Proposal, Proposals
from bagel_world.agents.proposers import Exhaustive, Proposer
from bagel_world.agents.report import EpisodeReport, Step
from bagel_world.agents.search import Search
from bagel_world.agents.trust import TrustRule
from bagel_world.agents.walk import Walk
from bagel_world.errors import ConfigError
from bagel_world.images import fit_image
from bagel_world.types import Action, Frame, Thought
from bagel_world.world.protocol import Context, Thinker, World
from bagel_world.world.scoring import Goal, Scorer, check_writes, make_scorer

logger = logging.getLogger(__name__)

FALLBACK = Exhaustive(depth=1)
"""Single actions, for where nothing that was proposed could be read."""


class Planner:
    """Decides by imagining.

    Args:
        world: imagines; shared, never changed.
        proposer: what could be done: a `Proposer`, "exhaustive", "random" or "thought", a chat model (anything with `invoke`), or
            a function of the `Imagination` that returns sequences of actions.
        scorer: how near a frame is to the goal: a `Scorer`, its name, or a function (frame, goal) -> float where 1 means "there";
            None takes "goal_image" for goals with a picture and "judge" for goals in words.
        search: how to look through futures: a `Search`, "best-of", "beam", "mcts" or "cem".
        aggregate: how the scores along a future become its value.
        trust: how surprise lowers trust in what is imagined.
        budget: what one plan may cost.
        stop_at: the goal counts as reached where the present frame scores at least this, if the scorer judges success; None takes
            what the scorer itself calls success, infinity never stops by score.
        stop_when: looks at a finished plan and says whether to stop instead of acting.
        commit: most actions of a plan that are done before the next plan is made.
        think: whether the world writes a thought about what it sees first; it becomes part of the plan.
        words: the actions; None takes those of the environment or, without one, of the world.

    Raises:
        ConfigError: an argument that does not fit.
        UnknownNameError: a name that nothing has.
        CapabilityError: a scorer that no world offers.
    """

    def __init__(
        self,
        world: World,
        proposer: str | Proposer | Callable[[Imagination], Any] | Any = "exhaustive",
        scorer: str | Scorer | Callable[[Frame, Goal], float] | None = None,
        search: str | Search = "best-of",
        *,
        aggregate: Aggregate | None = None,
        trust: TrustRule | None = None,
        budget: Budget | None = None,
        stop_at: float | None = None,
        stop_when: Callable[[Plan], bool] | None = None,
        commit: int = 1,
        think: bool = False,
        words: Sequence[str] | None = None,
    ) -> None:
        if not is_whole(commit) or commit < 1:
            raise ConfigError(f"Expected commit of at least one action, got {commit!r}.")
        if stop_at is not None and (isinstance(stop_at, bool) or not isinstance(stop_at, Real) or isnan(stop_at)):
            raise ConfigError(f"Expected stop_at to be a score, got {stop_at!r:.40}. Infinity never stops by score.")
        for name, given, kind in (("aggregate", aggregate, Aggregate), ("trust", trust, TrustRule), ("budget", budget, Budget)):
            if given is not None and not isinstance(given, kind):
                raise ConfigError(f"Expected {name} to be a {kind.__name__}(...), got {given!r:.80}.")
        if stop_when is not None and not callable(stop_when):
            raise ConfigError(f"Expected stop_when to be a function of a plan, got {stop_when!r:.80}.")
        if words is not None and (isinstance(words, str) or not isinstance(words, Iterable)):
            raise ConfigError(f"Expected a list of action words, got {words!r:.80}.")
        self.world = checked_world(world)
        self.proposer = make_proposer(proposer)
        self.search = make_search(search)
        self.aggregate = aggregate or Aggregate()
        self.trust_rule = trust or TrustRule()
        self.budget = budget or Budget()
        self.stop_at, self.stop_when = stop_at, stop_when
        self.commit, self.think = int(commit), think
        self._words = None if words is None else tuple(action_from_text(word).text for word in words)
        self._scorer = None if scorer is None else needed(make_scorer(scorer))

    def plan(
        self,
        seen: Context | Any,
        goal: Goal | Any,
        *,
        seed: int = 0,
        step: int = 0,
        trust: float = 1.0,
        actions: Sequence[Action | str] | None = None,
    ) -> Plan:
        """Think, propose, imagine, score and choose; nothing is done.

        Args:
            seen: the context, or an image that is all that was seen.
            goal: a `Goal`, a text, or an image.
            seed: decides every draw.
            step: of the episode; gives each step noise of its own.
            trust: in what is imagined, in (0, 1].
            actions: what can be done, in words or as `Action`, where that is not known from elsewhere.

        Raises:
            ConfigError, CapabilityError: the goal cannot be scored, or the proposer cannot propose, with this world; or an
                argument does not fit.
            ActionError: words that cannot be an action.
        """
        context = seen if isinstance(seen, Context) else self.world.observe(fit_image(seen, self.world.frame_size))
        return self.decide(self.imagination(context, self.read_goal(goal), seed=seed, step=step, trust=trust, actions=actions))

    def run(
        self,
        env: gym.Env[Any, Any],
        goal: Goal | Any,
        *,
        steps: int = 60,
        seed: int = 0,
        frame: Any = None,
        context: Context | None = None,
        options: Mapping[str, Any] | None = None,
        actions: Mapping[str, Any] | None = None,
        look: Callable[[Any], Any] | None = None,
        watch: Callable[[Step], None] | None = None,
    ) -> EpisodeReport:
        """Plan, act, check and revise until the goal is reached, the episode ends, or the steps are spent.

        Args:
            env: where to act; planning never steps it.
            goal: a `Goal`, a text, or an image.
            steps: most actions to do.
            seed: decides every draw of the planner, and the reset.
            frame: the present picture of an environment that is reset already; None resets it.
            context: what was seen and done before, ending with the present frame, of an environment that is reset already.
            options: for the reset.
            actions: what to hand to `env.step` for every action word; see `Body`.
            look: makes a picture of an observation; see `Body`.
            watch: is told of every step.

        Raises:
            ConfigError: no way to see or act in this environment, or a goal that cannot be scored.
            CapabilityError: a world that was never taught what the scorer or the proposer needs.
        """
        if not is_whole(steps) or steps < 0:
            raise ConfigError(f"Expected steps from 0 on, got {steps!r}.")
        body = Body(env, self.world.frame_size, actions=actions, look=look)
        target = self.read_goal(goal)
        if context is None:
            first = body.begin(seed=seed, options=options) if frame is None else fit_image(frame, self.world.frame_size)
            context = self.world.observe(first)
        _check_begun(context)
        walk = Walk(self, body, target, context, seed)
        return walk.report(walk.go(steps, watch))

    def read_goal(self, goal: Goal | Any) -> Goal:
        """A goal at the world's size; see `goals.read_goal`."""
        return read_goal(goal, self.world.frame_size)

    def scorer_of(self, goal: Goal) -> Scorer:
        """The scorer for this goal: the planner's, or the one that fits."""
        return scorer_for(goal, self._scorer)

    def imagination(
        self,
        context: Context,
        goal: Goal,
        *,
        seed: int = 0,
        step: int = 0,
        trust: float = 1.0,
        actions: Sequence[Action | str] | None = None,
    ) -> Imagination:
        """The tree that a plan from here would grow; see `plan`.

        Raises:
            ConfigError: a context without a frame, or words that the environment does not have.
        """
        _check_begun(context)
        return Imagination(
            self.world,
            context,
            goal,
            scorer=self.scorer_of(goal),
            actions=self._usable(actions),
            aggregate=self.aggregate,
            trust=trust,
            budget=self.budget,
            seed=seed,
            step=step,
        )

    def decide(self, tree: Imagination) -> Plan:
        """The plan of a fresh tree: think, propose, imagine, score, choose."""
        if self.arrived(tree):
            return self._stay(tree)
        thoughts = self._think(tree)
        proposals, fell_back = self._propose(tree)
        found = self.search.search(tree, proposals.items)
        plan = Plan(
            goal=tree.goal,
            candidates=found.candidates,
            choice=found.choice,
            reason=choice_reason(
                found.candidates,
                found.choice,
                now=tree.now,
                scorer=tree.scorer.source,
                trust=tree.trust,
                malformed=proposals.malformed,
                fell_back=fell_back,
            ),
            now=tree.now,
            trust=tree.trust,
            scorer=tree.scorer.source,
            thoughts=(*thoughts, *(each.thought for each in proposals.items if each.thought is not None)),
            malformed=proposals.malformed,
            cost=tree.cost + Cost(model_calls=proposals.model_calls + len(thoughts)),
        )
        logger.info("step %d: %s", tree.step, plan.reason)
        return plan

    def arrived(self, tree: Imagination) -> bool:
        """Whether the present frame scores as high as the goal itself."""
        _ = tree.now  # asked in any case: a goal that cannot be scored fails before anything is imagined
        enough = self.stop_score(tree.scorer)
        return tree.scorer.judges_success and enough < inf and tree.reached >= enough

    def stop_score(self, scorer: Scorer) -> float:
        """The score from which on the goal counts as reached."""
        return 1.0 - scorer.success_distance if self.stop_at is None else self.stop_at

    def _stay(self, tree: Imagination) -> Plan:
        return Plan(
            goal=tree.goal,
            candidates=(),
            choice=None,
            reason=arrived_reason(tree.reached, self.stop_score(tree.scorer), tree.scorer.source),
            now=tree.reached,
            trust=tree.trust,
            scorer=tree.scorer.source,
            cost=tree.cost,
        )

    def _usable(self, actions: Sequence[Action | str] | None) -> tuple[Action, ...]:
        """The actions to plan with: the planner's own words among those of the environment, all of either where one is silent."""
        if not actions:
            words = self.world.action_words if self._words is None else self._words
            return tuple(Action(text=word, id=place) for place, word in enumerate(words))
        actions = _read_actions(actions)
        known = {action.text: action for action in actions}
        missing = [word for word in self._words or () if word not in known]
        if missing:
            raise ConfigError(f"Expected actions that the environment has ({', '.join(known)}), got also {', '.join(missing)}.")
        return actions if self._words is None else tuple(known[word] for word in self._words)

    def _think(self, tree: Imagination) -> tuple[Thought, ...]:
        if not self.think:
            return ()
        check_writes(self.world, "think=True")
        return tuple(cast(Thinker, self.world).think([tree.root.context], seeds=[tree.seed_for(Draw.THOUGHT)]))

    def _propose(self, tree: Imagination) -> tuple[Proposals, bool]:
        """What was proposed, and whether single actions had to take its place."""
        proposals = self.proposer.propose(tree)
        if proposals.items:
            return proposals, False
        return replace(proposals, items=self._fallback(tree)), True

    def _fallback(self, tree: Imagination) -> tuple[Proposal, ...]:
        """What is proposed where nothing that was proposed could be read: single actions; to stay where there are none."""
        if tree.actions:
            return FALLBACK.propose(tree).items
        words = self.world.action_words
        return tuple(Proposal(actions=(Action(text=word),)) for word in words) or (Proposal(actions=()),)


def _read_actions(actions: Sequence[Action | str]) -> tuple[Action, ...]:
    if isinstance(actions, str) or not isinstance(actions, Sequence):
        raise ConfigError(f"Expected a list of actions, got {actions!r:.80}.")
    return tuple(
        each if isinstance(each, Action) else Action(text=action_from_text(each).text, id=place)
        for place, each in enumerate(actions)
    )


def _check_begun(context: Context) -> None:
    if not context.frames:
        raise ConfigError("A plan begins at a frame, got a context without any. Call world.observe(image) first.")
