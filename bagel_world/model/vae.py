"""The FLUX autoencoder: pixels <-> latents, eight times smaller on a side.

Residual convolutions with group norm; one single-head attention over all positions in the middle. The encoder gives a Gaussian
per latent value; `Vae.encode` returns its mean, or a sample where noise is handed in. Weights and arithmetic are float32.
"""

from __future__ import annotations

import itertools

import einops
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bagel_world.model.config import VaeConfig

NORM_GROUPS = 32
NORM_EPS = 1e-6


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(NORM_GROUPS, channels, eps=NORM_EPS)


def _conv3(into: int, out: int, stride: int = 1, padding: int = 1) -> nn.Conv2d:
    return nn.Conv2d(into, out, kernel_size=3, stride=stride, padding=padding)


def _swish(x: Tensor) -> Tensor:
    """X * sigmoid(x); in place where nobody will ask for a gradient: the largest maps are bound by memory."""
    return F.silu(x, inplace=not torch.is_grad_enabled())


class ResBlock(nn.Module):
    """Norm, swish, conv, twice, plus the input."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.norm1 = _norm(into)
        self.conv1 = _conv3(into, out)
        self.norm2 = _norm(out)
        self.conv2 = _conv3(out, out)
        if into != out:
            self.nin_shortcut = nn.Conv2d(into, out, kernel_size=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        y = self.conv1(_swish(self.norm1(x)))
        y = self.conv2(_swish(self.norm2(y)))
        return y.add_(self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class MiddleAttention(nn.Module):
    """Single-head attention over all positions of an image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.q = nn.Conv2d(channels, channels, kernel_size=1)
        self.k = nn.Conv2d(channels, channels, kernel_size=1)
        self.v = nn.Conv2d(channels, channels, kernel_size=1)
        self.proj_out = nn.Conv2d(channels, channels, kernel_size=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        y = self.norm(x)
        q, k, v = (einops.rearrange(project(y), "b c h w -> b 1 (h w) c").contiguous() for project in (self.q, self.k, self.v))
        attended = F.scaled_dot_product_attention(q, k, v)
        return x + self.proj_out(einops.rearrange(attended, "b 1 (h w) c -> b c h w", h=x.shape[2]))


class Middle(nn.Module):
    """Block, attention, block at the coarsest level."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1 = ResBlock(channels, channels)
        self.attn_1 = MiddleAttention(channels)
        self.block_2 = ResBlock(channels, channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return self.block_2(self.attn_1(self.block_1(x)))


class Downsample(nn.Module):
    """Half the side: one pixel of zeros right and below, then a strided convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = _conv3(channels, channels, stride=2, padding=0)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Twice the side: nearest neighbor, then a 3 x 3 convolution.

    Computed the other way around. Neighbors come in equal pairs, so that an output pixel sees only 2 x 2 different ones: four
    2 x 2 kernels, one per place in a 2 x 2 block, give the same sums for 4/9 of the multiplications.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = _conv3(channels, channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        count, _, height, width = x.shape
        assert self.conv.bias is not None
        places = F.conv2d(x, _paired(self.conv.weight), self.conv.bias.repeat(4), padding=1)
        places = einops.rearrange(places, "b (r c d) h w -> b h w r c d", r=2, c=2)
        out = places.new_empty((count, 2 * height, 2 * width, places.shape[-1]))
        for row, column in itertools.product(range(2), range(2)):
            out[:, row::2, column::2] = places[:, row : row + height, column : column + width, row, column]
        return einops.rearrange(out, "b h w d -> b d h w")


def _paired(kernel: Float[Tensor, "d c 3 3"]) -> Float[Tensor, "e c 2 2"]:
    """The kernels of the four places of a block, upper left first: taps that fall on equal pixels, added."""
    upper, middle, lower = kernel.unbind(2)
    rows = torch.stack((torch.stack((upper, middle + lower), 2), torch.stack((upper + middle, lower), 2)))
    left, middle, right = rows.unbind(4)
    return torch.stack((torch.stack((left, middle + right), 4), torch.stack((left + middle, right), 4)), 1).flatten(0, 2)


class Level(nn.Module):
    """The residual blocks of one resolution and, where there is a next one, the step to it."""

    downsample: Downsample
    upsample: Upsample

    def __init__(self, into: int, out: int, blocks: int) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResBlock(into if place == 0 else out, out) for place in range(blocks))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        for block in self.block:
            x = block(x)
        if hasattr(self, "downsample"):
            return self.downsample(x)
        if hasattr(self, "upsample"):
            return self.upsample(x)
        return x


class Encoder(nn.Module):
    """Pixels to the mean and log-variance of the latents; level 0 is the full resolution."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths = [config.ch * multiple for multiple in config.ch_mult]
        self.conv_in = _conv3(config.in_channels, config.ch)
        self.down = nn.ModuleList()
        for place, (into, out) in enumerate(zip([config.ch, *widths[:-1]], widths, strict=True)):
            level = Level(into, out, config.num_res_blocks)
            if place < len(widths) - 1:
                level.downsample = Downsample(out)
            self.down.append(level)
        self.mid = Middle(widths[-1])
        self.norm_out = _norm(widths[-1])
        self.conv_out = _conv3(widths[-1], 2 * config.z_channels)

    def forward(self, pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b z2 h8 w8"]:
        x = self.conv_in(pixels)
        for level in self.down:
            x = level(x)
        return self.conv_out(_swish(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    """Latents to pixels, from the coarsest level to level 0."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        widths = [config.ch * multiple for multiple in config.ch_mult]
        self.conv_in = _conv3(config.z_channels, widths[-1])
        self.mid = Middle(widths[-1])
        levels = []
        for place, out in enumerate(widths):
            into = widths[min(place + 1, len(widths) - 1)]
            level = Level(into, out, config.num_res_blocks + 1)
            if place > 0:
                level.upsample = Upsample(out)
            levels.append(level)
        self.up = nn.ModuleList(levels)
        self.norm_out = _norm(widths[0])
        self.conv_out = _conv3(widths[0], config.out_ch)

    def forward(self, z: Float[Tensor, "b z h8 w8"]) -> Float[Tensor, "b 3 h w"]:
        x = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(_swish(self.norm_out(x)))


class Vae(nn.Module):
    """Encoder and decoder with the scale and shift that give latents about unit variance."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def moments(self, pixels: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b z h8 w8"], Float[Tensor, "b z h8 w8"]]:
        """Mean and log-variance of the posterior, unscaled. `pixels` in [-1, 1], sides multiples of `downsample`."""
        mean, log_variance = self.encoder(pixels).chunk(2, dim=1)
        return mean, log_variance

    def encode(
        self, pixels: Float[Tensor, "b 3 h w"], noise: Float[Tensor, "b z h8 w8"] | None = None
    ) -> Float[Tensor, "b z h8 w8"]:
        """Scaled latents: the posterior mean, or mean + std * noise where standard normal `noise` is given."""
        mean, log_variance = self.moments(pixels)
        sample = mean if noise is None else mean + torch.exp(0.5 * log_variance) * noise
        return self.config.scale_factor * (sample - self.config.shift_factor)

    def decode(self, latents: Float[Tensor, "b z h8 w8"]) -> Float[Tensor, "b 3 h w"]:
        """Pixels from scaled latents, not clamped."""
        return self.decoder(latents / self.config.scale_factor + self.config.shift_factor)
