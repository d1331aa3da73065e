"""Geodesic: how far it is to walk in a house, to a place or to an object."""

from __future__ import annotations

from bagel_world.sims.plans import AGENT_RADIUS, HousePlan
from bagel_world.sims.walking import CELL, Field, WalkingGrid


class Geodesic(WalkingGrid):
    """Walking distances in one house.

    Args:
        plan: the house.
        cell: side of a cell in meters; twice as large is four times as fast.
    """

    def __init__(self, plan: HousePlan, *, cell: float = CELL) -> None:
        super().__init__(plan, cell=cell)
        self.plan = plan

    def to_object(self, place: int) -> Field:
        """Distances to the surface of an object, by its place in the plan."""
        target = self.plan.objects[place]
        return self.to_circle(target.x, target.z, target.kind.radius, reach=AGENT_RADIUS + 2 * self.cell)
