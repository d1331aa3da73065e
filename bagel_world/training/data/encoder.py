"""Images of samples as the model takes them: latent tokens through the autoencoder, pixels for the ViT."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bagel_world.images import to_pixels
from bagel_world.model.config import BagelConfig, Transforms
from bagel_world.model.packing import to_tokens
from bagel_world.model.vae import Vae
from bagel_world.types import Frame

Grid = tuple[int, int]
"""(rows, columns) of latent tokens."""


class Encoder(Protocol):
    """What cutting samples into segments asks of images; put a cache or another device behind it.

    Attributes:
        latent_size: numbers in a latent token.
    """

    latent_size: int

    def latents(self, frame: Frame, rng: np.random.Generator) -> tuple[Float[Tensor, "t z"], Grid]:
        """Latent tokens of a frame that has been resized for the autoencoder, and their grid."""
        ...

    def pixels(self, frame: Frame) -> Float[Tensor, "3 h w"]:
        """A frame of any size as the ViT takes it."""
        ...

    def resized(self, frame: Frame, images: int) -> Frame:
        """A frame of any size at the autoencoder's size, when `images` of them share a sample."""
        ...


class ImageEncoder:
    """Encodes with an autoencoder that is not trained.

    Args:
        vae: the autoencoder, on the device where it shall run.
        config: of the model that is trained.
        transforms: other resize rules than the model's own.
        sample: draw latents from the posterior, as the published program does; otherwise its mean is taken.
    """

    def __init__(self, vae: Vae, config: BagelConfig, *, transforms: Transforms | None = None, sample: bool = False) -> None:
        self.latent_size = config.latent_size
        self._vae = vae.eval()
        self._patch = config.latent_patch_size
        self._stride = vae.config.downsample * config.latent_patch_size
        self._transforms = transforms or config.world.transforms
        self._sample = sample

    def resized(self, frame: Frame, images: int) -> Frame:
        return self._transforms.vae.apply(frame, images)

    @torch.no_grad()
    def latents(self, frame: Frame, rng: np.random.Generator) -> tuple[Float[Tensor, "t z"], Grid]:
        device = next(self._vae.parameters()).device
        pixels = torch.from_numpy(to_pixels(frame))[None].to(device)
        noise = None
        if self._sample:
            sides = (each // self._vae.config.downsample for each in pixels.shape[2:])
            drawn = rng.standard_normal((1, self._vae.config.z_channels, *sides), dtype=np.float32)
            noise = torch.from_numpy(drawn).to(device)
        tokens = to_tokens(self._vae.encode(pixels, noise), self._patch)[0].float().cpu()
        return tokens, (frame.shape[0] // self._stride, frame.shape[1] // self._stride)

    def pixels(self, frame: Frame) -> Float[Tensor, "3 h w"]:
        return torch.from_numpy(to_pixels(self._transforms.vit.apply(frame)))


class RememberingEncoder:
    """An encoder that keeps the latents of the frames it has seen last; for encoders that always give the same for the same.

    Args:
        encoder: does the work.
        most_bytes: of latents that are kept.
    """

    def __init__(self, encoder: Encoder, *, most_bytes: int = 2**29) -> None:
        self.latent_size = encoder.latent_size
        self._encoder = encoder
        self._most_bytes = most_bytes
        self._kept: OrderedDict[bytes, tuple[Tensor, Grid]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def resized(self, frame: Frame, images: int) -> Frame:
        return self._encoder.resized(frame, images)

    def pixels(self, frame: Frame) -> Float[Tensor, "3 h w"]:
        return self._encoder.pixels(frame)

    def latents(self, frame: Frame, rng: np.random.Generator) -> tuple[Float[Tensor, "t z"], Grid]:
        key = hashlib.blake2b(repr(frame.shape).encode() + frame.tobytes(), digest_size=20).digest()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        found = self._encoder.latents(frame, rng)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = found
                self._bytes += found[0].nbytes
            while self._bytes > self._most_bytes:
                self._bytes -= self._kept.popitem(last=False)[1][0].nbytes
        return found


class BlankEncoder:
    """Sizes as the model has them, latents of zeros: what looking at the layout needs, without an autoencoder."""

    def __init__(self, config: BagelConfig) -> None:
        self.latent_size = config.latent_size
        self._stride = config.latent_stride
        self._transforms = config.world.transforms

    def resized(self, frame: Frame, images: int) -> Frame:
        return self._transforms.vae.apply(frame, images)

    def latents(self, frame: Frame, rng: np.random.Generator) -> tuple[Tensor, Grid]:
        grid = (frame.shape[0] // self._stride, frame.shape[1] // self._stride)
        return torch.zeros(grid[0] * grid[1], self.latent_size), grid

    def pixels(self, frame: Frame) -> Tensor:
        width, height = self._transforms.vit.size(frame.shape[1], frame.shape[0])
        return torch.zeros(3, height, width)
