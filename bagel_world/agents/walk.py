"""A walk: act, check what really came, put it in the place of what was imagined, and plan anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from bagel_world.agents.body import Body, Sight, success_of
from bagel_world.agents.imagination import Imagination
from bagel_world.agents.plan import Cost, Plan
from bagel_world.agents.report import End, EpisodeReport, Step
from bagel_world.agents.trust import Trust, TrustRule
from bagel_world.types import Action, Frame
from bagel_world.world.protocol import Context, World
from bagel_world.world.scoring import Goal


class Decider(Protocol):
    """What a walk needs of a planner."""

    world: World
    trust_rule: TrustRule
    commit: int
    stop_when: Callable[[Plan], bool] | None

    def imagination(
        self, context: Context, goal: Goal, *, seed: int, step: int, trust: float, actions: tuple[Action, ...]
    ) -> Imagination:
        """The tree that a plan from here would grow."""
        ...

    def arrived(self, tree: Imagination) -> bool:
        """Whether the goal is reached."""
        ...

    def decide(self, tree: Imagination) -> Plan:
        """The plan of a fresh tree."""
        ...


class Walk:
    """A run while it goes on.

    Args:
        planner: decides.
        body: sees and acts.
        goal: what is to be reached.
        context: what was seen and done before; ends with the present frame.
        seed: decides every draw.

    Attributes:
        context: what really came, and what was done.
        trust: what is left of it.
        steps: behind us.
        looked: frames at which it planned before: what counts as explored.
        cost: of all plans and checks.
        score: of the newest frame.
    """

    def __init__(self, planner: Decider, body: Body, goal: Goal, context: Context, seed: int) -> None:
        self.planner, self.body, self.goal, self.context, self.seed = planner, body, goal, context, seed
        self.start = context.frames[-1]
        self.trust = Trust(rule=planner.trust_rule)
        self.steps: list[Step] = []
        self.looked: list[Frame] = []
        self.cost = Cost()
        self.score = float("nan")
        self.last_plan: Plan | None = None
        self._arrived = False

    def go(self, most: int, watch: Callable[[Step], None] | None) -> End:
        """Plan and follow, again and again."""
        while True:
            tree = self._imagination()
            self.score = tree.reached
            if len(self.steps) >= most and not self.planner.arrived(tree):
                self.cost += tree.cost
                return "steps"
            plan = self.planner.decide(tree)
            self.looked.append(self.context.frames[-1])
            self.cost += plan.cost
            if plan.choice is None:
                self.last_plan, self._arrived = plan, True
                return "goal"
            told = self.planner.stop_when is not None and self.planner.stop_when(plan)
            if told or not plan.actions:
                self.last_plan, self._arrived = plan, told or plan.stops
                return "stop"
            end = self._follow(plan, most, watch)
            if end is not None:
                return end

    def report(self, end: End) -> EpisodeReport:
        """The walk as a value."""
        told = bool(self.steps) and bool(success_of(self.steps[-1].info))
        return EpisodeReport(
            goal=self.goal,
            start=self.start,
            steps=tuple(self.steps),
            end=end,
            success=self._arrived or told,
            score=self.score,
            last_plan=self.last_plan,
            cost=self.cost,
        )

    def _follow(self, plan: Plan, most: int, watch: Callable[[Step], None] | None) -> End | None:
        """Act and check until the plan is done, revised or cut off; why the walk ended, if it did."""
        chosen = plan.chosen
        assert chosen is not None
        ahead = chosen.actions[: min(self.planner.commit, most - len(self.steps))]
        for place, (action, imagined) in enumerate(zip(ahead, chosen.frames, strict=False)):
            sight = self.body.act(action)
            surprise = self._check(action, imagined, sight)
            step = Step(
                action=action,
                frame=self.context.frames[-1],
                imagined=imagined,
                surprise=surprise,
                trust=self.trust.level,
                plan=plan if place == 0 else None,
                reward=sight.reward,
                info=sight.info,
            )
            self.steps.append(step)
            if watch is not None:
                watch(step)
            if sight.terminated or sight.truncated:
                self.score = self._score_last()
                return "terminated" if sight.terminated else "truncated"
            if self.trust.revises(surprise):
                return None
        if chosen.stops and len(ahead) == len(chosen.actions):
            self.score = self._score_last()
            self.last_plan, self._arrived = plan, True
            return "stop"
        return None

    def _check(self, action: Action, imagined: Frame, sight: Sight) -> float:
        """Put what really came in the place of what was imagined; how far apart they are."""
        self.context = self.context.say(action.text).observe(sight.frame)
        (alike,) = self.planner.world.similarity([imagined], [self.context.frames[-1]])
        self.cost += Cost(model_calls=1)
        surprise = 1.0 - alike
        self.trust = self.trust.after(surprise)
        return surprise

    def _score_last(self) -> float:
        tree = self._imagination()
        score = tree.reached
        self.cost += tree.cost
        return score

    def _imagination(self) -> Imagination:
        return self.planner.imagination(
            self.context,
            replace(self.goal, explored=(*self.goal.explored, *self.looked)),
            seed=self.seed,
            step=len(self.steps),
            trust=self.trust.level,
            actions=self.body.actions,
        )
