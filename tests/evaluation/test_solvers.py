"""Solver curves: the rule picks what it should, and every setting paints from the same noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bagel_world import BagelWorld
from bagel_world.actions import NAVIGATE_WORDS, action_from_id
from bagel_world.errors import CapabilityError
from bagel_world.evaluation.metrics import Values, sharpness
from bagel_world.evaluation.solvers import Painted, SolverCurves, SolversConfig, measure_solvers
from bagel_world.evaluation.subject import Subject
from bagel_world.types import Episode, Frame
from bagel_world.world.fake import FakeWorld
from tests.model.folder import write_folder


def painted(solver: str, evaluations: int, features: float, sharp: float) -> Painted:
    return Painted(
        evaluations=evaluations,
        solver=solver,
        psnr_db=np.full(4, 20.0),
        features=np.full(4, features),
        sharpness=np.full(4, sharp),
    )


def curves(*settings: Painted) -> SolverCurves:
    exact = painted("euler", 8, 0.100, 10.0)
    return SolverCurves(painted=settings, exact=exact, real_sharpness=np.full(4, 12.0), groups=np.arange(4))


BLURRED = painted("euler", 1, 0.090, 9.0)
FAR = painted("euler", 2, 0.103, 10.0)
GOOD = painted("ab2", 2, 0.102, 9.8)
BETTER = painted("ab3", 2, 0.095, 9.9)
SLOW = painted("euler", 4, 0.080, 12.0)


def test_the_rule_takes_the_fewest_evaluations_that_lose_nothing() -> None:
    assert curves(BLURRED, FAR, GOOD, SLOW).fast is GOOD
    assert curves(BLURRED, FAR, GOOD, BETTER, SLOW).fast is BETTER
    assert curves(BLURRED, FAR, SLOW).fast is SLOW
    assert "ab2, 2." in curves(BLURRED, GOOD).verdict()


def test_where_nothing_is_good_enough_fast_is_exact() -> None:
    found = curves(BLURRED, FAR)
    assert found.fast is None
    assert "has to be 'exact'" in found.verdict()


def test_rows_compare_with_exact_and_with_real_frames() -> None:
    values = {(row.metric, row.name): row.value for row in curves(BLURRED).rows()}
    assert values["feature_distance_over_exact", "euler, 1"] == pytest.approx(0.9)
    assert values["sharpness_over_exact", "euler, 1"] == pytest.approx(0.9)
    assert values["sharpness_ratio", "euler, 1"] == pytest.approx(0.75)
    assert values["sharpness_ratio", "exact (euler, 8)"] == pytest.approx(10 / 12)


def test_every_curve_begins_at_the_one_evaluation_all_solvers_share() -> None:
    panel = curves(BLURRED, FAR, GOOD, SLOW).panels()[1]
    assert list(panel.curves) == ["euler", "ab2"]
    np.testing.assert_allclose(panel.curves["ab2"].x, [1, 2])
    np.testing.assert_allclose(panel.curves["ab2"].y, [0.090, 0.102])
    assert panel.levels == {"exact": pytest.approx(0.1)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("tiny"))


def footage(size: tuple[int, int]) -> list[Episode]:
    generator = np.random.default_rng(0)
    actions = tuple(action_from_id(int(each), NAVIGATE_WORDS) for each in generator.integers(0, 4, 4))
    return [Episode(frames=generator.integers(0, 256, (5, *size, 3), dtype=np.uint8), actions=actions) for _ in range(3)]


def blocks(one: Frame, other: Frame) -> Values:
    return np.abs(one.astype(float) - other).mean(axis=(1, 2, 3))


def test_settings_paint_what_their_sampler_paints(folder: Path) -> None:
    subject = Subject(BagelWorld.from_pretrained(folder), "tiny")  # type: ignore[arg-type]
    config = SolversConfig(n=3, context=2, evaluations=(1, 3), solvers=("euler", "ab2"), batch=2)
    episodes = footage(subject.world.frame_size)
    found = measure_solvers(subject, episodes, config, perceive=blocks)
    assert [each.name for each in found.painted] == ["euler, 1", "euler, 3", "ab2, 3"]
    assert found.exact.name == "euler, 49"
    again = measure_solvers(subject, episodes, config.model_copy(update={"evaluations": (3,), "batch": 3}), perceive=blocks)
    for solver, place in (("euler", 1), ("ab2", 2)):
        (same,) = [each for each in again.painted if each.solver == solver]
        np.testing.assert_allclose(same.psnr_db, found.painted[place].psnr_db, atol=0.01)
    assert not np.allclose(found.painted[1].psnr_db, found.painted[2].psnr_db, atol=0.01)
    real = sharpness(np.concatenate([episode.frames for episode in episodes]))
    assert set(np.round(found.real_sharpness, 6)) <= set(np.round(real, 6))


def test_a_world_without_a_sampler_is_refused() -> None:
    with pytest.raises(CapabilityError, match="sampler"):
        measure_solvers(Subject(FakeWorld(), "fake"), footage((64, 64)), SolversConfig(n=1), perceive=blocks)
