from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bagel_world.sims.walking import WalkingGrid
from bagel_world.sims.walls import distance_to_walls


class Hall:
    """4 m by 8 m, with a wall across at z = 4 that leaves the eastern 2 m open."""

    bounds = ((10.0, 0.0), (14.0, 8.0))
    walls = np.array(
        [[(10, 0), (14, 0)], [(14, 0), (14, 8)], [(14, 8), (10, 8)], [(10, 8), (10, 0)], [(10, 4), (12, 4)]], dtype=float
    )

    def clearance(self, points: Any) -> npt.NDArray[np.float64]:
        return distance_to_walls(self.walls, points)


@pytest.fixture(scope="module")
def grid() -> WalkingGrid:
    return WalkingGrid(Hall())


def test_in_sight_it_is_the_straight_line(grid: WalkingGrid) -> None:
    field = grid.to_point(11.0, 1.0)
    assert grid.at(field, 13.0, 3.0) == pytest.approx(np.hypot(2, 2), rel=0.03)


def test_around_a_wall_it_is_longer(grid: WalkingGrid) -> None:
    field = grid.to_point(11.0, 2.0)
    around = 2 * np.hypot(1.4, 2.0)  # past the end of the wall, a body's radius away from it
    assert around - 0.1 < grid.at(field, 11.0, 6.0) < 1.08 * around


def test_places_off_the_floor_are_infinitely_far(grid: WalkingGrid) -> None:
    field = grid.to_point(11.0, 2.0)
    assert grid.at(field, 10.01, 9.5) == np.inf
    assert grid.at(field, 40.0, 40.0) == np.inf


def test_a_circle_is_reached_at_its_edge(grid: WalkingGrid) -> None:
    field = grid.to_circle(13.0, 6.0, 0.5, reach=0.5)
    assert grid.at(field, 13.0, 2.0) == pytest.approx(3.5, rel=0.03)
