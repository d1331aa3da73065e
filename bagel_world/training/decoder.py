"""Training of the decoder on what the world model imagines, after the last step of that.

Imagined latents are expectations as much as samples: smoother than any that the encoder gives, and a decoder that has only seen
those paints them as blur. Here it sees what was imagined beside what came, and learns how much contrast belongs there. It goes on
learning from encoded latents as well, so that it does not forget them. The encoder stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch import Tensor

from bagel_world.model.vae import Vae
from bagel_world.training.data.imagined import Imagined
from bagel_world.training.data.walks import as_pixels
from bagel_world.training.optim import OptimizerConfig
from bagel_world.training.picture_loss import PictureLoss, PictureLossConfig
from bagel_world.training.vae_trainer import Likeness, Progress, VaeTrainer, VaeTrainerConfig
from bagel_world.training.workers import Losses

_BATCH = 16


class DecoderOptimizerConfig(OptimizerConfig):
    """Far gentler than the other stages: at four times this rate the decoder forgets more than it learns."""

    matrix_rate: float = Field(default=0.0, ge=0, description="Peak learning rate of Muon; 0 gives matrices to AdamW too.")
    rate: float = Field(default=1.2e-4, gt=0, description="Peak learning rate of AdamW.")
    warmup_steps: int = Field(default=30, ge=0, description="Steps in which the rates rise to their peaks.")
    decay_share: float = Field(default=0.6, ge=0, le=1, description="Share of the steps in which a trapezoid falls.")


class DecoderConfig(VaeTrainerConfig, PictureLossConfig):
    """How the decoder learns to paint what is imagined."""

    steps: int = Field(default=200, gt=0, description="Steps of this stage.")
    optimizer: DecoderOptimizerConfig = DecoderOptimizerConfig()  # pyright: ignore[reportIncompatibleVariableOverride]
    ema_decay: float = Field(default=0.98, ge=0, lt=1, description="Share of the averaged weights that every step keeps.")
    windows: int = Field(default=2048, gt=0, description="Stretches of walks whose next frames are imagined.")
    context: int = Field(default=4, gt=0, description="Recorded frames before each.")
    ahead: int = Field(default=2, gt=0, description="Frames imagined one after the other in each.")
    texture_weight: float = Field(default=2.0, ge=0, description="Weight of the difference of local contrast, where imagined.")
    texture_window: int = Field(default=8, ge=2, description="Side of the windows, in pixels, whose contrast is compared.")
    encoded_share: float = Field(default=0.25, ge=0, lt=1, description="Share of pictures that come from the encoder instead.")
    encoded_texture_weight: float = Field(default=0.2, ge=0, description="What texture_weight is for these.")

    @model_validator(mode="after")
    def _both_are_there(self) -> Self:
        if self.encoded >= self.batch or (self.encoded_share and not self.encoded):
            raise ValueError(
                f"expected an encoded_share that leaves pictures of both kinds in a batch of {self.batch}, or 0, "
                f"got {self.encoded_share}: {self.encoded} encoded"
            )
        return self

    @property
    def encoded(self) -> int:
        """Pictures of a batch that come from the encoder."""
        return round(self.encoded_share * self.batch)

    @property
    def window(self) -> int:
        """Frames of a stretch of a walk."""
        return self.context + self.ahead


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slice:
    """Latents and the pixels they stand for; the first `encoded` of them come from the encoder."""

    latents: Tensor
    pixels: Tensor
    encoded: int


class DecoderTrainer(VaeTrainer[DecoderConfig, _Slice]):
    """Trains the decoder of a `Vae`, see `VaeTrainer`.

    Args:
        vae: the autoencoder; its decoder is trained in place, on the device where it is.
        config: how.
        train: what to learn from.
        validation: what to measure on.
        run: folder for states and log.
        seed: decides everything random.
        workers: threads that share a step; on a GPU one does it all.
        progress: called after every step with (step, steps, losses).
    """

    def __init__(
        self,
        vae: Vae,
        config: DecoderConfig,
        *,
        train: Imagined,
        validation: Imagined,
        run: Path,
        seed: int = 0,
        workers: int = 2,
        progress: Progress | None = None,
    ) -> None:
        self.vae = vae.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self._train, self._validation = train, validation
        super().__init__(vae.decoder, config, run=run, seed=seed, workers=workers, progress=progress)
        self._picture_loss = PictureLoss(config, self._device)

    def _batch(self) -> list[_Slice]:
        rng = np.random.default_rng((self._seed, self.step))
        chosen = rng.integers(len(self._train), size=self.config.batch)
        from_encoder = np.arange(len(chosen)) < self.config.encoded
        count = self._workers.count
        return [self._slice(chosen[place::count], int(from_encoder[place::count].sum())) for place in range(count)]

    def _slice(self, chosen: npt.NDArray[np.int64], encoded: int) -> _Slice:
        places = torch.from_numpy(chosen)
        latents = torch.cat([self._train.encoded[places[:encoded]], self._train.latents[places[encoded:]]])
        pixels = as_pixels(self._train.frames(chosen), self._device)
        return _Slice(latents=latents.float().to(self._device), pixels=pixels, encoded=encoded)

    def _losses(self, part: _Slice) -> Losses:
        config, encoded, losses = self.config, part.encoded, Losses()
        decoded = self.vae.decode(part.latents).float()
        loss = decoded.new_zeros(())
        # Slices differ in how many of their pictures are encoded: each part counts by its share of those of the whole batch.
        if encoded:
            share = encoded * self._workers.count / config.encoded
            found = self._picture_loss(decoded[:encoded], part.pixels[:encoded], texture_weight=config.encoded_texture_weight)
            losses["encoded"] = share * found["loss"]
            loss = loss + config.encoded / config.batch * losses["encoded"]
        if encoded < len(decoded):
            share = (len(decoded) - encoded) * self._workers.count / (config.batch - config.encoded)
            found = self._picture_loss(decoded[encoded:], part.pixels[encoded:])
            losses |= {name: share * value for name, value in found.items()}
            loss = loss + (1 - config.encoded / config.batch) * losses["loss"]
        return {**losses, "loss": loss}

    def _tensors(self, part: _Slice) -> dict[str, Tensor]:
        return {"latents": part.latents, "pixels": part.pixels}

    def _figures(self) -> dict[str, float]:
        """PSNR in dB and sharpness (share of the real gradient) of imagined pictures, and of those from the encoder."""
        count = min(self.config.validation_frames, len(self._validation))
        imagined, encoded = Likeness(), Likeness()
        for part in np.array_split(np.arange(count), -(-count // _BATCH)):
            pixels, places = as_pixels(self._validation.frames(part), self._device), torch.from_numpy(part)
            for likeness, latents in ((imagined, self._validation.latents), (encoded, self._validation.encoded)):
                likeness.add(self.vae.decode(latents[places].float().to(self._device)), pixels)
        return {
            "psnr": imagined.psnr,
            "sharpness": imagined.sharpness,
            "psnr_encoded": encoded.psnr,
            "sharpness_encoded": encoded.sharpness,
        }
