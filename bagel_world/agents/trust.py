"""Trust: how much a planner believes what it imagines, learned from how wrong it was.

Surprise is 1 - similarity of the imagined frame and the one that really came, in [0, 2]; 0 for equal frames. The rule: keep a
running mean of it, mean <- memory x mean + (1 - memory) x surprise, from 0 on; trust = 1 / (1 + mean / tolerance). So trust is 1
as long as everything comes as imagined, and 1/2 where the mean surprise is as large as the tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from bagel_world.agents.setting import Setting


class TrustRule(Setting):
    """How surprise lowers trust."""

    tolerance: float = Field(default=0.2, gt=0, description="Mean surprise that halves trust; more in one step revises a plan.")
    memory: float = Field(default=0.5, ge=0, lt=1, description="Share of the past in the running mean of surprise.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Trust at some moment.

    Attributes:
        rule: how it changes.
        mean: the running mean of surprise.
    """

    rule: TrustRule
    mean: float = 0.0

    @property
    def level(self) -> float:
        """In (0, 1]; 1 without any surprise."""
        return 1.0 / (1.0 + self.mean / self.rule.tolerance)

    def after(self, surprise: float) -> Trust:
        """Trust after one more surprise."""
        memory = self.rule.memory
        return Trust(rule=self.rule, mean=memory * self.mean + (1.0 - memory) * max(0.0, surprise))

    def revises(self, surprise: float) -> bool:
        """Whether a plan whose last step surprised this much has to be given up."""
        return surprise > self.rule.tolerance
