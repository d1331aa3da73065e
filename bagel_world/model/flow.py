"""Rectified flow: t = 1 is noise, t = 0 is data, velocity = noise - data, x_t = (1 - t) * data + t * noise.

Pure functions: timestep shift, time grid, interpolation, guidance with its renormalizations, and the weights of the solvers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from bagel_world.errors import ConfigError

Renorm = Literal["global", "channel", "text_channel"]
NORM_EPS = 1e-8


def shift_timestep(t: Float[Tensor, "*n"], shift: float) -> Float[Tensor, "*n"]:
    """Move timesteps toward noise for shift > 1: s * t / (1 + (s - 1) * t)."""
    return shift * t / (1 + (shift - 1) * t)


def time_grid(evaluations: int, shift: float) -> Float[Tensor, " n"]:
    """Timesteps from 1 to 0, both included, `evaluations` steps apart. The published count N gives N - 1 evaluations."""
    return shift_timestep(torch.linspace(1.0, 0.0, evaluations + 1), shift)


def interpolate(data: Float[Tensor, "*n z"], noise: Float[Tensor, "*n z"], t: Float[Tensor, "*m 1"]) -> Float[Tensor, "*n z"]:
    """The point at time t on the straight line from data to noise."""
    return (1 - t) * data + t * noise


def target_velocity(data: Float[Tensor, "*n z"], noise: Float[Tensor, "*n z"]) -> Float[Tensor, "*n z"]:
    """The velocity of that line."""
    return noise - data


def guide(
    full: Float[Tensor, "*b t z"],
    no_text: Float[Tensor, "*b t z"] | None = None,
    no_image: Float[Tensor, "*b t z"] | None = None,
    *,
    text_scale: float | None = 1.0,
    image_scale: float = 1.0,
    renorm: Renorm = "global",
    renorm_min: float = 0.0,
) -> Float[Tensor, "*b t z"]:
    """Classifier-free guidance on two axes (arXiv 2211.09800, equation 3), scaled back to the length of the full velocity.

    Args:
        full: velocity on the whole context, one image per leading index.
        no_text: velocity without the last text; needed for text_scale > 1.
        no_image: velocity without images; needed for image_scale > 1.
        text_scale: 1 switches guidance off, that of images too, as in the published program; None guides by the images alone.
        image_scale: 1 switches image guidance off.
        renorm: which norms are compared: of the whole image ("global"), of each token ("channel"), or of each token after the
            text guidance and before that of images ("text_channel").
        renorm_min: least factor; 1 switches renormalization off.

    Raises:
        ConfigError: a renorm that does not exist, or a scale whose velocity is missing.
    """
    if renorm not in ("global", "channel", "text_channel"):
        raise ConfigError(f"Expected guidance renorm 'global', 'channel' or 'text_channel', got {renorm!r}.")
    if (image_scale if text_scale is None else text_scale) <= 1:
        return full
    if (text_scale is not None and no_text is None) or (image_scale > 1 and no_image is None):
        raise ConfigError("Guidance needs the velocity without text, and with image_scale > 1 the one without images.")
    guided = full if text_scale is None or no_text is None else _extrapolate(no_text, full, text_scale)
    blind = no_image if image_scale > 1 else None
    if renorm == "text_channel":
        guided = _scaled_back(guided, full, renorm_min, axes=(-1,))
        return guided if blind is None else _extrapolate(blind, guided, image_scale)
    if blind is not None:
        guided = _extrapolate(blind, guided, image_scale)
    return _scaled_back(guided, full, renorm_min, axes=(-2, -1) if renorm == "global" else (-1,))


def _extrapolate(without: Tensor, velocity: Tensor, scale: float) -> Tensor:
    return without + scale * (velocity - without)


def _scaled_back(guided: Tensor, full: Tensor, least: float, axes: tuple[int, ...]) -> Tensor:
    wanted = torch.linalg.vector_norm(full.float(), dim=axes, keepdim=True)
    found = torch.linalg.vector_norm(guided.float(), dim=axes, keepdim=True)
    factor = (wanted / (found + NORM_EPS)).clamp(min=least, max=1.0)
    # The published program keeps bfloat16 under "global" (a 0-d factor does not promote), float32 under the per-token norms.
    return guided * (factor.to(guided.dtype) if len(axes) == 2 and guided.dtype == torch.bfloat16 else factor)


def multistep_weights(times: Sequence[float], end: float) -> list[float]:
    """Adams-Bashforth weights on an uneven grid.

    The velocities at `times` (newest last) are joined by a polynomial, and that is integrated from the newest time to `end`:
    x(end) = x + sum(weight * velocity). One time gives the Euler step (Hairer, Norsett, Wanner, Solving ODEs I, III.5).
    """
    start = times[-1]
    weights = []
    for place, time in enumerate(times):
        others = [other for index, other in enumerate(times) if index != place]
        # Coefficients of prod (u - other) / (time - other), lowest power first, with u = t - start.
        basis = [1.0]
        for other in others:
            lower = [-(other - start) * value for value in basis] + [0.0]
            upper = [0.0, *basis]
            basis = [(low + high) / (time - other) for low, high in zip(lower, upper, strict=True)]
        width = end - start
        weights.append(sum(value * width ** (power + 1) / (power + 1) for power, value in enumerate(basis)))
    return weights
