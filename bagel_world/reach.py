"""Reach: how far it is to walk from where a frame was seen to a goal, read from pictures.

A small network looks at a frame and at a goal, which is a picture taken there or the name of an object, and says how many meters
of walking lie between them. Its eyes are EfficientNet-Lite0 as it was trained on photographs; what it makes of their features is
taught by a simulator that knows (`bagel_world.training.reach`), and serves a scorer (`bagel_world.world.reach_scorer`). Distances
as a classification over soft bins follow the two-hot values of DreamerV3 (arXiv 2301.04104); telling how far apart two pictures
are follows the reachability network of Savinov et al. (arXiv 1810.02274).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from bagel_world.errors import CheckpointError
from bagel_world.files import replace_text, replacing
from bagel_world.images import to_pixels
from bagel_world.perception import Perception
from bagel_world.types import Frame

_CONFIG, _WEIGHTS = "reach.json", "reach.safetensors"
_STRIDE = 16
SIDE_MULTIPLE = 2 * _STRIDE
"""Sides of the pictures that a network can look at are multiples of this."""

"""Of a token, in pixels."""

_MAPS = (160, 112, 320)
"""Features of a token: of the maps at strides 8 (four places), 16 and 32 (shared by four tokens)."""


class ReachConfig(BaseModel):
    """The shape of a reach network, and what its numbers mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    side: int = Field(default=64, gt=0, multiple_of=SIDE_MULTIPLE, description="Height and width of the pictures in pixels.")
    width: int = Field(default=192, gt=0, description="Of tokens.")
    layers: int = Field(default=3, ge=1, description="In which frame and goal look at each other.")
    heads: int = Field(default=4, ge=1)
    names: tuple[str, ...] = Field(default=(), description="Objects that it knows by name.")
    meters: tuple[float, ...] = Field(
        default=(0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.5, 8.0, 10.0, 13.0),
        description="Distances that it weighs, rising.",
    )
    discount: float = Field(
        default=0.8, gt=0, lt=1, description="What a score loses per meter: a score is E[discount ** meters]."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"expected a width that {self.heads} heads can share, got {self.width}")
        if len(self.meters) < 2 or any(one >= other for one, other in zip(self.meters, self.meters[1:], strict=False)):
            raise ValueError(f"expected at least two distances, rising, got {self.meters}")
        return self


class _Layer(nn.Module):
    """Everybody looks at everybody, then thinks for itself."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norms[0](x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        # Written out: for so few tokens it takes half the time of the fused kernel on a CPU.
        seen = (q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2)).softmax(dim=-1) @ v
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.narrow(F.gelu(self.widen(self.norms[1](x))))


class ReachNet(nn.Module):
    """The network.

    Args:
        config: its shape.
        eyes: give the features; they stay as they are and are not saved with it.
    """

    def __init__(self, config: ReachConfig, eyes: Perception) -> None:
        super().__init__()
        self.config = config
        self._eyes = (eyes.to(memory_format=torch.channels_last),)  # pyright: ignore[reportCallIssue] - torch's stub lacks it
        width, places = config.width, (config.side // _STRIDE) ** 2
        self.scales = nn.ModuleList(nn.LayerNorm(each) for each in _MAPS)
        self.into = nn.Linear(sum(_MAPS), width)
        self.places = nn.Parameter(torch.randn(places, width) * 0.02)
        self.roles = nn.Parameter(torch.randn(3, width) * 0.02)
        """What tells apart the token that answers, the frame and the goal."""
        self.words = nn.Embedding(max(1, len(config.names)), width)
        self.layers = nn.ModuleList(_Layer(width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.far = nn.Linear(width, len(config.meters))
        self.side = nn.Linear(width, 3)
        """Sine and cosine of the bearing, and whether the goal is in sight: they help to learn, nobody asks for them."""

    def pixels(self, frames: Frame) -> Tensor:
        """Pictures as it takes them: float, shape (batch, 3, side, side), RGB in [-1, 1].

        Args:
            frames: uint8, shape (batch, height, width, 3).
        """
        pixels, size = torch.from_numpy(to_pixels(frames)), (self.config.side, self.config.side)
        if pixels.shape[2:] == size:
            return pixels
        return F.interpolate(pixels, size=size, mode="bilinear", antialias=True, align_corners=False)

    @torch.no_grad()
    def see(self, pixels: Tensor) -> Tensor:
        """Features of pictures, shape (batch, places, features); nothing in them is taught.

        Args:
            pixels: from `pixels`.
        """
        (eyes,) = self._eyes
        _, _, fine, middle, coarse = eyes.feature_maps(pixels.contiguous(memory_format=torch.channels_last))
        maps = (F.pixel_unshuffle(fine, 2), middle, F.interpolate(coarse, scale_factor=2))
        return torch.cat([each.flatten(2).transpose(1, 2) for each in maps], dim=-1)

    def look(self, features: Tensor) -> Tensor:
        """Tokens of pictures, shape (batch, places, width), from what `see` gives."""
        maps = features.split(_MAPS, dim=-1)
        scaled = [norm(each) for norm, each in zip(self.scales, maps, strict=True)]
        return self.into(torch.cat(scaled, dim=-1)) + self.places

    def hear(self, names: Tensor) -> Tensor:
        """Tokens of objects, shape (batch, 1, width); `names` are their places in the config, shape (batch,)."""
        return self.words(names)[:, None]

    def forward(self, frame: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
        """Logits over `config.meters`, shape (batch, bins), and sine, cosine and a logit for the side, shape (batch, 3).

        Args:
            frame: from `look`.
            goal: from `look` or `hear`.
        """
        ask, here, there = self.roles
        x = torch.cat([ask.expand(len(frame), 1, -1), frame + here, goal + there], dim=1)
        for layer in self.layers:
            x = layer(x)
        answer = self.norm(x[:, 0])
        return self.far(answer), self.side(answer)

    def nearness(self, logits: Tensor) -> Tensor:
        """E[discount ** meters], in (0, 1], shape (batch,): 1 means "there"."""
        worth = self.config.discount ** torch.tensor(self.config.meters, device=logits.device)
        return logits.float().softmax(dim=-1) @ worth

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(each.numel() for each in self.parameters())


def save_reach(net: ReachNet, folder: str | Path) -> Path:
    """Write a network into a folder, in half precision; returns the folder.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written.
    """
    folder = Path(folder)
    tensors = {name: each.detach().to("cpu", torch.float16).contiguous() for name, each in net.state_dict().items()}
    try:
        with replacing(folder / _WEIGHTS) as file:
            file.write(save(tensors))
        replace_text(folder / _CONFIG, net.config.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise CheckpointError(
            f"The network could not be written to {folder}: {error}. Free some space, or name another."
        ) from error
    return folder


def reach_hash(folder: str | Path) -> str:
    """Names the weights of a folder: differs where they differ."""
    with (Path(folder) / _WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_reach(folder: str | Path) -> ReachNet:
    """The network of a folder, in float32, ready to be asked.

    Raises:
        MissingExtraError: the extra `eval`, which brings its eyes, is not installed.
        CheckpointError: the folder lacks a file, or holds something else.
    """
    folder, eyes = Path(folder), Perception.load()
    try:
        config = ReachConfig.model_validate_json((folder / _CONFIG).read_text(encoding="utf-8"))
        net = ReachNet(config, eyes)
        net.load_state_dict({name: each.float() for name, each in load_file(folder / _WEIGHTS).items()})
    except (OSError, SafetensorError, ValidationError, RuntimeError) as error:
        what = " ".join(str(error).split())
        raise CheckpointError(
            f"Expected a reach network ({_CONFIG}, {_WEIGHTS}) in {folder}, but it cannot be read: {what:.200}. "
            "Teach one with bagel-world train-reach."
        ) from error
    return net.eval().requires_grad_(False)
