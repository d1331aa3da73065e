"""DungeonPlan: the floor of a Doom map in meters, read from the sectors that its engine tells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bagel_world.sims.plans import AGENT_RADIUS
from bagel_world.sims.walls import Walls, distance_ahead, distance_to_walls

UNITS_PER_METER = 32.0
"""Map units of a meter: a player's eyes are at 1.3 m, and the rooms of "my way home" are 5 x 5 m as those of a house."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DungeonPlan:
    """The floor of a map whose rooms lie on one level.

    Axes are those of houses: x to the east, z to the south, in meters.

    Attributes:
        name: of the map.
        walls: that nobody can walk through; they close the floor in.
    """

    name: str
    walls: Walls

    @property
    def bounds(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The lowest and the highest (x, z) of the floor in meters."""
        corners = self.walls.reshape(-1, 2)
        (low_x, low_z), (high_x, high_z) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        return (low_x, low_z), (high_x, high_z)

    def clearance(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Distance in meters from each point (n, 2) of (x, z) to the nearest wall; shape (n,)."""
        return distance_to_walls(self.walls, points)

    def is_free(self, x: float, z: float) -> bool:
        """Whether an agent can stand here; outside of all rooms nobody can."""
        return bool(self.clearance([(x, z)])[0] >= AGENT_RADIUS) and self.in_room(x, z)

    def in_room(self, x: float, z: float) -> bool:
        """Whether a point lies on the floor: a line to the far west leaves the map an odd number of times."""
        starts, ends = self.walls[:, 0], self.walls[:, 1]
        across = (starts[:, 1] > z) != (ends[:, 1] > z)
        starts, ends = starts[across], ends[across]
        share = (z - starts[:, 1]) / (ends[:, 1] - starts[:, 1])
        return bool(np.count_nonzero(starts[:, 0] + share * (ends[:, 0] - starts[:, 0]) < x) % 2)

    def sight(self, x: float, z: float, yaw: float) -> float:
        """Distance in meters to the first wall straight ahead; infinite where there is none."""
        return distance_ahead(self.walls, x, z, yaw)


def read_dungeon(name: str, sectors: Iterable[Any]) -> DungeonPlan:
    """The plan of a map.

    Args:
        name: of the map.
        sectors: as ViZDoom tells them, in map units.
    """
    lines = [line for sector in sectors for line in sector.lines if line.is_blocking]
    walls = np.array([[(line.x1, -line.y1), (line.x2, -line.y2)] for line in lines], dtype=np.float64)
    return DungeonPlan(name=name, walls=walls / UNITS_PER_METER)
