"""Cross-entropy method over sequences of actions: draw sequences, keep the elite, draw the next ones like the elite.

Every step ahead has its own distribution over the actions. It begins with how often each was proposed for that step (plus one),
and moves towards how often the elite takes it (Rubinstein and Kroese 2004, for categorical variables).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from bagel_world.agents.imagination import Draw, Imagination, Node
from bagel_world.agents.plan import Proposal
from bagel_world.agents.search import Finding
from bagel_world.agents.search.best_of import BestOf
from bagel_world.agents.search.ties import alphabet, best, longest, ranked
from bagel_world.agents.setting import Setting
from bagel_world.types import Action

Chances = npt.NDArray[np.float64]
"""Chances of the actions, shape (steps, actions); rows sum to 1."""


class CrossEntropy(Setting):
    """Draws sequences, learns from the best of them, and draws again; takes the best of all that it saw."""

    population: int = Field(default=32, ge=1, description="Sequences per round.")
    elites: int = Field(default=6, ge=1, description="Of them, those that the next round is drawn like.")
    rounds: int = Field(default=4, ge=1, description="How often the distribution is drawn from.")
    smoothing: float = Field(default=0.2, ge=0, lt=1, description="Share of the former distribution in the next one.")
    depth: int | None = Field(default=None, ge=1, description="Steps to look ahead; the longest proposal's where left out.")

    @model_validator(mode="after")
    def _check_elites(self) -> CrossEntropy:
        if self.elites > self.population:
            raise ValueError(f"expected at most as many elites as sequences, got {self.elites} of {self.population}")
        return self

    def search(self, tree: Imagination, proposals: Sequence[Proposal]) -> Finding:
        """Imagine round by round, all sequences of a round in one batch per step."""
        generator = tree.generator(Draw.CHOICE)
        actions = alphabet(proposals)
        seen: dict[Node, float] = {}
        chances = first_chances(proposals, actions, self.depth or longest(proposals)) if actions else np.ones((0, 0))
        for turn in range(self.rounds if actions else 0):
            if turn and tree.late:
                break
            rows = [draw_row(chances, generator) for _ in range(self.population)]
            sequences = {tuple(actions[place] for place in row): row for row in rows}
            nodes = tree.follow(affordable := tree.affordable(list(sequences)))
            values = dict(zip(affordable, tree.values(nodes), strict=True))
            seen |= dict(zip(nodes, values.values(), strict=True))
            kept = [row for row in rows if tuple(actions[place] for place in row) in values]
            if not kept:
                break
            worth = [values[tuple(actions[place] for place in row)] for row in kept]
            elite = [kept[place] for place in ranked(worth, generator)[: self.elites]]
            chances = self.smoothing * chances + (1.0 - self.smoothing) * shares(elite, len(actions))
        if not seen:
            return BestOf().search(tree, proposals)
        futures = tuple(tree.future(node, value) for node, value in seen.items())
        return Finding(candidates=futures, choice=best(list(seen.values()), generator))


def first_chances(proposals: Sequence[Proposal], actions: Sequence[Action], depth: int) -> Chances:
    """How often each action was proposed for each step, plus one, as chances."""
    counts = np.ones((depth, len(actions)))
    places = {action.text: place for place, action in enumerate(actions)}
    for proposal in proposals:
        for step, word in enumerate(proposal.words[:depth]):
            counts[step, places[word]] += 1
    return counts / counts.sum(axis=1, keepdims=True)


def draw_row(chances: Chances, generator: np.random.Generator) -> tuple[int, ...]:
    """One action per step."""
    return tuple(int(generator.choice(len(row), p=row)) for row in chances)


def shares(rows: Sequence[tuple[int, ...]], actions: int) -> Chances:
    """How often each action is taken at each step."""
    return np.stack([np.bincount(column, minlength=actions) / len(rows) for column in np.array(rows).T])
