from __future__ import annotations

import numpy as np
import pytest

import bagel_world.sims.exhibits as exhibits_module
from bagel_world.errors import MissingExtraError, UnknownNameError
from bagel_world.sims.exhibits import FAMILIAR, NOVEL, REACH, SCANNED, build_exhibit, exhibits_of
from bagel_world.sims.toys import TOYS, Paint

PAINT = Paint(main=(0.8, 0.2, 0.2), second=(0.2, 0.2, 0.8), accent=(0.9, 0.8, 0.2))
SCANNED_OR_TOY = [pytest.param(name, marks=pytest.mark.sims) if name in SCANNED else name for name in FAMILIAR + NOVEL]


def test_no_object_of_unseen_is_in_another_split() -> None:
    for split in ("train", "validation", "test"):
        assert exhibits_of(split) == FAMILIAR
        assert not set(exhibits_of(split)) & set(exhibits_of("unseen"))


def test_every_object_has_one_home() -> None:
    assert len(set(FAMILIAR + NOVEL)) == len(FAMILIAR + NOVEL)
    assert set(FAMILIAR + NOVEL) == set(SCANNED) | set(TOYS)


@pytest.mark.parametrize("name", SCANNED_OR_TOY)
def test_objects_stand_on_the_floor_in_the_middle_and_fill_their_room(name: str) -> None:
    corners = np.concatenate([part.mesh.corners for part in build_exhibit(name, PAINT, 0)])
    low, high = corners.min(axis=0), corners.max(axis=0)
    np.testing.assert_allclose((low + high)[:2], 0.0, atol=1e-9)
    assert low[2] == pytest.approx(0.0, abs=1e-12)
    radius, height = np.linalg.norm(corners[:, :2], axis=1).max(), high[2]
    assert max(radius, height / 2) == pytest.approx(REACH)


def test_a_paint_changes_colors_and_nothing_else() -> None:
    other = Paint(main=PAINT.second, second=PAINT.main, accent=PAINT.accent)
    first, second = build_exhibit("car", PAINT, 0), build_exhibit("car", other, 0)
    assert any(not np.array_equal(a.texture, b.texture) for a, b in zip(first, second, strict=True))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.mesh.corners, b.mesh.corners)


def test_unknown_objects_get_a_hint() -> None:
    with pytest.raises(UnknownNameError, match="'penguin'"):
        build_exhibit("pengiun", PAINT, 0)


def test_missing_meshes_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exhibits_module.importlib.util, "find_spec", lambda _: None)
    exhibits_module._scanned.cache_clear()
    with pytest.raises(MissingExtraError, match=r"miniworld.*bagel-world\[sims\]"):
        build_exhibit("duck", PAINT, 0)
