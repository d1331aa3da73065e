"""Maneuvers: what a planner weighs in a house, turns to one of nine headings and some steps that way."""

from __future__ import annotations

from pydantic import Field

from bagel_world.actions import NAVIGATE_WORDS, action_from_text
from bagel_world.agents.imagination import Imagination
from bagel_world.agents.plan import Proposal, Proposals
from bagel_world.agents.setting import Setting

FORWARD, LEFT, RIGHT, _ = NAVIGATE_WORDS


class Maneuvers(Setting):
    """Turns by multiples of 30 degrees to both sides, each followed by the same number of steps forward.

    Beginnings are shared: five frames to each side and the steps are all that has to be imagined.
    """

    turns: int = Field(default=4, ge=0, le=6, description="Most turns to either side.")
    steps: int = Field(default=2, ge=0, description="Steps forward behind the turns.")

    def propose(self, tree: Imagination) -> Proposals:
        """One proposal per heading, straight on first, then from side to side."""
        sides = [(LEFT, count) if left else (RIGHT, count) for count in range(1, self.turns + 1) for left in (True, False)]
        sequences = [(FORWARD,) * self.steps, *((side,) * count + (FORWARD,) * self.steps for side, count in sides)]
        return Proposals(
            items=tuple(
                Proposal(actions=tuple(action_from_text(word, tree.words) for word in words)) for words in sequences if words
            )
        )
