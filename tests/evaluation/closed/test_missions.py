from __future__ import annotations

import numpy as np
import pytest

from bagel_world.errors import ConfigError
from bagel_world.evaluation.closed.missions import BINS, GOAL_RADIUS, GoalKind, bin_name, draw_missions, in_front_of, ways_to
from bagel_world.sims.plans import draw_plan


@pytest.mark.parametrize("kind", ["image", "object"])
def test_missions_are_spread_over_the_bins_and_never_solved_at_the_start(kind: GoalKind) -> None:
    missions = draw_missions("test", kind, n=6, seed=3)
    assert [mission.bin for mission in missions] == [0, 1, 2, 0, 1, 2]
    assert len({mission.house for mission in missions}) == 6
    for mission in missions:
        assert mission.house is not None
        plan = draw_plan("test", mission.house)
        low, high = BINS[mission.bin]
        ways, field = ways_to(mission, plan)
        assert low < mission.meters <= high
        assert mission.meters > GOAL_RADIUS
        assert ways.at(field, mission.start[0], mission.start[2]) == mission.meters
        assert ways.at(field, mission.goal[0], mission.goal[2]) <= GOAL_RADIUS
        assert plan.is_free(mission.goal[0], mission.goal[2])
        assert mission.text == f"stand in front of the {mission.name}"
    assert draw_missions("test", kind, n=3, seed=3) == missions[:3]
    assert draw_missions("test", kind, n=3, seed=4) != missions[:3]


def test_in_front_of_an_object_means_near_it_and_facing_it() -> None:
    found = 0
    for seed in range(4):
        plan = draw_plan("validation", seed)
        for place in range(len(plan.objects)):
            pose = in_front_of(plan, place, np.random.default_rng(0))
            if pose is not None and plan.objects[place].kind.radius > 0.65:
                assert place in plan.sees(pose[0], pose[2], pose[3])
            found += pose is not None
    assert found > 15


def test_bins_have_names_and_other_goals_are_refused() -> None:
    assert [bin_name(place) for place in range(3)] == ["1-3 m", "3-6 m", "6-10 m"]
    with pytest.raises(ConfigError, match="'image' or 'object'"):
        draw_missions("test", "sound", n=1, seed=0)  # type: ignore[arg-type]
