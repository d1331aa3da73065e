"""Training of the autoencoder: sharp pictures, latents of zero mean and unit variance, a decoder that forgives small errors.

The latents get noise of at least `latent_noise` of their spread before they are decoded: what a flow model predicts is never
quite right, and a decoder that has only seen exact latents answers small errors with artifacts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from bagel_world.errors import TrainingError
from bagel_world.model.vae import Vae
from bagel_world.perception import Perception, map_distance
from bagel_world.training.checkpoint import load_facts, load_run, save_run
from bagel_world.training.data.walks import Walks, as_pixels
from bagel_world.training.ema import Ema
from bagel_world.training.guard import EXPLOSION, EXPLOSION_RULE, LossGuard
from bagel_world.training.losses import charbonnier, edge_loss, kl_loss, texture_loss
from bagel_world.training.metrics import RunLog, gradient_energy, psnr
from bagel_world.training.normalization import fold_normalization
from bagel_world.training.optim import Optimizer, OptimizerConfig, rate_factor
from bagel_world.training.workers import Losses, Precision, Workers

_LOG = logging.getLogger(__name__)


class AutoencoderConfig(BaseModel):
    """How the autoencoder is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=4000, gt=0)
    batch: int = Field(default=8, gt=0, description="Pictures per step.")
    precision: Precision = "float32"
    optimizer: OptimizerConfig = OptimizerConfig()
    ema_decay: float = Field(default=0.995, ge=0, lt=1)
    smoothness: float = Field(default=0.05, gt=0, description="Pixel error where the loss turns from squared to absolute.")
    edge_weight: float = Field(default=0.5, ge=0, description="Weight of the difference of image gradients.")
    texture_weight: float = Field(default=0.0, ge=0, description="Weight of the difference of local contrast.")
    perceptual_weight: float = Field(default=0.0, ge=0, description="Weight of the EffNet-Lite feature distance.")
    perceptual_depth: int = Field(default=3, ge=1, le=5, description="Feature maps compared, finest on.")
    kl_weight: float = Field(default=1e-5, ge=0)
    latent_noise: float = Field(default=0.05, ge=0, description="Least noise on latents in training, in units of their spread.")
    normalize_at: tuple[float, ...] = (0.2, 0.5, 0.8)
    """Shares of the steps after which latents are brought to zero mean and unit variance per channel.

    Never after the last step: the zero padding at the borders shifts with the latents, and the steps after heal that.
    """
    decoder_only_from: float = Field(default=1.0, ge=0, le=1, description="Share of the steps after which the encoder stays.")
    explosion: float | None = Field(default=EXPLOSION, gt=1, description=EXPLOSION_RULE)
    statistics_frames: int = Field(default=512, gt=0, description="Training frames from which mean and variance are taken.")
    validation_frames: int = Field(default=192, gt=0)
    validate_every: int = Field(default=250, gt=0)
    save_every: int = Field(default=250, gt=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slice:
    pixels: Tensor
    noise: Tensor


class AutoencoderTrainer:
    """Trains a `Vae` on frames; every step's batch is a function of (seed, step), so a resumed run equals one never stopped.

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
        progress: Callable[[int, int, dict[str, float]], None] | None = None,
    ) -> None:
        if vae.config.scale_factor != 1.0 or vae.config.shift_factor != 0.0:
            raise TrainingError(
                f"Expected an autoencoder with scale_factor 1 and shift_factor 0 (latents are normalized in its weights), "
                f"got {vae.config.scale_factor} and {vae.config.shift_factor}."
            )
        self.config = config
        self.vae = vae.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.run = run
        self.step = 0
        self._seed = seed
        self._device = next(vae.parameters()).device
        self._train, self._validation = train, validation
        self._perception = _loaded_perception(self._device) if config.perceptual_weight else None
        self._named = dict(vae.named_parameters())
        matrices = {name for name, parameter in self._named.items() if parameter.ndim == 4}
        self._workers = Workers(workers, self._device, config.precision)
        if config.batch % self._workers.count:
            raise TrainingError(f"Expected a batch that {self._workers.count} workers can share equally, got {config.batch}.")
        self._optimizer = Optimizer(self._named, matrices, config.optimizer, self._workers.pool)
        self.ema = Ema(vae, config.ema_decay)
        run.mkdir(parents=True, exist_ok=True)
        self._log = RunLog(run / "log.jsonl")
        self._guard = LossGuard(run, config.explosion)
        self._progress = progress

    def train(self) -> dict[str, float]:
        """Train to the last step and leave the averaged weights in the autoencoder; its validation figures."""
        parameters = list(self._named.values())
        began = time.perf_counter()
        while self.step < self.config.steps:
            if self.step == self._encoder_ends:
                self._settle_encoder()
            slices = self._batch()
            losses = self._workers.backward(parameters, self._losses, slices)
            self._guard.check(self.step, losses["loss"], partial(_tensors, slices))
            losses["gradient"] = self._optimizer.clip()
            self._guard.check_gradient(self.step, losses["gradient"], partial(_tensors, slices))
            self._optimizer.step(rate_factor(self.step, self.config.steps, self.config.optimizer))
            self.ema.update()
            self.step += 1
            self._after_step(losses, time.perf_counter() - began)
        self.ema.swap()
        figures = self.validate(swap=False)
        self._log.write(self.step, final=True, **figures)
        return figures

    def _after_step(self, losses: dict[str, float], seconds: float) -> None:
        config = self.config
        if self.step % 20 == 0:
            self._log.write(self.step, seconds=round(seconds, 1), **losses)
        if self.step in {round(share * config.steps) for share in config.normalize_at}:
            self._normalize()
        if self.step % config.validate_every == 0:
            figures = self.validate()
            self._log.write(self.step, **figures)
            _LOG.info("step %d: %s", self.step, {name: round(value, 3) for name, value in figures.items()})
        if self.step % config.save_every == 0:
            self.save()
        if self._progress is not None:
            self._progress(self.step, config.steps, losses)

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
        losses = {"pixel": charbonnier(decoded, part.pixels, config.smoothness), "kl": kl_loss(mean, log_variance)}
        loss = losses["pixel"] + config.kl_weight * losses["kl"]
        if config.edge_weight:
            losses["edge"] = edge_loss(decoded, part.pixels)
            loss = loss + config.edge_weight * losses["edge"]
        if config.texture_weight:
            losses["texture"] = texture_loss(decoded, part.pixels)
            loss = loss + config.texture_weight * losses["texture"]
        if self._perception is not None:
            losses["perceptual"] = self._perceptual(self._perception, decoded, part.pixels)
            loss = loss + config.perceptual_weight * losses["perceptual"]
        return {**losses, "loss": loss}

    def _perceptual(self, network: Perception, decoded: Tensor, pixels: Tensor) -> Tensor:
        with torch.no_grad():
            real = network.feature_maps(pixels, self.config.perceptual_depth)
        pairs = zip(network.feature_maps(decoded, self.config.perceptual_depth), real, strict=True)
        return torch.stack([map_distance(one.float(), other.float()).mean() for one, other in pairs]).mean()

    @torch.no_grad()
    def validate(self, *, swap: bool = True) -> dict[str, float]:
        """PSNR in dB, sharpness (share of the real gradient), both of the averaged weights; PSNR with noisy latents."""
        if swap:
            self.ema.swap()
        count = min(self.config.validation_frames, len(self._validation.frames))
        chosen = np.linspace(0, len(self._validation.frames) - 1, count).astype(np.int64)
        generator = torch.Generator().manual_seed(self._seed)
        ratios, rebuilt, gradients, energies = [], [], [], []
        for part in np.array_split(chosen, -(-count // 16)):
            pixels = as_pixels(self._validation.frames[part], self._device)
            latents = self.vae.encode(pixels)
            decoded = self.vae.decode(latents)
            ratios.append(psnr(decoded, pixels))
            gradients.append(gradient_energy(decoded))
            energies.append(gradient_energy(pixels))
            noise = torch.randn(latents.shape, generator=generator).to(self._device)
            spread = latents.std(dim=(0, 2, 3), keepdim=True)
            rebuilt.append(psnr(self.vae.decode(latents + 0.1 * spread * noise), pixels))
        if swap:
            self.ema.swap()
        return {
            "psnr": float(torch.cat(ratios).mean()),
            "sharpness": float(torch.cat(gradients).mean() / torch.cat(energies).mean()),
            "psnr_noisy_latents": float(torch.cat(rebuilt).mean()),
        }

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

    def save(self) -> Path:
        """Write the state of the run."""
        return save_run(self.run, self.step, self._named, self.ema, self._optimizer, {"guard": self._guard.state()})

    def resume(self) -> bool:
        """Go on from the newest state; False where there is none."""
        step = load_run(self.run, self._named, self.ema, self._optimizer)
        self._log.cut(step or 0)
        if step is None:
            return False
        self._guard.restore(load_facts(self.run).get("guard", {}))
        self.step = step
        return True


def _tensors(slices: Sequence[_Slice]) -> dict[str, Tensor]:
    """Everything in the slices of a step, to look at what went wrong."""
    return {f"{place}/{name}": getattr(each, name) for place, each in enumerate(slices) for name in ("pixels", "noise")}


def _loaded_perception(device: torch.device) -> Perception:
    return Perception.load().to(device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
