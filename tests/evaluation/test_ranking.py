"""Rank figures and their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from bagel_world.evaluation.ranking import auc_interval, rank_interval


def noisy(count: int, groups: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    member = np.repeat(np.arange(groups), count // groups)
    truth = rng.normal(size=count) + rng.normal(size=groups)[member]
    return truth, truth + rng.normal(size=count), member


def test_a_correlation_is_that_of_the_places_in_order_and_lies_in_its_interval() -> None:
    truth, told, member = noisy(400, 40)
    figure = rank_interval(told, truth, groups=member)
    one, other = (each.argsort().argsort() for each in (told, truth))
    assert figure.value == pytest.approx(float(np.corrcoef(one, other)[0, 1]))
    assert figure.low < figure.value < figure.high
    assert figure == rank_interval(told, truth, groups=member)
    assert figure != rank_interval(told, truth, groups=member, seed=1)


def test_an_interval_counts_groups_and_not_values() -> None:
    """What is told ten times over is known no better."""
    truth, told, _ = noisy(40, 40)
    often = [np.repeat(each, 10) for each in (told, truth)]
    once, grouped, loose = (
        rank_interval(told, truth),
        rank_interval(*often, groups=np.repeat(np.arange(40), 10)),
        rank_interval(*often),
    )
    widths = [each.high - each.low for each in (once, grouped, loose)]
    assert widths[1] == pytest.approx(widths[0], rel=0.02)
    assert widths[2] < widths[0] / 2


def test_order_reversed_is_minus_one_and_tells_nothing_of_a_curve() -> None:
    values = np.arange(30.0)
    assert rank_interval(values, -values) == pytest.approx((-1.0, -1.0, -1.0))
    assert auc_interval(-values, values > 20).value == 0.0
