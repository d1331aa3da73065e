"""Figures of merit on uint8 frames, and the intervals around their means. Pure numpy.

Batches of frames have shape (n, height, width, 3); every per-frame figure has shape (n,).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bagel_world.errors import ConfigError
from bagel_world.types import Frame

Values = npt.NDArray[np.float64]

ROUNDING_MSE = 1.0 / 12.0
"""Mean squared error of rounding to whole numbers. No smaller error can be told from none in an 8-bit frame."""

PSNR_OF_EQUAL = float(10.0 * np.log10(255.0**2 / ROUNDING_MSE))
"""PSNR of two equal frames, 58.9 dB, so that means over frames stay finite."""

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue (ITU-R BT.601)."""

RESAMPLES = 2000
"""Bootstrap samples behind an interval."""

_WINDOW = 11
_SIGMA = 1.5


class Interval(NamedTuple):
    """A figure and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def mean_squared_error(one: Frame, other: Frame) -> Values:
    """Mean squared difference per pair of frames, on the scale 0..255."""
    if one.shape != other.shape:
        raise ConfigError(f"Expected two batches of frames of one shape, got {one.shape} and {other.shape}.")
    difference = one.astype(np.float64) - other.astype(np.float64)
    return np.square(difference).reshape(len(one), -1).mean(axis=1)


def psnr(one: Frame, other: Frame) -> Values:
    """Peak signal-to-noise ratio per pair in dB, at most `PSNR_OF_EQUAL`."""
    return 10.0 * np.log10(255.0**2 / np.maximum(mean_squared_error(one, other), ROUNDING_MSE))


def region_psnr(one: Frame, other: Frame, masks: npt.NDArray[np.bool_]) -> Values:
    """PSNR per pair inside a region alone, at most `PSNR_OF_EQUAL`; that of equal frames where the region is empty.

    Args:
        one: frames.
        other: frames of the same shape.
        masks: which pixels count, shape (n, height, width).
    """
    if one.shape != other.shape or masks.shape != one.shape[:3]:
        raise ConfigError(f"Expected two batches of frames and their masks, got {one.shape}, {other.shape} and {masks.shape}.")
    squares = np.square(one.astype(np.float64) - other.astype(np.float64)).mean(axis=-1)
    errors = (squares * masks).sum(axis=(1, 2)) / np.maximum(masks.sum(axis=(1, 2)), 1)
    return 10.0 * np.log10(255.0**2 / np.maximum(errors, ROUNDING_MSE))


def rank_correlation(one: npt.ArrayLike, other: npt.ArrayLike) -> float:
    """Spearman's correlation of two lists, in [-1, 1]; equal values share the mean of their ranks; 0 where one is constant.

    Raises:
        ConfigError: lists of different lengths, or of fewer than two values.
    """
    left, right = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if left.shape != right.shape or left.ndim != 1 or len(left) < 2:
        raise ConfigError(f"Expected two lists of at least two values each, got shapes {left.shape} and {right.shape}.")
    left, right = (_ranks(each) - _ranks(each).mean() for each in (left, right))
    length = float(np.sqrt((left @ left) * (right @ right)))
    return 0.0 if length == 0.0 else float(left @ right) / length


def _ranks(values: Values) -> Values:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[places]


def distance(one: Frame, other: Frame) -> Values:
    """Root mean squared difference per pair on the scale 0..255, at least that of rounding."""
    return np.sqrt(np.maximum(mean_squared_error(one, other), ROUNDING_MSE))


def luma(frames: Frame) -> Values:
    """Brightness of every pixel, shape (n, height, width), 0..255."""
    return frames.astype(np.float64) @ LUMA


def sharpness(frames: Frame) -> Values:
    """Mean length of the gradient of luma per frame, in gray levels per pixel (forward differences)."""
    gray = luma(frames)
    right = gray[:, :-1, 1:] - gray[:, :-1, :-1]
    down = gray[:, 1:, :-1] - gray[:, :-1, :-1]
    return np.hypot(right, down).mean(axis=(1, 2))


def ssim(one: Frame, other: Frame) -> Values:
    """Structural similarity of luma per pair, at most 1 (Wang et al. 2004: 11 x 11 Gaussian window, K1 = 0.01, K2 = 0.03).

    Raises:
        ConfigError: frames smaller than the window.
    """
    if min(one.shape[1:3]) < _WINDOW:
        raise ConfigError(f"Expected frames of at least {_WINDOW} x {_WINDOW} pixels for SSIM, got {one.shape[1:3]}.")
    x, y = luma(one), luma(other)
    mean_x, mean_y = _smooth(x), _smooth(y)
    variance_x = _smooth(x * x) - mean_x**2
    variance_y = _smooth(y * y) - mean_y**2
    covariance = _smooth(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    )
    return similarity.mean(axis=(1, 2))


def _smooth(images: Values) -> Values:
    """Gaussian mean around every pixel whose window lies inside, shape (n, height - 10, width - 10)."""
    places = np.arange(_WINDOW) - _WINDOW // 2
    kernel = np.exp(-0.5 * (places / _SIGMA) ** 2)
    kernel /= kernel.sum()
    height, width = images.shape[1:]
    rows = np.zeros((len(images), height - _WINDOW + 1, width))
    for place, weight in enumerate(kernel):
        rows += weight * images[:, place : height - _WINDOW + 1 + place]
    smooth = np.zeros((len(images), height - _WINDOW + 1, width - _WINDOW + 1))
    for place, weight in enumerate(kernel):
        smooth += weight * rows[:, :, place : width - _WINDOW + 1 + place]
    return smooth


def mean_interval(values: npt.ArrayLike, *, groups: npt.ArrayLike | None = None, seed: int = 0) -> Interval:
    """The mean and its interval; see `ratio_interval`."""
    values = np.asarray(values, np.float64)
    return ratio_interval(values, np.ones_like(values), groups=groups, seed=seed)


def ratio_interval(
    numerators: npt.ArrayLike, denominators: npt.ArrayLike, *, groups: npt.ArrayLike | None = None, seed: int = 0
) -> Interval:
    """Sum over sum, and its 95 % percentile interval from a bootstrap over groups.

    Args:
        numerators: one per sample, finite.
        denominators: one per sample, at least 0 and not all 0.
        groups: samples of one group (a house, an episode) resemble each other, so whole groups are drawn; None draws
            single samples.
        seed: decides the draws.

    Raises:
        ConfigError: no samples, values that are not finite, or nothing to divide by.
    """
    above, below = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    if not above.size or above.shape != below.shape or not (np.isfinite(above).all() and np.isfinite(below).all()):
        raise ConfigError(f"Expected at least one sample, all finite, got shapes {above.shape} and {below.shape}.")
    if (below < 0).any() or not below.any():
        raise ConfigError("Expected denominators of at least 0 that are not all 0, got others. There is nothing to compare with.")
    _, member = np.unique(np.arange(above.size) if groups is None else np.asarray(groups), return_inverse=True)
    count = int(member.max()) + 1
    top, bottom = (np.bincount(member, weights=each, minlength=count) for each in (above, below))
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1.0 / count), size=RESAMPLES)
    sums, divisors = draws @ top, draws @ bottom
    # A draw may miss every sample that counts; it says nothing about the ratio.
    low, high = np.percentile(sums[divisors > 0] / divisors[divisors > 0], (2.5, 97.5))
    return Interval(float(above.sum() / below.sum()), float(low), float(high))


def median_interval(values: npt.ArrayLike, *, seed: int = 0) -> Interval:
    """The median and its 95 % bootstrap interval.

    Raises:
        ConfigError: no values.
    """
    samples = np.asarray(values, np.float64)
    if not samples.size:
        raise ConfigError("Expected at least one value to take the median of, got none.")
    places = np.random.default_rng(seed).integers(samples.size, size=(RESAMPLES, samples.size))
    low, high = np.percentile(np.median(samples[places], axis=1), (2.5, 97.5))
    return Interval(float(np.median(samples)), float(low), float(high))
