"""The small parts: RMS norm, rotary embedding, timestep embedding, fixed 2-D position table, connector.

None of them knows what a token stands for.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

TIMESTEP_FREQUENCIES = 128
"""Cosines and sines of the timestep sinusoid, each."""


class RmsNorm(nn.Module):
    """Root-mean-square norm over the last axis: in float32, rounded to the input's dtype, then times the weight."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        if x.dtype not in (torch.bfloat16, torch.float16):
            # Keys and queries of a bfloat16 model come in float32: their weights are raised, which changes no value.
            weight = self.weight.to(x.dtype)
            if torch.is_grad_enabled() and x.device.type == "cpu":
                return _RmsNormOnCpu.apply(x, weight, self.eps)
            return F.rms_norm(x, weight.shape, weight, self.eps)
        wide = x.float()
        normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return self.weight * normed.to(x.dtype)


class _RmsNormOnCpu(torch.autograd.Function):
    """`F.rms_norm` with a backward pass of a few kernels, where torch's own goes a dozen times through memory on a CPU."""

    @staticmethod
    def forward(ctx: Any, x: Float[Tensor, "... d"], weight: Float[Tensor, " d"], eps: float) -> Float[Tensor, "... d"]:
        ctx.save_for_backward(x, weight)
        ctx.eps = eps
        return F.rms_norm(x, weight.shape, weight, eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        gradient, width = gradients[0].contiguous(), len(weight)
        scale = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(width).add_(ctx.eps).rsqrt_()
        # A layer norm's backward pass at mean zero is that of an RMS norm less what the subtracted mean passes back.
        d_x, d_weight, _ = torch.ops.aten.native_layer_norm_backward(
            gradient, x, weight.shape, torch.zeros_like(scale), scale, weight, None, [True, True, False]
        )
        d_x += scale.mul_((gradient @ weight)[..., None]).div_(width)
        return d_x, d_weight, None


def rotary_tables(positions: Int[Tensor, " s"], head_size: int, theta: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sign-folded sines for `rotate`, each [s, 1, e]: computed in float32, then rounded to `dtype`.

    The two halves of a head are the two coordinates that turn together (the "half-split" form). The sine of the first half
    carries the minus sign, so that a rotation is `x * cos + swap_halves(x) * sin`.
    """
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    exponents = torch.arange(0, head_size, 2, device=positions.device, dtype=wide) / head_size
    angles = positions[:, None].to(wide) / theta**exponents
    cos, sin = angles.cos(), angles.sin()
    return torch.cat((cos, cos), -1)[:, None].to(dtype), torch.cat((-sin, sin), -1)[:, None].to(dtype)


def rotate(x: Float[Tensor, "s n e"], tables: tuple[Tensor, Tensor]) -> Float[Tensor, "s n e"]:
    """Rotary embedding of every head (RoFormer, arXiv 2104.09864, equation 34)."""
    cos, sin = tables
    return x * cos + x.roll(x.shape[-1] // 2, -1) * sin


def timestep_sinusoid(t: Float[Tensor, " i"]) -> Float[Tensor, "i f"]:
    """256 numbers per timestep: 128 cosines, then 128 sines; t in [0, 1] as it is, without a factor of 1000."""
    steps = torch.arange(TIMESTEP_FREQUENCIES, device=t.device, dtype=t.dtype)
    angles = t[:, None] * torch.exp(-math.log(10000.0) * steps / TIMESTEP_FREQUENCIES)
    return torch.cat((angles.cos(), angles.sin()), dim=-1)


class TimestepEmbedding(nn.Module):
    """A timestep as a vector of the decoder's width, to be added to latent tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(2 * TIMESTEP_FREQUENCIES, width)
        self.fc2 = nn.Linear(width, width)

    def forward(self, t: Float[Tensor, " i"]) -> Float[Tensor, "i d"]:
        return self.fc2(F.silu(self.fc1(timestep_sinusoid(t).to(self.fc1.weight.dtype))))


class Connector(nn.Module):
    """From the ViT's width to the decoder's."""

    def __init__(self, vit_width: int, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(vit_width, width)
        self.fc2 = nn.Linear(width, width)

    def forward(self, features: Float[Tensor, "v x"]) -> Float[Tensor, "v d"]:
        return self.fc2(F.gelu(self.fc1(features), approximate="tanh"))


def position_table(side: int, width: int, places: Float[Tensor, " s"] | None = None) -> Float[Tensor, "g d"]:
    """Fixed sine-cosine table of a `side` x `side` grid; entry row * side + column is [E(column) | E(row)]. Float64 inside.

    Args:
        side: rows and columns.
        width: of an entry.
        places: coordinates of the rows and of the columns; 0, 1, ... side - 1 where None.
    """
    frequencies = 10000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    places = torch.arange(side, dtype=torch.float64) if places is None else places.double()
    angles = places[:, None] * frequencies
    line = torch.cat((angles.sin(), angles.cos()), dim=-1)
    columns = line[None].expand(side, -1, -1)
    rows = line[:, None].expand(-1, side, -1)
    return torch.cat((columns, rows), dim=-1).reshape(side * side, width).float()
