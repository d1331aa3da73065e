"""Ranking: how well scores tell true cases from false ones, with an interval. Pure numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from bagel_world.errors import ConfigError
from bagel_world.evaluation.metrics import RESAMPLES, Interval, rank_correlation

_RANK_RESAMPLES = RESAMPLES // 10
"""Ranks of thousands of values take their time."""


def area_under_curve(scores: npt.ArrayLike, truths: npt.ArrayLike) -> float:
    """The chance that a true case scores higher than a false one, ties counted half (Mann-Whitney).

    Raises:
        ConfigError: no true case, or no false one.
    """
    values, true = np.asarray(scores, np.float64), np.asarray(truths, bool)
    if true.all() or not true.any():
        raise ConfigError("Expected true and false cases, got only one of them.")
    others = np.sort(values[~true])
    below, up_to = (np.searchsorted(others, values[true], side=side) for side in ("left", "right"))
    return float((below + up_to).mean() / 2 / len(others))


def auc_interval(scores: npt.ArrayLike, truths: npt.ArrayLike, *, groups: npt.ArrayLike | None = None, seed: int = 0) -> Interval:
    """The area under the curve and its 95 % percentile interval from a bootstrap over groups."""
    values, true = np.asarray(scores, np.float64), np.asarray(truths, bool)
    draws = resampled(area_under_curve, values, true, groups=groups, resamples=RESAMPLES, seed=seed)
    low, high = np.percentile(draws, (2.5, 97.5)) if draws else (0.0, 1.0)
    return Interval(area_under_curve(values, true), float(low), float(high))


def rank_interval(one: npt.ArrayLike, other: npt.ArrayLike, *, groups: npt.ArrayLike | None = None, seed: int = 0) -> Interval:
    """Spearman's correlation of two lists and its 95 % percentile interval from a bootstrap over groups."""
    left, right = np.asarray(one, np.float64), np.asarray(other, np.float64)
    draws = [rank_correlation(left[chosen], right[chosen]) for chosen in _samples(len(left), groups, _RANK_RESAMPLES, seed)]
    low, high = np.percentile(draws, (2.5, 97.5))
    return Interval(rank_correlation(left, right), float(low), float(high))


def resampled(
    statistic: Callable[[npt.NDArray[np.float64], npt.NDArray[np.bool_]], float],
    scores: npt.NDArray[np.float64],
    truths: npt.NDArray[np.bool_],
    *,
    groups: npt.ArrayLike | None,
    resamples: int,
    seed: int,
) -> list[float]:
    """A statistic of true and false cases on bootstrap samples of whole groups; samples with only one of them are left out."""
    draws = []
    for chosen in _samples(len(scores), groups, resamples, seed):
        if truths[chosen].any() and not truths[chosen].all():
            draws.append(statistic(scores[chosen], truths[chosen]))
    return draws


def _samples(count: int, groups: npt.ArrayLike | None, resamples: int, seed: int) -> Iterator[npt.NDArray[np.intp]]:
    """Places of bootstrap samples of whole groups."""
    _, member = np.unique(np.arange(count) if groups is None else np.asarray(groups), return_inverse=True)
    places = [np.flatnonzero(member == group) for group in range(int(member.max()) + 1)]
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.concatenate([places[each] for each in rng.integers(len(places), size=len(places))])
