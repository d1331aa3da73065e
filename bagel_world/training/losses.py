"""What the stages minimize: pure functions, tensors in, scalars out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601 weights of red, green and blue."""


def luma(pixels: Tensor) -> Tensor:
    """Brightness, shape (..., h, w), of pixels of shape (..., 3, h, w)."""
    red, green, blue = pixels.unbind(-3)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def differences(values: Tensor) -> tuple[Tensor, Tensor]:
    """Forward differences of the last two axes: to the next row, to the next column."""
    return values.diff(dim=-2), values.diff(dim=-1)


def charbonnier(one: Tensor, other: Tensor, eps: float) -> Tensor:
    """Mean of sqrt(difference² + eps²) - eps: squared near zero, absolute beyond `eps`."""
    return (torch.sqrt((one - other).square() + eps * eps) - eps).mean()


def edge_loss(one: Tensor, other: Tensor) -> Tensor:
    """Mean absolute difference of image gradients."""
    return sum((F.l1_loss(a, b) for a, b in zip(differences(one), differences(other), strict=True)), start=one.new_zeros(()))


def texture_loss(one: Tensor, other: Tensor, window: int) -> Tensor:
    """Mean absolute difference of local contrast: how much gradient there is in every window, not where in it.

    A picture that is right but blurred scores badly here, one whose grain is displaced does not.
    """
    total = one.new_zeros(())
    for a, b in zip(differences(one), differences(other), strict=True):
        contrast, wanted = (F.avg_pool2d(each.abs(), window, stride=window // 2, ceil_mode=True) for each in (a, b))
        total = total + F.l1_loss(contrast, wanted)
    return total


def kl_loss(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the posterior from the standard normal, mean per latent value."""
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()


def text_loss(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy per labelled token: the mean, or the mean weighted by `weights` where those are given."""
    each = F.cross_entropy(logits.float(), labels, reduction="none")
    return each.mean() if weights is None else (each * weights).sum() / weights.sum()


def velocity_loss(velocity: Tensor, target: Tensor) -> Tensor:
    """Squared error of velocities: mean over channels, then over tokens."""
    return (velocity - target).square().mean()
