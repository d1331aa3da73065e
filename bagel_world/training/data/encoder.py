"""Images of samples as the model takes them: latent tokens through the autoencoder, pixels for the ViT."""

from __future__ import annotations

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
