"""Latents of zero mean and unit variance per channel, by changing the autoencoder's weights instead of its configuration."""

from __future__ import annotations

from typing import Any

import einops
import torch
from torch import Tensor


@torch.no_grad()
def fold_normalization(weights: dict[str, Any], mean: Tensor, deviation: Tensor) -> None:
    """Rescale latents to (z - mean) / deviation inside an autoencoder's weights; only zero padding at borders notices."""
    channels = len(mean)
    weight, bias = weights["encoder.conv_out.weight"], weights["encoder.conv_out.bias"]
    weight[:channels] /= deviation[:, None, None, None]
    bias[:channels] = (bias[:channels] - mean) / deviation
    bias[channels:] -= 2 * torch.log(deviation)
    weight, bias = weights["decoder.conv_in.weight"], weights["decoder.conv_in.bias"]
    bias += einops.einsum(weight, mean, "out z h w, z -> out")
    weight *= einops.rearrange(deviation, "z -> 1 z 1 1")
