"""Best-of-N: imagine what was proposed, take what ends best."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from bagel_world.agents.imagination import Draw, Imagination
from bagel_world.agents.plan import Proposal
from bagel_world.agents.search import Finding
from bagel_world.agents.search.ties import best, shuffled
from bagel_world.agents.setting import Setting
from bagel_world.errors import ConfigError


class BestOf(Setting):
    """Weighs the proposals as they are.

    Where the budget is not enough for all, those that are weighed are drawn. A first proposal that is too long for the whole
    budget is weighed as far as it can be imagined.
    """

    limit: int | None = Field(default=None, ge=1, description="Most proposals to weigh; drawn by the seed where there are more.")
    draws: int = Field(default=1, ge=1, description="How often each is imagined with other noise; its value is the mean.")

    def search(self, tree: Imagination, proposals: Sequence[Proposal]) -> Finding:
        """Imagine every proposal, from end to end."""
        generator = tree.generator(Draw.CHOICE)
        distinct = list({(proposal.words, proposal.stops): proposal for proposal in reversed(proposals)}.values())
        drawn = shuffled(distinct, generator)[: self.limit]
        weighed: list[Proposal] = []
        totals: list[float] = []
        for part in tree.in_time(drawn):
            chosen = _affordable(tree, part, first=not weighed)
            totals += tree.values(tree.follow([proposal.actions for proposal in chosen]))
            weighed += chosen
        rounds = 1
        sequences = [proposal.actions for proposal in weighed]
        # Means of unequally many draws would favor the lucky: a round is imagined for all or for none.
        while rounds < self.draws and not tree.late and len(tree.affordable(sequences, rounds)) == len(sequences):
            again = tree.values(tree.follow(sequences, rounds))
            totals = [total + value for total, value in zip(totals, again, strict=True)]
            rounds += 1
        candidates = [
            tree.future(
                node,
                total / rounds,
                thought=proposal.thought,
                stops=proposal.stops and node.depth == len(proposal.actions),  # not where the time was over before its end
                draws=rounds,
            )
            for node, total, proposal in zip(tree.follow(sequences), totals, weighed, strict=True)
        ]
        return Finding(candidates=tuple(candidates), choice=best([each.value for each in candidates], generator))


def _affordable(tree: Imagination, proposals: Sequence[Proposal], *, first: bool) -> list[Proposal]:
    """The proposals that fit into the budget; the beginning of one of them where none fits and nothing was weighed before."""
    fitting = set(map(id, tree.affordable([proposal.actions for proposal in proposals])))
    chosen = [proposal for proposal in proposals if id(proposal.actions) in fitting]
    if chosen or not first:
        return chosen
    if not tree.left:
        raise ConfigError(
            f"The {tree.imagined} frames of the budget were spent on proposing, none is left to weigh what was proposed. "
            "Give Budget more frames, or let the proposer imagine less."
        )
    return [Proposal(actions=proposals[0].actions[: tree.left], thought=proposals[0].thought)]
