from __future__ import annotations

import numpy as np
import pytest

from bagel_world.errors import ConfigError, UnknownNameError
from bagel_world.sims.bodies import FAMILIAR, NOVEL, BodyKind, Solid, kinds_of
from bagel_world.sims.drop_plans import CLEARANCE, HIGHEST, MOST_BODIES, TANK, draw_drop
from bagel_world.sims.toys import Paint

PAINT = Paint(main=(0.8, 0.2, 0.2), second=(0.2, 0.2, 0.8), accent=(0.9, 0.8, 0.2))
PLANS = [draw_drop(split, seed) for split in ("train", "validation", "test", "unseen") for seed in range(100)]


def test_equal_seeds_are_equal_drops_and_no_two_splits_share_one() -> None:
    assert draw_drop("train", 5) == draw_drop("train", 5) != draw_drop("train", 6)
    assert len({plan.number for plan in PLANS}) == 400


def test_no_kind_of_unseen_is_in_another_split() -> None:
    for split in ("train", "validation", "test"):
        assert kinds_of(split) == FAMILIAR
    assert not {kind.name for kind in FAMILIAR} & {kind.name for kind in NOVEL}
    for kinds, split in ((FAMILIAR, "train"), (FAMILIAR, "test"), (NOVEL, "unseen")):
        fallen = {name for plan in PLANS if plan.split == split for name in plan.names}
        assert fallen == {kind.name for kind in kinds}


def test_bodies_start_in_the_tank_and_touch_nothing() -> None:
    for plan in PLANS:
        assert 1 <= len(plan.bodies) <= MOST_BODIES
        for number, body in enumerate(plan.bodies):
            x, y, z = body.place
            assert abs(x) + body.kind.reach <= TANK[0]
            assert abs(y) + body.kind.reach <= TANK[1]
            assert z - body.kind.reach >= CLEARANCE
            assert z <= HIGHEST
            assert np.linalg.norm(body.quaternion) == pytest.approx(1.0)
            for other in plan.bodies[:number]:
                assert np.linalg.norm(np.subtract(body.place, other.place)) > body.kind.reach + other.kind.reach


def farthest(solid: Solid) -> float:
    """How far a solid reaches from the origin of its body."""
    at = np.abs(solid.at)
    if solid.shape == "box":
        return float(np.linalg.norm(at + solid.size))
    if solid.shape == "cylinder":
        radius, half = solid.size
        return float(np.hypot(np.hypot(*at[:2]) + radius, at[2] + half))
    return float(np.linalg.norm(at)) + {"ball": solid.size[0], "capsule": sum(solid.size), "egg": max(solid.size)}[solid.shape]


@pytest.mark.parametrize("kind", FAMILIAR + NOVEL, ids=lambda kind: kind.name)
def test_what_is_drawn_and_what_collides_lie_within_reach(kind: BodyKind) -> None:
    corners = np.concatenate([part.mesh.corners for part in kind.build(PAINT)])
    drawn = np.linalg.norm(corners, axis=1).max()
    solid = max(farthest(each) for each in kind.solids)
    assert drawn <= kind.reach
    assert drawn == pytest.approx(solid, rel=0.12)


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="unseen"):
        draw_drop("unsen", 0)
    with pytest.raises(ConfigError, match="seed"):
        draw_drop("train", -1)
