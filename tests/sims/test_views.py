from __future__ import annotations

import numpy as np
import pytest

from bagel_world.sims.views import View

SIZE = (100, 200)


def project(view: View, *points: tuple[float, float, float]) -> list[list[float]]:
    return view.project(points, size=SIZE, field_of_view=90.0).round(6).tolist()


def test_what_is_looked_at_is_in_the_middle() -> None:
    for yaw in (0.0, 77.0, 200.0):
        view = View(target=(1.0, 2.0, 3.0), distance=5.0, pitch=30.0, yaw=yaw)
        assert project(view, (1.0, 2.0, 3.0)) == [[100.0, 50.0]]
        assert view.distances((1.0, 2.0, 3.0)).tolist() == pytest.approx([5.0])


def test_a_level_view_of_a_wall_is_to_scale() -> None:
    view = View(target=(0.0, 0.0, 0.0), distance=2.0, pitch=0.0)
    # 90 degrees: at 2 m the picture is 4 m high, 25 pixels a meter.
    assert project(view, (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 2.0, 1.0)) == [[125.0, 50.0], [100.0, 25.0], [100.0, 37.5]]


def test_going_left_brings_the_left_side_to_the_front() -> None:
    view = View(target=(0.0, 0.0, 0.0), distance=2.0, pitch=0.0, yaw=90.0)
    assert view.distances([(-1.0, 0.0, 0.0), (1.0, 0.0, 0.0)]).tolist() == pytest.approx([1.0, 3.0])
    assert project(view, (0.0, -1.0, 0.0)) == [[125.0, 50.0]]  # what was in front moves to the right


def test_looking_down_from_above_turns_away_into_up() -> None:
    view = View(target=(0.0, 0.0, 0.0), distance=2.0, pitch=90.0)
    assert project(view, (0.0, 1.0, 0.0)) == [[100.0, 25.0]]
    np.testing.assert_allclose(view.axes, [[1, 0, 0], [0, 1, 0], [0, 0, -1]], atol=1e-12)
