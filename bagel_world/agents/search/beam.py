"""Beam: step by step, keep the few futures that look best so far."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from bagel_world.agents.imagination import Draw, Imagination, Node
from bagel_world.agents.plan import Proposal
from bagel_world.agents.search import Finding
from bagel_world.agents.search.best_of import BestOf
from bagel_world.agents.search.ties import alphabet, best, longest, ranked, shuffled
from bagel_world.agents.setting import Setting


class Beam(Setting):
    """Extends futures by every proposed action and keeps the best `width` of them at each step.

    As wide as there are futures, it is the same as weighing all of them. Where the budget ends within a step, futures that could
    not be extended any more stand beside those that were.
    """

    width: int = Field(default=4, ge=1, description="Futures that are kept from step to step.")
    depth: int | None = Field(default=None, ge=1, description="Steps to look ahead; the longest proposal's where left out.")

    def search(self, tree: Imagination, proposals: Sequence[Proposal]) -> Finding:
        """Imagine in breadth, one batch per step."""
        generator = tree.generator(Draw.CHOICE)
        actions = alphabet(proposals)
        if not actions:
            return BestOf().search(tree, proposals)
        frontier, values = [tree.root], [tree.now]
        for step in range(self.depth or longest(proposals)):
            if step and tree.late:
                break
            kept = [frontier[place] for place in ranked(values, generator)[: self.width]]
            wanted = [(node, action, 0) for node in kept for action in shuffled(actions, generator)]
            fitting = tree.fitting(wanted)
            children = tree.grow(fitting)
            extended = {node for node, _, _ in fitting}
            frontier = children + [node for node in kept if node not in extended and node is not tree.root]
            if not frontier:
                return BestOf().search(tree, proposals)
            values = tree.values(frontier)
            if len(fitting) < len(wanted):
                break
        return _finding(tree, frontier, values, best(values, generator))


def _finding(tree: Imagination, nodes: Sequence[Node], values: Sequence[float], choice: int) -> Finding:
    futures = tuple(tree.future(node, value) for node, value in zip(nodes, values, strict=True))
    return Finding(candidates=futures, choice=choice)
