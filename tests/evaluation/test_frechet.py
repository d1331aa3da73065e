from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bagel_world.evaluation.compared import Compared
from bagel_world.evaluation.frechet import frechet_distance, frechet_interval
from bagel_world.evaluation.open_loop import frechet_rows


def normal(mean: tuple[float, ...], spread: tuple[float, ...], count: int = 20_000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, len(mean))) * spread + mean


def test_equal_sets_have_no_distance() -> None:
    one = normal((1.0, 2.0, 3.0), (1.0, 2.0, 0.5))
    assert frechet_distance(one, one) == pytest.approx(0.0, abs=1e-6)


def test_means_and_spreads_count_as_the_formula_says() -> None:
    one = normal((0.0, 0.0), (1.0, 2.0))
    other = normal((3.0, 4.0), (3.0, 2.0), seed=1)
    assert frechet_distance(one, other) == pytest.approx(25.0 + (1.0 - 3.0) ** 2, rel=0.02)


def test_turned_covariances_do_not_commute() -> None:
    one = normal((0.0, 0.0), (2.0, 1.0))
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    other = normal((0.0, 0.0), (2.0, 1.0), seed=1) @ turn.T
    first, second = np.diag([4.0, 1.0]), turn @ np.diag([4.0, 1.0]) @ turn.T
    values = np.linalg.eigvals(first @ second)
    assert frechet_distance(one, other) == pytest.approx(10.0 - 2 * np.sqrt(values.real).sum(), rel=0.05)


def test_the_interval_holds_the_truth_and_shrinks_with_more_groups() -> None:
    truth = 1.0
    widths = []
    for groups in (20, 200):
        one = normal((0.0, 0.0), (1.0, 1.0), count=10 * groups)
        other = normal((1.0, 0.0), (1.0, 1.0), count=10 * groups, seed=1)
        interval = frechet_interval(one, other, groups=np.arange(10 * groups) // 10)
        assert interval.low <= interval.value <= interval.high
        assert interval.low < truth < interval.high
        widths.append(interval.high - interval.low)
    assert widths[1] < widths[0] / 2


def test_a_set_that_lacks_contrast_is_further_away_than_one_that_does_not() -> None:
    rng = np.random.default_rng(0)
    real, right = rng.integers(0, 256, (2, 40, 8, 8, 3), np.uint8)
    against = {"imagined": right, "copy last": (real // 4 + 96).astype(np.uint8)}
    compared = Compared(
        real=real, against=against, samples={"all actions": np.ones(40, np.bool_)}, groups=np.arange(40) // 4, seed=0
    )

    def describe(frames: np.ndarray) -> np.ndarray:
        return frames[:, :2, :2].reshape(len(frames), -1).astype(np.float64)

    rows = {row.name: row for row in frechet_rows(compared, describe, [])}
    assert rows["copy last, all actions"].value > rows["imagined, all actions"].value
    assert rows["imagined, all actions"].n == 40
    few = Compared(real=real[:20], against={}, samples={}, groups=np.arange(20), seed=0)
    notes: list[str] = []
    assert not list(frechet_rows(few, describe, notes))
    assert "need more than" in notes[0]
    alone = replace(compared, groups=np.full(len(compared.real), "one house"))
    assert not list(frechet_rows(alone, describe, notes))
    assert len(notes) == 2
