from __future__ import annotations

import numpy as np
import pytest

from bagel_world.errors import ConfigError
from bagel_world.evaluation.metrics import (
    LUMA,
    PSNR_OF_EQUAL,
    distance,
    mean_interval,
    median_interval,
    psnr,
    rank_correlation,
    ratio_interval,
    region_psnr,
    sharpness,
    ssim,
)

RNG = np.random.default_rng(0)


def gray(values: np.ndarray) -> np.ndarray:
    """One frame of these gray levels."""
    return np.repeat(values[None, :, :, None], 3, axis=3).astype(np.uint8)


def test_psnr_of_a_known_error_and_of_none() -> None:
    frames = RNG.integers(0, 200, (2, 6, 5, 3), dtype=np.uint8)
    off = frames.copy()
    off[1] += 5
    assert psnr(frames, off) == pytest.approx([PSNR_OF_EQUAL, 20 * np.log10(255 / 5)])
    assert pytest.approx(58.92, abs=0.005) == PSNR_OF_EQUAL
    assert psnr(off, frames) == pytest.approx(psnr(frames, off))


def test_half_the_pixels_wrong_is_half_the_squared_error() -> None:
    black = np.zeros((1, 4, 4, 3), np.uint8)
    half = black.copy()
    half[:, :2] = 10
    assert psnr(black, half) == pytest.approx([20 * np.log10(255 / 10) + 10 * np.log10(2)])
    assert distance(black, half) == pytest.approx([np.sqrt(50)])


def test_frames_of_other_shapes_are_refused() -> None:
    with pytest.raises(ConfigError, match="one shape"):
        psnr(np.zeros((2, 4, 4, 3), np.uint8), np.zeros((1, 4, 4, 3), np.uint8))


@pytest.mark.parametrize(("down", "right", "expected"), [(0, 0, 0.0), (0, 3, 3.0), (3, 4, 5.0)])
def test_sharpness_of_a_ramp_is_its_slope(down: int, right: int, expected: float) -> None:
    rows, columns = np.mgrid[:8, :9]
    assert sharpness(gray(20 + down * rows + right * columns)) == pytest.approx([expected])


def test_colors_count_by_their_luma() -> None:
    frame = np.zeros((1, 2, 2, 3), np.uint8)
    frame[:, :, 1, 1] = 100
    assert sharpness(frame) == pytest.approx([100 * LUMA[1]])
    assert LUMA.sum() == pytest.approx(1.0)


def naive_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Window by window, as the paper writes it."""
    places = np.arange(11) - 5
    weights = np.exp(-(places[:, None] ** 2 + places[None, :] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = x[top : top + 11, left : left + 11], y[top : top + 11, left : left + 11]
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            var_a, var_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
            cov = (weights * (a - mean_a) * (b - mean_b)).sum()
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            values.append((2 * mean_a * mean_b + c1) * (2 * cov + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)))
    return float(np.mean(values))


def test_ssim_is_that_of_the_paper() -> None:
    one = RNG.integers(0, 256, (14, 13))
    other = np.clip(one + RNG.integers(-40, 40, one.shape), 0, 255)
    assert ssim(gray(one), gray(other)) == pytest.approx([naive_ssim(one, other)])
    assert ssim(gray(one), gray(one)) == pytest.approx([1.0])


def test_ssim_of_flat_frames_compares_their_means() -> None:
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 50 + c1) / (100**2 + 50**2 + c1)
    assert ssim(gray(np.full((12, 12), 100)), gray(np.full((12, 12), 50))) == pytest.approx([expected])


def test_ssim_needs_room_for_its_window() -> None:
    with pytest.raises(ConfigError, match="11 x 11"):
        ssim(np.zeros((1, 10, 32, 3), np.uint8), np.zeros((1, 10, 32, 3), np.uint8))


def test_the_interval_holds_the_mean_and_depends_on_the_seed_alone() -> None:
    values = RNG.normal(7.0, 2.0, 60)
    found = mean_interval(values, seed=3)
    assert found.value == pytest.approx(values.mean())
    assert found.low < found.value < found.high
    assert found == mean_interval(values, seed=3)
    assert found != mean_interval(values, seed=4)


def test_the_interval_is_as_wide_as_theory_says() -> None:
    values = RNG.normal(0.0, 1.0, 400)
    found = mean_interval(values)
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_constant_values_have_no_interval() -> None:
    assert mean_interval(np.full(5, 2.5)) == (2.5, 2.5, 2.5)
    assert median_interval(np.full(5, 2.5)) == (2.5, 2.5, 2.5)


def test_repeating_samples_within_their_group_narrows_nothing() -> None:
    values = RNG.normal(size=20)
    groups = np.array([f"house {number}" for number in range(10, 30)])
    once = mean_interval(values, groups=groups, seed=1)
    often = mean_interval(np.repeat(values, 7), groups=np.repeat(groups, 7), seed=1)
    assert often == pytest.approx(once)
    alone = mean_interval(np.repeat(values, 7), seed=1)
    assert alone.high - alone.low < 0.6 * (once.high - once.low)


def test_a_ratio_is_sum_over_sum() -> None:
    found = ratio_interval([1.0, 2.0, 6.0], [2.0, 4.0, 12.0])
    assert found == pytest.approx((0.5, 0.5, 0.5))
    assert ratio_interval([1.0, 9.0], [1.0, 1.0]).value == pytest.approx(5.0)


def test_draws_without_anything_to_divide_by_do_not_count() -> None:
    assert ratio_interval([0.0, 0.0, 3.0], [0.0, 0.0, 6.0]) == (0.5, 0.5, 0.5)
    with pytest.raises(ConfigError, match="not all 0"):
        ratio_interval([1.0, 2.0], [0.0, 0.0])


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [np.inf]])
def test_an_interval_of_nothing_is_refused(values: list[float]) -> None:
    with pytest.raises(ConfigError, match="at least one sample, all finite"):
        mean_interval(values)


def test_the_median_ignores_an_outlier() -> None:
    found = median_interval([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 500.0])
    assert (found.value, found.low) == (1.0, 1.0)
    with pytest.raises(ConfigError, match="at least one value"):
        median_interval([])


def test_psnr_inside_a_region_counts_its_pixels_alone() -> None:
    real = np.full((3, 4, 4, 3), 100, np.uint8)
    shown = real.copy()
    shown[:, 0] = 110
    masks = np.zeros((3, 4, 4), np.bool_)
    masks[0, 0] = True
    masks[1, :2] = True
    ten_off = 20 * np.log10(255 / 10)
    assert region_psnr(shown, real, masks) == pytest.approx([ten_off, ten_off + 10 * np.log10(2), PSNR_OF_EQUAL])
    everywhere = np.ones((3, 4, 4), np.bool_)
    assert region_psnr(shown, real, everywhere) == pytest.approx(psnr(shown, real))
    with pytest.raises(ConfigError, match="their masks"):
        region_psnr(shown, real, masks[:2])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1, 2, 3], [10, 200, 3000], 1.0),
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([1, 2, 3, 4], [1, 3, 2, 4], 0.8),
        ([1, 1, 2, 2], [5, 5, 9, 9], 1.0),
        ([1, 2, 3], [7, 7, 7], 0.0),
        ([1, 2, 2, 4], [1, 2, 3, 4], np.sqrt(0.9)),
    ],
)
def test_rank_correlation_by_hand(one: list[float], other: list[float], expected: float) -> None:
    assert rank_correlation(one, other) == pytest.approx(expected)
    assert rank_correlation(other, one) == pytest.approx(expected)


def test_ranks_need_two_lists_of_one_length() -> None:
    for one, other in (([1], [2]), ([1, 2], [1, 2, 3])):
        with pytest.raises(ConfigError, match="two lists"):
            rank_correlation(one, other)
