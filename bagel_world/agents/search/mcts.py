"""Monte Carlo tree search over imagined futures, for worlds that answer the same action in more than one way.

An action at a place of the tree has outcomes, not one outcome: the more often it is tried, the more often it is drawn again with
other noise (progressive widening: after v tries, at most max(1, v^redraw) outcomes). What an action is worth is the mean over all
tries, so that one lucky picture does not decide. Descents follow UCB1 on values scaled to [0, 1] by the lowest and highest seen
(as in MuZero, appendix B); several of them share one batch of the world, kept apart by visits that count at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from pydantic import Field

from bagel_world.agents.imagination import Draw, Imagination, Node
from bagel_world.agents.plan import Future, Proposal
from bagel_world.agents.search import Finding
from bagel_world.agents.search.best_of import BestOf
from bagel_world.agents.search.ties import alphabet, longest, ranked
from bagel_world.agents.setting import Setting
from bagel_world.types import Action


@dataclass(slots=True, eq=False)
class Edge:
    """An action at a place, its outcomes, and what came of the tries.

    Attributes:
        action: what is done.
        outcomes: the places it led to.
        pending: outcomes that are being imagined.
        visits: tries, those under way included.
        settled: tries whose value is known.
        total: the sum of their values.
    """

    action: Action
    outcomes: list[Place] = field(default_factory=list)
    pending: int = 0
    visits: int = 0
    settled: int = 0
    total: float = 0.0

    @property
    def mean(self) -> float:
        """The mean value of all tries; minus infinity before the first."""
        return self.total / self.settled if self.settled else -math.inf


@dataclass(slots=True, eq=False)
class Place:
    """A node of the tree with its statistics; `ended` counts the descents that ended here."""

    node: Node
    edges: list[Edge]
    visits: int = 0
    ended: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Descent:
    """A way down: the places passed and the edges taken.

    `draw` is the how-manieth outcome of the last edge has to be imagined; None where the way ends at a known place.
    """

    places: list[Place]
    edges: list[Edge]
    draw: int | None


class MonteCarlo(Setting):
    """Spends what it imagines where it promises most."""

    simulations: int = Field(default=64, ge=1, description="Descents through the tree; each imagines one frame or none.")
    depth: int | None = Field(default=None, ge=1, description="Steps to look ahead; the longest proposal's where left out.")
    exploration: float = Field(default=0.7, ge=0, description="Weight of the unknown against what looked good.")
    redraw: float = Field(default=0.4, ge=0, lt=1, description="Exponent of tries that gives outcomes; 0 draws each action once.")
    batch: int = Field(default=8, ge=1, description="Descents that share a call of the world.")

    def search(self, tree: Imagination, proposals: Sequence[Proposal]) -> Finding:
        """Grow the tree, then take the action tried most; of several, the one worth more."""
        actions = alphabet(proposals)
        if not actions:
            return BestOf().search(tree, proposals)
        generator = tree.generator(Draw.CHOICE)
        root = self.grow(tree, actions, self.depth or longest(proposals), generator)
        tried = [edge for edge in root.edges if edge.visits]
        if not tried:
            return BestOf().search(tree, proposals)
        order = ranked([edge.mean for edge in tried], generator)
        choice = max(order, key=lambda place: tried[place].visits)  # of equal ones the first in order
        return Finding(candidates=tuple(_line(tree, edge, generator) for edge in tried), choice=choice)

    def grow(self, tree: Imagination, actions: Sequence[Action], depth: int, generator: np.random.Generator) -> Place:
        """The root of the grown tree."""
        root = Place(node=tree.root, edges=[Edge(action) for action in actions])
        bounds = [tree.now, tree.now]
        done = 0
        while done < self.simulations and not (done and tree.late):
            wave = self._wave(tree, root, depth, bounds, self.simulations - done, generator)
            if not wave:
                break
            self._settle(tree, wave, actions, bounds)
            done += len(wave)
        return root

    def _wave(
        self,
        tree: Imagination,
        root: Place,
        depth: int,
        bounds: Sequence[float],
        most: int,
        generator: np.random.Generator,
    ) -> list[Descent]:
        """Descents that can share a batch; none where the budget is spent."""
        wave: list[Descent] = []
        fresh = 0
        while len(wave) < min(self.batch, most):
            descent = self._descend(root, depth, bounds, generator)
            if descent is None or (descent.draw is not None and fresh >= tree.left):
                break
            # Counted before the value is known, so that the next descent looks elsewhere.
            for place in descent.places:
                place.visits += 1
            for edge in descent.edges:
                edge.visits += 1
            if descent.draw is not None:
                descent.edges[-1].pending += 1
                fresh += 1
            wave.append(descent)
        return wave

    def _descend(self, root: Place, depth: int, bounds: Sequence[float], generator: np.random.Generator) -> Descent | None:
        """One way down; None where it would lead through an outcome that is still being imagined."""
        places, edges = [root], []
        while True:
            place = places[-1]
            upper = [self._upper(place, edge, bounds) for edge in place.edges]
            edge = place.edges[ranked(upper, generator)[0]]
            edges.append(edge)
            known = len(edge.outcomes) + edge.pending
            if known < max(1, int((edge.visits + 1) ** self.redraw)):
                return Descent(places, edges, known)
            if not edge.outcomes:
                return None
            fewest = [-float(outcome.visits) for outcome in edge.outcomes]
            places.append(edge.outcomes[ranked(fewest, generator)[0]])
            if places[-1].node.depth >= depth:
                return Descent(places, edges, None)

    def _upper(self, place: Place, edge: Edge, bounds: Sequence[float]) -> float:
        if not edge.visits:
            return math.inf
        low, high = bounds
        scaled = (edge.mean - low) / (high - low) if edge.settled and high > low else 0.0
        return scaled + self.exploration * math.sqrt(math.log(place.visits + 1) / edge.visits)

    def _settle(self, tree: Imagination, wave: Sequence[Descent], actions: Sequence[Action], bounds: list[float]) -> None:
        """Imagine what the descents ask for, and tell every place on the way what it was worth."""
        asked = [(descent, descent.draw) for descent in wave if descent.draw is not None]
        nodes = tree.grow([(descent.places[-1].node, descent.edges[-1].action, draw) for descent, draw in asked])
        for (descent, _), node in zip(asked, nodes, strict=True):
            outcome = Place(node=node, edges=[Edge(action) for action in actions], visits=1)
            descent.places.append(outcome)
            descent.edges[-1].outcomes.append(outcome)
            descent.edges[-1].pending -= 1
        ends = [descent.places[-1] for descent in wave]
        for descent, end, value in zip(wave, ends, tree.values([place.node for place in ends]), strict=True):
            end.ended += 1
            for edge in descent.edges:
                edge.settled += 1
                edge.total += value
            bounds[:] = min(bounds[0], value), max(bounds[1], value)


def _line(tree: Imagination, edge: Edge, generator: np.random.Generator) -> Future:
    """The line of play behind a first action: at every place the action tried most."""
    first, outcome = edge, edge.outcomes[0]
    while tried := [each for each in outcome.edges if each.visits]:
        order = ranked([each.mean for each in tried], generator)
        outcome = tried[max(order, key=lambda place: tried[place].visits)].outcomes[0]
    return tree.future(outcome.node, first.mean, draws=len(first.outcomes), visits=first.visits)
