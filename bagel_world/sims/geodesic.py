"""Geodesic: how far it is to walk in a house, around walls and objects."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from bagel_world.sims.plans import AGENT_RADIUS, ROOM_GAP, ROOM_SIZE, ROOMS_PER_SIDE, HousePlan

Field = npt.NDArray[np.float64]
"""Walking distance in meters from the middle of every cell; infinite where nobody can stand or no way leads."""

CELL = 0.125
"""Side of a cell in meters."""

_HALF_SIDE = (ROOMS_PER_SIDE * ROOM_SIZE + (ROOMS_PER_SIDE - 1) * ROOM_GAP) / 2
_STEPS = tuple((i, j, float(np.hypot(i, j))) for i in range(-2, 3) for j in range(-2, 3) if np.gcd(i, j) == 1)
"""To sixteen neighbors: lengths are at most 2.7 % too long."""


class Geodesic:
    """Walking distances in one house.

    Args:
        plan: the house.
        cell: side of a cell in meters; twice as large is four times as fast.
    """

    def __init__(self, plan: HousePlan, *, cell: float = CELL) -> None:
        self.plan, self.cell = plan, cell
        self._count = round(2 * _HALF_SIDE / cell)
        axis = -_HALF_SIDE + cell * (np.arange(self._count) + 0.5)
        self._centers = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)

    @cached_property
    def _free(self) -> npt.NDArray[np.bool_]:
        # Half a cell less than a body needs, so that whoever stands anywhere has a cell beside.
        return (self.plan.clearance(self._centers) >= AGENT_RADIUS - self.cell / 2).reshape(self._count, self._count)

    def to_point(self, x: float, z: float) -> Field:
        """Distances to a place."""
        away = np.linalg.norm(self._centers - np.array([x, z]), axis=-1)
        return self._spread(np.where(self._free & (away <= 2 * self.cell), away, np.inf))

    def to_object(self, place: int) -> Field:
        """Distances to the surface of an object, by its place in the plan."""
        target = self.plan.objects[place]
        away = np.linalg.norm(self._centers - np.array([target.x, target.z]), axis=-1) - target.kind.radius
        return self._spread(np.where(self._free & (away <= AGENT_RADIUS + 2 * self.cell), np.maximum(away, 0.0), np.inf))

    def at(self, field: Field, x: float, z: float) -> float:
        """The distance from a place: over the nearest cells to the goal; infinite where no way leads there."""
        row, column = (int((each + _HALF_SIDE) / self.cell) for each in (x, z))
        rows, columns = slice(max(row - 1, 0), row + 2), slice(max(column - 1, 0), column + 2)
        near, cells = field[rows, columns], self._centers[rows, columns]
        if not near.size:
            return float("inf")
        return float((near + np.linalg.norm(cells - np.array([x, z]), axis=-1)).min())

    def _spread(self, field: Field) -> Field:
        """Relax all cells at once until nothing changes."""
        edge, count = 2, self._count
        while True:
            padded = np.pad(field, edge, constant_values=np.inf)
            relaxed = field
            for i, j, cells in _STEPS:
                moved = padded[edge + i : edge + i + count, edge + j : edge + j + count] + cells * self.cell
                relaxed = np.minimum(relaxed, moved)
            relaxed = np.where(self._free, relaxed, np.inf)
            if np.array_equal(relaxed, field):
                return field
            field = relaxed
