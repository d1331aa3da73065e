from __future__ import annotations

from collections.abc import Iterator

import pytest

from bagel_world.evaluation.closed.doom_missions import draw_doom_missions
from bagel_world.evaluation.closed.missions import BINS, ways_to
from bagel_world.sims import Doom

pytestmark = pytest.mark.sims


@pytest.fixture(scope="module")
def doom() -> Iterator[Doom]:
    pytest.importorskip("vizdoom", reason='ViZDoom is not installed: pip install "bagel-world[doom]"')
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
