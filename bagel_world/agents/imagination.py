"""Imagination: the tree of futures that one plan grows, whoever grows it.

Proposers and searches ask it for frames and scores; it batches, remembers and counts. What is shared is imagined once: futures
that begin alike share nodes, and all of them share the past. The live context is forked, so that nothing that is imagined here
shows in it.

Randomness: the noise of a frame depends on the planner's seed, the step of the episode that the frame stands for, and how many
times it was drawn before. So actions are compared under equal noise, and no action is favored by its place in a list.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
from pydantic import Field

from bagel_world.agents.aggregate import Aggregate
from bagel_world.agents.plan import Cost, Future
from bagel_world.agents.setting import Setting
from bagel_world.errors import ConfigError
from bagel_world.types import Action, Frame, Thought
from bagel_world.world.protocol import Context, World
from bagel_world.world.scoring import Candidate, Goal, Scorer, ask_scorer

T = TypeVar("T")

MAX_BATCH = 64
"""Most frames that are imagined in one call of the world."""


class Draw(IntEnum):
    """What a plan draws for; each has its own stream."""

    FRAME = 0
    THOUGHT = 1
    SCORE = 2
    CHOICE = 3
    PROPOSAL = 4


class Budget(Setting):
    """What one plan may cost. Without any limit, the search's own settings decide."""

    frames: int | None = Field(default=None, ge=1, description="Most frames to imagine; never exceeded.")
    seconds: float | None = Field(
        default=None, gt=0, description="No batch begins later than this; plans are then not reproducible on another machine."
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """A place in a future; the root is the present.

    Attributes:
        context: what has been seen, done and imagined up to here; its newest frame is this place's.
        parent: where it was imagined from.
        action: what led here.
        draw: the how-manieth outcome of this action there.
        depth: steps from the present.
    """

    context: Context
    parent: Node | None = None
    action: Action | None = None
    draw: int = 0
    depth: int = 0

    @property
    def frame(self) -> Frame:
        """What is seen here."""
        return self.context.frames[-1]

    @property
    def path(self) -> tuple[Node, ...]:
        """The nodes from the first step to this one; empty for the root."""
        return () if self.parent is None else (*self.parent.path, self)

    @property
    def actions(self) -> tuple[Action, ...]:
        """What was done to get here."""
        return tuple(node.action for node in self.path if node.action is not None)


def checked_world(world: Any) -> World:
    """The world, if it is one.

    Raises:
        ConfigError: something else, such as the name of a checkpoint.
    """
    if not all(callable(getattr(world, name, None)) for name in ("observe", "imagine")):
        raise ConfigError(f"Expected a world, for example BagelWorld.from_pretrained('nano'), got {world!r:.80}.")
    return world


def is_whole(value: Any) -> bool:
    """Whether this is a whole number; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def checked_seed(seed: int) -> int:
    """The seed of a walk or a plan.

    Raises:
        ConfigError: it is no whole number from 0 to 2**63 - 1.
    """
    if not is_whole(seed) or not 0 <= seed < 2**63:
        raise ConfigError(f"Expected a seed from 0 to 2**63 - 1, got {seed!r}.")
    return int(seed)


Request = tuple[Node, Action, int]
"""A child to be imagined: where, what is done, the how-manieth draw."""


class Imagination:
    """The futures of one plan.

    Args:
        world: imagines.
        context: the live context; it stays as it is.
        goal: what is to be reached.
        scorer: tells how near a frame is to it.
        actions: what can be done; empty where any words can.
        aggregate: makes values of scores.
        trust: in what is imagined, in (0, 1].
        budget: what may be spent.
        seed: decides every draw.
        step: of the episode that the present is.

    Attributes:
        root: the present.
        imagined: frames imagined so far.
        model_calls: calls of the world so far, scoring included.

    Raises:
        ConfigError: a seed, a step or a trust out of range.
    """

    def __init__(
        self,
        world: World,
        context: Context,
        goal: Goal,
        *,
        scorer: Scorer,
        actions: Sequence[Action],
        aggregate: Aggregate | None = None,
        trust: float = 1.0,
        budget: Budget | None = None,
        seed: int = 0,
        step: int = 0,
    ) -> None:
        self.world, self.goal, self.scorer = world, goal, scorer
        self.actions = tuple(actions)
        self.aggregate = aggregate or Aggregate()
        if not isinstance(trust, Real) or not 0 < trust <= 1:
            raise ConfigError(f"Expected trust above 0 and up to 1, got {trust!r:.40}.")
        if not is_whole(step) or step < 0:
            raise ConfigError(f"Expected the step of an episode, from 0 on, got {step!r:.40}.")
        self.trust = trust
        self.budget = budget or Budget()
        self.seed, self.step = checked_seed(seed), int(step)
        self.root = Node(context=context.fork())
        self.imagined = 0
        self.model_calls = 0
        self._children: dict[tuple[Node, str, int], Node] = {}
        self._scores: dict[Node, float] = {}
        self._began = time.perf_counter()

    @property
    def words(self) -> tuple[str, ...]:
        """The texts of the actions there are."""
        return tuple(action.text for action in self.actions)

    @cached_property
    def now(self) -> float:
        """The score of the present frame."""
        return self.score([self.root])[0]

    @cached_property
    def reached(self) -> float:
        """The score of the present frame for the goal alone: what was explored keeps nobody from arriving."""
        if not self.goal.explored or not getattr(self.scorer, "curiosity", 0.0):
            return self.now  # most scorers do not mind
        self.model_calls += self.scorer.model_calls
        alone = replace(self._candidate(self.root), goal=replace(self.goal, explored=()))
        return ask_scorer(self.scorer, self.world, [alone])[0]

    @property
    def left(self) -> int:
        """Frames that may still be imagined."""
        return sys.maxsize if self.budget.frames is None else self.budget.frames - self.imagined

    @property
    def late(self) -> bool:
        """Whether the time is over: no further batch should begin."""
        return self.budget.seconds is not None and time.perf_counter() - self._began >= self.budget.seconds

    @property
    def cost(self) -> Cost:
        """What was paid so far."""
        ms = 1000 * (time.perf_counter() - self._began)
        return Cost(model_calls=self.model_calls, imagined_frames=self.imagined, ms=ms)

    def seed_for(self, draw: Draw, *place: int) -> int:
        """The seed of a draw, 0..2**63 - 1: a function of the planner's seed and this place alone."""
        words = np.random.SeedSequence(self.seed, spawn_key=(self.step, int(draw), *place)).generate_state(1, np.uint64)
        return int(words[0]) >> 1

    def generator(self, draw: Draw) -> np.random.Generator:
        """A generator for this plan's draws of a kind."""
        return np.random.default_rng(self.seed_for(draw))

    def in_time(self, items: Sequence[T]) -> Iterator[list[T]]:
        """The items in pieces of a batch, the first one always, others as long as there is time."""
        size = len(items) if self.budget.seconds is None else MAX_BATCH
        for start in range(0, len(items), max(1, size)):
            if start and self.late:
                return
            yield list(items[start : start + size])

    def fitting(self, requests: Sequence[Request]) -> list[Request]:
        """The requests, in order, that the frames left are enough for; what is imagined already costs nothing."""
        left, counted, fitting = self.left, set(), []
        for node, action, draw in requests:
            key = (node, action.text, draw)
            price = 0 if key in self._children or key in counted else 1
            if price <= left:
                left -= price
                counted.add(key)
                fitting.append((node, action, draw))
        return fitting

    def affordable(self, sequences: Sequence[tuple[Action, ...]], draw: int = 0) -> list[tuple[Action, ...]]:
        """The sequences, in order, that the frames left are enough for from end to end; shared beginnings count once."""
        left, counted, affordable = self.left, set(), []
        for actions in sequences:
            known = self._known(actions, draw)
            words = tuple(action.text for action in actions)
            new = {words[:length] for length in range(known + 1, len(words) + 1)} - counted
            if len(new) <= left:
                left -= len(new)
                counted |= new
                affordable.append(actions)
        return affordable

    def grow(self, requests: Sequence[Request]) -> list[Node]:
        """The children that were asked for, those imagined before as they are, all others in batches.

        Raises:
            ConfigError: they would break the budget; ask `fitting` before.
        """
        new: dict[tuple[Node, str, int], Request] = {}
        for node, action, draw in requests:
            key = (node, action.text, draw)
            if key not in self._children:
                new[key] = (node, action, draw)
        if len(new) > self.left:
            raise ConfigError(
                f"{self.left} frames are left of the budget of {self.budget.frames}, {len(new)} were asked for. "
                "Ask `fitting` or `affordable` which ones may be imagined."
            )
        keys = list(new)
        for start in range(0, len(keys), MAX_BATCH):
            self._imagine(keys[start : start + MAX_BATCH], [new[key] for key in keys[start : start + MAX_BATCH]])
        return [self._children[node, action.text, draw] for node, action, draw in requests]

    def follow(self, sequences: Sequence[tuple[Action, ...]], draw: int = 0) -> list[Node]:
        """The last node of every sequence of actions; one batch per step.

        Where the time is over a sequence ends early: behind its first step, or where what was imagined of it before ends.
        """
        nodes = [self.root for _ in sequences]
        for place in range(max(map(len, sequences), default=0)):
            going = [row for row, actions in enumerate(sequences) if place < len(actions) and nodes[row].depth == place]
            if place and self.late:
                going = [row for row in going if (nodes[row], sequences[row][place].text, draw) in self._children]
            grown = self.grow([(nodes[row], sequences[row][place], draw) for row in going])
            for row, node in zip(going, grown, strict=True):
                nodes[row] = node
        return nodes

    def score(self, nodes: Sequence[Node]) -> list[float]:
        """The scorer's word on every node, in one batch; each is asked once."""
        new = [node for node in dict.fromkeys(nodes) if node not in self._scores]
        if new:
            scores = ask_scorer(self.scorer, self.world, [self._candidate(node) for node in new])
            self.model_calls += self.scorer.model_calls
            self._scores |= dict(zip(new, scores, strict=True))
        return [self._scores[node] for node in nodes]

    def values(self, nodes: Sequence[Node]) -> list[float]:
        """What the futures that end at these nodes are worth."""
        present = self.now
        paths = [node.path for node in nodes]
        self.score([path[place] for path in paths for place in self.aggregate.counts(len(path))])
        return [self.aggregate.combine(present, self._known_scores(path), self.trust) for path in paths]

    def future(
        self,
        node: Node,
        value: float,
        *,
        thought: Thought | None = None,
        stops: bool = False,
        draws: int = 1,
        visits: int = 0,
    ) -> Future:
        """The future that ends at a node, without the contexts that it was imagined in."""
        path = node.path
        return Future(
            actions=node.actions,
            frames=tuple(each.frame for each in path),
            scores=self._known_scores(path),
            value=value,
            thought=thought,
            stops=stops,
            draws=draws,
            visits=visits,
        )

    def _imagine(self, keys: Sequence[tuple[Node, str, int]], requests: Sequence[Request]) -> None:
        said = [node.context.say(action.text) for node, action, _ in requests]
        contexts = self.world.advance(said, seeds=[self._noise_seed(node.depth, draw) for node, _, draw in requests])
        self.model_calls += 1
        self.imagined += len(requests)
        for key, (node, action, draw), context in zip(keys, requests, contexts, strict=True):
            self._children[key] = Node(context=context, parent=node, action=action, draw=draw, depth=node.depth + 1)

    def _noise_seed(self, depth: int, draw: int) -> int:
        # The first draw has the key that an environment's session uses: equal seeds then mean equal frames.
        place = (self.step + depth, int(Draw.FRAME), *((draw,) if draw else ()))
        words = np.random.SeedSequence(self.seed, spawn_key=place).generate_state(1, np.uint64)
        return int(words[0]) >> 1

    def _candidate(self, node: Node) -> Candidate:
        # A random scorer must not follow the order of the actions, so its seed is drawn from their words.
        trail = "\n".join(f"{each.draw} {each.action.text}" for each in node.path if each.action is not None)
        digest = hashlib.blake2b(trail.encode(), digest_size=8).digest()
        seed = self.seed_for(Draw.SCORE, int.from_bytes(digest, "big"))
        return Candidate(frame=node.frame, goal=self.goal, seed=seed, context=node.context)

    def _known_scores(self, path: Sequence[Node]) -> tuple[float | None, ...]:
        return tuple(self._scores.get(node) for node in path)

    def _known(self, actions: Sequence[Action], draw: int) -> int:
        """How many steps of a sequence are imagined already."""
        node: Node | None = self.root
        for length, action in enumerate(actions):
            node = self._children.get((node, action.text, draw)) if node is not None else None
            if node is None:
                return length
        return len(actions)
