"""Sightings: which side of someone's view the objects of a house are on, and how far; on the plan alone, without rendering."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bagel_world.sims.plans import HousePlan

Side = Literal["left", "right", "ahead"]

AHEAD = 15.0
"""Degrees off the view axis up to which something is ahead: half a turn of the house."""

MARGIN = 2.0
"""Degrees around `AHEAD` in which a side cannot be told from a picture."""

HALF_VIEW = 30.0
"""Degrees from the view axis to the edge of a square picture of the house."""

NEAR = 1.0
"""Meters to an object's surface within which someone stands in front of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """An object of a house, from where someone stands.

    Attributes:
        name: what it is called.
        bearing: degrees from the view axis to its middle, in [-180, 180), positive to the left.
        distance: meters to its surface.
        visible: the simulator counts it as visible.
        exposed: its middle is inside the picture, with no wall in front of it.
    """

    name: str
    bearing: float
    distance: float
    visible: bool
    exposed: bool

    @property
    def side(self) -> Side:
        """Left or right where it is more than `AHEAD` degrees off, else ahead."""
        if abs(self.bearing) <= AHEAD:
            return "ahead"
        return "left" if self.bearing > 0 else "right"

    @property
    def clear(self) -> bool:
        """Whether a picture surely shows it."""
        return self.visible and self.exposed

    @property
    def hidden(self) -> bool:
        """Whether a picture surely does not show it; what is too far away or half behind a corner is neither clear nor hidden."""
        return not self.visible and not self.exposed

    @property
    def doubtful(self) -> bool:
        """Whether it stands so close to the border between two sides that a picture does not tell."""
        return abs(abs(self.bearing) - AHEAD) < MARGIN

    @property
    def reached(self) -> bool:
        """Whether one stands in front of it: clear, ahead, and within `NEAR`."""
        return self.clear and self.side == "ahead" and self.distance <= NEAR


def sightings(plan: HousePlan, pose: npt.ArrayLike, visible: Collection[str]) -> tuple[Sighting, ...]:
    """All objects of a house from a pose, in the plan's order.

    Args:
        plan: the house.
        pose: x, y, z in meters and yaw in degrees, counter-clockwise seen from above.
        visible: names of what the simulator counts as visible from there.
    """
    x, _, z, yaw = np.asarray(pose, dtype=np.float64).tolist()
    found = []
    for each in plan.objects:
        away = float(np.hypot(each.x - x, each.z - z))
        toward = float(np.rad2deg(np.arctan2(z - each.z, each.x - x)))
        bearing = (toward - yaw + 180.0) % 360.0 - 180.0
        exposed = abs(bearing) < HALF_VIEW and plan.sight(x, z, toward) > away
        name, distance = each.kind.name, max(0.0, away - each.kind.radius)
        found.append(Sighting(name=name, bearing=bearing, distance=distance, visible=name in visible, exposed=exposed))
    return tuple(found)
