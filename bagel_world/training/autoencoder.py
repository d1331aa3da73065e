"""Training of the autoencoder: sharp pictures, latents of zero mean and unit variance, a decoder that forgives small errors.

The latents get noise of at least `latent_noise` of their spread before they are decoded: what a flow model predicts is never
quite right, and a decoder that has only seen exact latents answers small errors with artifacts.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from bagel_world.errors import TrainingError
from bagel_world.model.vae import Vae
from bagel_world.training.data.walks import Walks, as_pixels
from bagel_world.training.losses import kl_loss
from bagel_world.training.metrics import psnr
from bagel_world.training.normalization import fold_normalization
from bagel_world.training.picture_loss import PictureLoss, PictureLossConfig
from bagel_world.training.vae_trainer import Likeness, Progress, VaeTrainer, VaeTrainerConfig
from bagel_world.training.workers import Losses

_LOG = logging.getLogger(__name__)


class AutoencoderConfig(VaeTrainerConfig, PictureLossConfig):
    """How the autoencoder is trained."""

    kl_weight: float = Field(default=1e-5, ge=0, description="Weight of the distance of latents from the standard normal.")
    latent_noise: float = Field(default=0.05, ge=0, description="Least noise on latents in training, in units of their spread.")
    normalize_at: tuple[float, ...] = Field(
        default=(0.2, 0.5, 0.8),
        description="Shares of the steps after which latents are brought to zero mean and unit variance per channel.",
    )
    """Never after the last step: the zero padding at the borders shifts with the latents, and the steps after heal that."""
    decoder_only_from: float = Field(default=1.0, ge=0, le=1, description="Share of the steps after which the encoder stays.")
    statistics_frames: int = Field(default=512, gt=0, description="Training frames from which mean and variance are taken.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slice:
    pixels: Tensor
    noise: Tensor


class AutoencoderTrainer(VaeTrainer[AutoencoderConfig, _Slice]):
    """Trains a `Vae` on frames, see `VaeTrainer`.

    Args:
        vae: the autoencoder; trained in place, on the device where it is. `scale_factor` 1 and `shift_factor` 0 are expected.
        config: how.
        train: frames to learn from.
        validation: frames to measure on.
        run: folder for states and log.
        seed: decides everything random.
        workers: threads that share a step; on a GPU one does it all.
        progress: called after every step with (step, steps, losses).
    """

    def __init__(
        self,
        vae: Vae,
        config: AutoencoderConfig,
        *,
        train: Walks,
        validation: Walks,
        run: Path,
        seed: int = 0,
        workers: int = 2,
        progress: Progress | None = None,
    ) -> None:
        if vae.config.scale_factor != 1.0 or vae.config.shift_factor != 0.0:
            raise TrainingError(
                f"Expected an autoencoder with scale_factor 1 and shift_factor 0 (latents are normalized in its weights), "
                f"got {vae.config.scale_factor} and {vae.config.shift_factor}."
            )
        self.vae = vae.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self._train, self._validation = train, validation
        super().__init__(self.vae, config, run=run, seed=seed, workers=workers, progress=progress)
        self._picture_loss = PictureLoss(config, self._device)

    def _before_step(self) -> None:
        if self.step == self._encoder_ends:
            self._settle_encoder()

    def _after_update(self) -> None:
        if self.step in {round(share * self.config.steps) for share in self.config.normalize_at}:
            self._normalize()

    @property
    def _encoder_ends(self) -> int:
        return round(self.config.decoder_only_from * self.config.steps)

    @torch.no_grad()
    def _settle_encoder(self) -> None:
        """From here on the decoder learns from the very latents that the averaged encoder gives."""
        for name, average in self.ema.averages.items():
            if name.startswith("encoder."):
                self._named[name].copy_(average)

    def _batch(self) -> list[_Slice]:
        rng = np.random.default_rng((self._seed, self.step))
        frames = self._train.frames[np.sort(rng.integers(len(self._train.frames), size=self.config.batch))]
        flipped = rng.random(len(frames)) < 0.5
        frames = np.where(flipped[:, None, None, None], frames[:, :, ::-1], frames)
        pixels = as_pixels(frames, self._device)
        count = self._workers.count
        side = self.vae.config.downsample
        shape = (len(frames), self.vae.config.z_channels, pixels.shape[2] // side, pixels.shape[3] // side)
        noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
        return [
            _Slice(pixels=part, noise=other)
            for part, other in zip(pixels.chunk(count), noise.to(self._device).chunk(count), strict=True)
        ]

    def _losses(self, part: _Slice) -> Losses:
        config = self.config
        with torch.set_grad_enabled(self.step < self._encoder_ends):
            mean, log_variance = (each.float() for each in self.vae.moments(part.pixels))
        spread = mean.detach().std(dim=(0, 2, 3), keepdim=True)
        deviation = torch.maximum(torch.exp(0.5 * log_variance.clamp(-20, 4)), config.latent_noise * spread)
        decoded = self.vae.decode(mean + deviation * part.noise).float()
        losses, nearness = self._picture_loss(decoded, part.pixels), kl_loss(mean, log_variance)
        return {**losses, "kl": nearness, "loss": losses["loss"] + config.kl_weight * nearness}

    def _tensors(self, part: _Slice) -> dict[str, Tensor]:
        return {"pixels": part.pixels, "noise": part.noise}

    def _figures(self) -> dict[str, float]:
        """PSNR in dB, sharpness (share of the real gradient); PSNR with noisy latents."""
        count = min(self.config.validation_frames, len(self._validation.frames))
        chosen = np.linspace(0, len(self._validation.frames) - 1, count).astype(np.int64)
        generator = torch.Generator().manual_seed(self._seed)
        likeness, rebuilt = Likeness(), []
        for part in np.array_split(chosen, -(-count // 16)):
            pixels = as_pixels(self._validation.frames[part], self._device)
            latents = self.vae.encode(pixels)
            likeness.add(self.vae.decode(latents), pixels)
            noise = torch.randn(latents.shape, generator=generator).to(self._device)
            spread = latents.std(dim=(0, 2, 3), keepdim=True)
            rebuilt.append(psnr(self.vae.decode(latents + 0.1 * spread * noise), pixels))
        noisy = float(torch.cat(rebuilt).mean())
        return {"psnr": likeness.psnr, "sharpness": likeness.sharpness, "psnr_noisy_latents": noisy}

    @torch.no_grad()
    def _normalize(self) -> None:
        """Fold mean and deviation of the latents into the last encoder and the first decoder convolution."""
        mean, deviation = self._statistics()
        fold_normalization(self._named, mean, deviation)
        fold_normalization(self.ema.averages, mean, deviation)
        _LOG.info("step %d: latents normalized, deviations were %.3f to %.3f", self.step, *deviation.aminmax())

    def _statistics(self) -> tuple[Tensor, Tensor]:
        count = min(self.config.statistics_frames, len(self._train.frames))
        chosen = np.linspace(0, len(self._train.frames) - 1, count).astype(np.int64)
        batches = np.array_split(chosen, -(-count // 16))
        latents = torch.cat([self.vae.encode(as_pixels(self._train.frames[part], self._device)) for part in batches])
        return latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3))
