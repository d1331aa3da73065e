"""WalkingGrid: how far it is to walk on a floor, around walls and whatever else stands there."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bagel_world.sims.plans import AGENT_RADIUS

Field = npt.NDArray[np.float64]
"""Walking distance in meters from the middle of every cell; infinite where nobody can stand or no way leads."""

CELL = 0.125
"""Side of a cell in meters."""

_STEPS = tuple((i, j, float(np.hypot(i, j))) for i in range(-2, 3) for j in range(-2, 3) if np.gcd(i, j) == 1)
"""To sixteen neighbors: lengths are at most 2.7 % too long."""


class Floor(Protocol):
    """What one can walk on."""

    @property
    def bounds(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The lowest and the highest (x, z) of the floor in meters."""
        ...

    def clearance(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Distance in meters from each point (n, 2) of (x, z) to the nearest obstacle; shape (n,)."""
        ...


class WalkingGrid:
    """Walking distances on one floor.

    Args:
        floor: where one walks.
        cell: side of a cell in meters; twice as large is four times as fast.
    """

    def __init__(self, floor: Floor, *, cell: float = CELL) -> None:
        self.cell = cell
        self._floor = floor
        self._low, high = floor.bounds
        self._shape = tuple(round((end - start) / cell) for start, end in zip(self._low, high, strict=True))
        axes = [start + cell * (np.arange(count) + 0.5) for start, count in zip(self._low, self._shape, strict=True)]
        self._centers = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)

    @cached_property
    def _free(self) -> npt.NDArray[np.bool_]:
        # Half a cell less than a body needs, so that whoever stands anywhere has a cell beside.
        return (self._floor.clearance(self._centers) >= AGENT_RADIUS - self.cell / 2).reshape(self._shape)

    def to_point(self, x: float, z: float) -> Field:
        """Distances to a place."""
        return self.to_circle(x, z, 0.0, reach=2 * self.cell)

    def to_circle(self, x: float, z: float, radius: float, *, reach: float) -> Field:
        """Distances to the edge of a circle.

        Args:
            x: of its middle, meters.
            z: of its middle, meters.
            radius: meters.
            reach: who can stand within this many meters of the edge is led there in a straight line.
        """
        away = np.linalg.norm(self._centers - np.array([x, z]), axis=-1) - radius
        return self._spread(np.where(self._free & (away <= reach), np.maximum(away, 0.0), np.inf))

    def at(self, field: Field, x: float, z: float) -> float:
        """The distance from a place: over the nearest cells to the goal; infinite where no way leads there."""
        row, column = (int((each - low) / self.cell) for each, low in zip((x, z), self._low, strict=True))
        rows, columns = slice(max(row - 1, 0), row + 2), slice(max(column - 1, 0), column + 2)
        near, cells = field[rows, columns], self._centers[rows, columns]
        if not near.size:
            return float("inf")
        return float((near + np.linalg.norm(cells - np.array([x, z]), axis=-1)).min())

    def _spread(self, field: Field) -> Field:
        """Relax all cells at once until nothing changes."""
        edge, (rows, columns) = 2, self._shape
        while True:
            padded = np.pad(field, edge, constant_values=np.inf)
            relaxed = field
            for i, j, cells in _STEPS:
                moved = padded[edge + i : edge + i + rows, edge + j : edge + j + columns] + cells * self.cell
                relaxed = np.minimum(relaxed, moved)
            relaxed = np.where(self._free, relaxed, np.inf)
            if np.array_equal(relaxed, field):
                return field
            field = relaxed
