from __future__ import annotations

import math

import pytest
import torch

from bagel_world.training.losses import charbonnier, edge_loss, kl_loss, luma, text_loss, texture_loss, velocity_loss


def test_luma_of_white_is_one_and_of_primaries_their_weights() -> None:
    assert luma(torch.ones(3, 1, 1)).item() == pytest.approx(1.0)
    assert [luma(torch.eye(3)[color][:, None, None]).item() for color in range(3)] == pytest.approx([0.299, 0.587, 0.114])


def test_charbonnier_is_squared_near_zero_and_absolute_far_away() -> None:
    zero = torch.zeros(1)
    assert charbonnier(torch.tensor([0.001]), zero, 0.1).item() == pytest.approx(0.001**2 / 0.2, rel=1e-3)
    assert charbonnier(torch.tensor([10.0]), zero, 0.1).item() == pytest.approx(9.9, rel=1e-3)
    assert charbonnier(zero, zero, 0.1).item() == 0


def test_edge_loss_ignores_brightness_and_counts_steps() -> None:
    flat, step = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    step[..., 2:] = 1.0
    assert edge_loss(flat, flat + 0.7).item() == 0
    assert edge_loss(flat, step).item() == pytest.approx(1 / 3)


def test_texture_loss_forgives_displaced_grain_and_punishes_blur() -> None:
    stripes = torch.zeros(1, 3, 16, 16)
    stripes[..., ::2] = 1.0
    assert texture_loss(stripes, stripes.roll(1, -1), 4).item() == pytest.approx(0.0, abs=1e-6)
    assert texture_loss(torch.full_like(stripes, 0.5), stripes, 4).item() == pytest.approx(1.0)


def test_wide_windows_of_texture_forgive_wide_displacement() -> None:
    line = torch.zeros(1, 3, 16, 16)
    line[..., 2] = 1.0
    moved = line.roll(4, -1)
    assert texture_loss(line, moved, 2).item() > texture_loss(line, moved, 8).item() > 0


def test_kl_is_zero_for_the_standard_normal_and_positive_elsewhere() -> None:
    zeros = torch.zeros(2, 3)
    assert kl_loss(zeros, zeros).item() == 0
    assert kl_loss(zeros + 2.0, zeros).item() == pytest.approx(2.0)
    assert kl_loss(zeros, zeros - 3.0).item() > 0


def test_text_loss_is_the_mean_over_labels_or_their_weighted_mean() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    labels = torch.tensor([0, 1])
    each = [math.log(1 + math.exp(-2.0)), math.log(2.0)]
    assert text_loss(logits, labels).item() == pytest.approx(sum(each) / 2)
    assert text_loss(logits, labels, torch.tensor([3.0, 1.0])).item() == pytest.approx((3 * each[0] + each[1]) / 4)


def test_velocity_loss_is_the_mean_square() -> None:
    assert velocity_loss(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 1.0]])).item() == 2.5
