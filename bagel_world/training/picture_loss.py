"""How far a decoded picture is from the real one: pixels, edges, local contrast and features, each with its weight."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from bagel_world.perception import Perception, map_distance
from bagel_world.training.losses import charbonnier, edge_loss, texture_loss
from bagel_world.training.workers import Losses


class PictureLossConfig(BaseModel):
    """What counts how much."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    smoothness: float = Field(default=0.05, gt=0, description="Pixel error where the loss turns from squared to absolute.")
    edge_weight: float = Field(default=0.5, ge=0, description="Weight of the difference of image gradients.")
    texture_weight: float = Field(default=0.0, ge=0, description="Weight of the difference of local contrast.")
    texture_window: int = Field(default=4, ge=2, description="Side of the windows, in pixels, whose contrast is compared.")
    perceptual_weight: float = Field(default=0.0, ge=0, description="Weight of the EffNet-Lite feature distance.")
    perceptual_depth: int = Field(default=3, ge=1, le=5, description="Feature maps compared, finest on.")


class PictureLoss:
    """The losses of decoded pictures.

    Args:
        config: the weights of the parts; a part without weight is not computed.
        device: where the pictures are.

    Raises:
        MissingExtraError: features are asked for and their network is not installed.
    """

    def __init__(self, config: PictureLossConfig, device: torch.device) -> None:
        self._config = config
        self._perception = _loaded_perception(device) if config.perceptual_weight else None

    def __call__(self, decoded: Tensor, pixels: Tensor, *, texture_weight: float | None = None) -> Losses:
        """Every part, and their weighted sum as "loss".

        Args:
            decoded: shape (batch, 3, height, width), in [-1, 1].
            pixels: what it should be.
            texture_weight: in place of that of the configuration.
        """
        config = self._config
        texture_weight = config.texture_weight if texture_weight is None else texture_weight
        losses: Losses = {"pixel": charbonnier(decoded, pixels, config.smoothness)}
        loss = losses["pixel"]
        if config.edge_weight:
            losses["edge"] = edge_loss(decoded, pixels)
            loss = loss + config.edge_weight * losses["edge"]
        if texture_weight:
            losses["texture"] = texture_loss(decoded, pixels, config.texture_window)
            loss = loss + texture_weight * losses["texture"]
        if self._perception is not None:
            losses["perceptual"] = self._perceptual(self._perception, decoded, pixels)
            loss = loss + config.perceptual_weight * losses["perceptual"]
        return {**losses, "loss": loss}

    def _perceptual(self, network: Perception, decoded: Tensor, pixels: Tensor) -> Tensor:
        with torch.no_grad():
            real = network.feature_maps(pixels, self._config.perceptual_depth)
        pairs = zip(network.feature_maps(decoded, self._config.perceptual_depth), real, strict=True)
        return torch.stack([map_distance(one.float(), other.float()).mean() for one, other in pairs]).mean()


def _loaded_perception(device: torch.device) -> Perception:
    return Perception.load().to(device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
