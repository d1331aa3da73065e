from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from bagel_world.evaluation.closed.contestants import planning
from bagel_world.evaluation.closed.doom_missions import draw_doom_missions
from bagel_world.evaluation.closed.maneuvers import Maneuvers
from bagel_world.evaluation.closed.missions import BINS, ways_to
from bagel_world.evaluation.closed.oracle_world import OracleWorld
from bagel_world.evaluation.closed.trials import StopRule, send
from bagel_world.sims import Doom
from bagel_world.world.fake import FakeWorld
from bagel_world.world.scoring import RandomScorer

pytestmark = pytest.mark.doom


@pytest.fixture(scope="module")
def doom() -> Iterator[Doom]:
    env = Doom(size=(16, 16))
    yield env
    env.close()


def test_missions_come_in_bins_and_can_be_walked(doom: Doom) -> None:
    for number, mission in enumerate(draw_doom_missions(doom.plan, n=6, seed=0)):
        low, high = BINS[mission.bin]
        assert (mission.number, mission.bin, mission.kind) == (number, number % len(BINS), "image")
        assert low < mission.meters <= high
        ways, field = ways_to(mission, doom.plan)
        assert ways.at(field, mission.start[0], mission.start[2]) == pytest.approx(mission.meters)
        for pose in (mission.start, mission.goal):
            doom.set_pose(pose)


def test_a_seed_decides_and_a_longer_list_begins_alike(doom: Doom) -> None:
    first = draw_doom_missions(doom.plan, n=3, seed=0)
    assert draw_doom_missions(doom.plan, n=4, seed=0)[:3] == first
    assert draw_doom_missions(doom.plan, n=3, seed=1) != first


def test_a_mission_is_tried_and_the_oracle_sees_what_really_comes(doom: Doom) -> None:
    mission = draw_doom_missions(doom.plan, n=1, seed=0)[0]
    oracle = OracleWorld(doom, FakeWorld())
    agent = planning("oracle", oracle, RandomScorer(), rollouts=3, maneuvers=Maneuvers(turns=1, steps=1), commit=2)
    walked = send(agent, mission, doom, RandomScorer(), StopRule(at_least=2.0), seed=0, most=5)
    assert len(walked.words) == 5
    assert oracle.provenance["world"] == "bagel_world.sims.Doom"
    for real, expected in zip(walked.frames[1:], walked.expected, strict=True):
        assert expected is not None
        np.testing.assert_array_equal(real, expected)
