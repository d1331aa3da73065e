from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from bagel_world.actions import WAITS
from bagel_world.errors import SimulatorError
from bagel_world.evaluation.kinds import go_on
from bagel_world.evaluation.scenes import DropScenes, TableScenes, waits_for
from bagel_world.evaluation.windows import cut_window
from bagel_world.sims import Drops, Turntable
from bagel_world.sims.footage import record_fall, record_spin
from tests.evaluation.tables import fall, spin

SIZE = (48, 48)


@pytest.mark.parametrize("moments", range(12))
def test_waits_add_up(moments: int) -> None:
    waits = waits_for(moments)
    assert sum(waits) == moments
    assert set(waits) <= set(WAITS)


def test_footage_that_nobody_can_build_again_says_so() -> None:
    for scenes, episode in ((TableScenes(SIZE), spin(0)), (DropScenes(SIZE), fall(0))):
        with pytest.raises(SimulatorError, match="split and seed"):
            scenes.owners(cut_window(episode, 0, context=1, horizon=1))


@pytest.mark.sims
def test_the_object_is_found_again_in_every_frame_of_a_turntable() -> None:
    with closing(Turntable(split="test", size=SIZE)) as table:
        episode = record_spin(table, steps=4, seed=3, episode_id="spin", rng=np.random.default_rng(0))
        assert episode.poses is not None
        masks = []
        for pose in episode.poses[1:4]:
            table.set_yaw(pose[3])
            masks.append(table.mask())
    window = cut_window(episode, 1, context=2, horizon=1)
    with closing(TableScenes(SIZE)) as scenes:
        np.testing.assert_array_equal(scenes.owners(window) == 0, np.stack(masks))
        yaws = episode.poses[1:4, 3].tolist()
        np.testing.assert_array_equal(scenes.views(window, yaws), window.frames)
        other = replace(window, metadata={**window.metadata, "seed": 4})
        with pytest.raises(SimulatorError, match="looks different"):
            scenes.owners(other)


@pytest.mark.sims
def test_bodies_are_found_again_in_the_middle_of_a_drop() -> None:
    with closing(Drops(split="test", size=SIZE)) as drops:
        episode = record_fall(drops, steps=6, seed=2, episode_id="fall", rng=np.random.default_rng(1))
    window = cut_window(episode, 2, context=3, horizon=2)
    with closing(DropScenes(SIZE)) as scenes:
        owners = scenes.owners(window)
    assert owners.shape == (5, *SIZE)
    centers = np.array(episode.metadata["centers"])[2:7]
    found = 0
    for owner, places in zip(owners, centers, strict=True):
        for body, (x, y) in enumerate(places):
            rows, columns = np.nonzero(owner == body)
            if len(rows) >= 20:  # in sight: the middle of the pixels is near the middle of the body
                assert np.hypot(columns.mean() + 0.5 - x, rows.mean() + 0.5 - y) < 5
                found += 1
    assert found >= 5
    expected = go_on(window, owners)
    assert expected.shape == (2, *SIZE, 3)
    assert np.abs(expected[0].astype(int) - window.frames[3]).mean() < 20
