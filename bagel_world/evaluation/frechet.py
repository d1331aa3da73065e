"""Fréchet distance between two sets of pictures: how far apart normal distributions of their features are.

It asks whether imagined pictures look like real ones as a set, where the other figures compare picture with picture (Dowson and
Landau 1982). The features are EffNet-Lite's; it is not FID and never called so. Small sets have larger distances: compare sets of
equal size alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bagel_world.evaluation.metrics import Interval, Values
from bagel_world.types import Frame

FeatureVectors = Callable[[Frame], Values]
"""One vector per picture, float64, shape (n, features)."""

_Z = 1.96  # of a normal distribution, 95 % lie within so many standard errors


def frechet_distance(one: Values, other: Values) -> float:
    """|m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of the means and covariances of two sets of vectors, shape (n, features)."""
    means = [each.mean(axis=0) for each in (one, other)]
    first, second = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (one, other))
    root = _root(first)
    joint = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(min=0.0)).sum()
    return float(np.square(means[0] - means[1]).sum() + np.trace(first) + np.trace(second) - 2.0 * joint)


def frechet_interval(one: Values, other: Values, *, groups: npt.ArrayLike) -> Interval:
    """The distance and its 95 % interval by a jackknife over groups.

    A bootstrap would draw pictures twice and so find every set further from the other than it is.

    Args:
        one: features, shape (n, features).
        other: likewise; picture i of both belongs to group i.
        groups: whole groups are left out.
    """
    value, groups = frechet_distance(one, other), np.asarray(groups)
    without = np.array([frechet_distance(one[kept], other[kept]) for kept in (groups != each for each in np.unique(groups))])
    count = len(without)
    error = np.sqrt((count - 1) / count * np.square(without - without.mean()).sum())
    return Interval(value, max(0.0, value - _Z * error), value + _Z * error)


def _root(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(values.clip(min=0.0))) @ vectors.T
