"""The parts of the model by name, for recipes that train some and leave the others as they are."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from bagel_world.errors import ConfigError, nearest
from bagel_world.model.bagel import Bagel

PARTS: dict[str, tuple[str, ...]] = {
    "understand": ("mot.understand_norm.",),
    "generate": ("mot.generate_norm.", "latent_in.", "latent_out.", "timestep_embedding."),
    "vit": ("vit.",),
    "connector": ("connector.",),
    "embeddings": ("embed_tokens.",),
    "head": ("lm_head.",),
}
"""Name of a part -> how the names of its parameters begin. The experts' layers belong to them too."""


def part_of(name: str) -> str | None:
    """The part a parameter of `Bagel` belongs to; None for the fixed tables."""
    words = name.split(".")
    if words[:2] == ["mot", "layers"]:
        return words[3]
    return next((part for part, beginnings in PARTS.items() if name.startswith(beginnings)), None)


def check_parts(names: Sequence[str]) -> tuple[str, ...]:
    """The same names.

    Raises:
        ConfigError: none, or one that is no part; the message offers the nearest names.
    """
    for name in names:
        if name not in PARTS:
            raise ConfigError(f"There is no part {name!r} to train. {nearest(name, PARTS)}")
    if not names:
        raise ConfigError(f"Expected one or more parts to train, got none. Known names: {', '.join(PARTS)}.")
    return tuple(names)


def parameters_of(bagel: Bagel, parts: Sequence[str]) -> dict[str, nn.Parameter]:
    """What training these parts moves, by name; fixed tables never are."""
    return {name: parameter for name, parameter in bagel.named_parameters() if parameter.requires_grad and part_of(name) in parts}
