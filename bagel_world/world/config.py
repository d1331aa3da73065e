"""How to sample and how much to remember: SamplingConfig, GuidanceConfig, ContextConfig, and the presets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bagel_world.errors import ConfigError, UnknownNameError, nearest
from bagel_world.model.config import WorldDefaults, merged
from bagel_world.world.prompts import PROMPTS

See = Literal["latents", "vit", "both"]
"""Frames as clean latents, as ViT tokens, or as both (latents first)."""


class _Setting(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class GuidanceConfig(_Setting):
    """Classifier-free guidance on text and image; off by default."""

    text_scale: float | None = Field(
        default=1.0,
        ge=0,
        description="Strength of the last text; 1 switches guidance off, that of images too. None guides by the images alone.",
    )
    image_scale: float = Field(1.0, ge=0, description="Strength of the images; 1 switches it off.")
    interval: tuple[float, float] = Field(
        default=(0.0, 1.0),
        description="Guidance acts where interval[0] < t <= interval[1]; elsewhere its forward is not paid either.",
    )
    renorm: Literal["global", "channel", "text_channel"] = Field(
        default="global", description="Which norms are compared when a guided velocity is scaled back."
    )
    renorm_min: float = Field(0.0, ge=0, le=1, description="Least factor of that; 1 switches it off.")

    @model_validator(mode="after")
    def _interval_has_room(self) -> Self:
        if self.interval[0] > self.interval[1]:
            raise ValueError(f"expected an interval from its lower to its upper end, got {self.interval}")
        return self

    def active(self, t: float) -> bool:
        """Whether guidance acts at this timestep."""
        # Timesteps are float32: 0.8 of a grid must not lie above 0.8 of an interval.
        low, high, now = (np.float32(each) for each in (*self.interval, t))
        return bool(len(self.branches) > 1 and low < now <= high)

    @property
    def branches(self) -> tuple[str, ...]:
        """The pasts that a guided evaluation paints from, by their names in `Canvas`."""
        without_image = ("no_image",) if self.image_scale > 1 else ()
        if self.text_scale is None:
            return ("full", *without_image)
        return ("full", "no_text", *without_image) if self.text_scale > 1 else ("full",)


class SamplingConfig(_Setting):
    """How one frame is painted."""

    evaluations: int = Field(49, ge=1, le=1000, description="Model calls per frame. The published `num_timesteps` N gives N - 1.")
    shift: float = Field(3.0, gt=0, le=1000, description="Timestep shift; above 1 more steps are spent near the noise.")
    solver: Literal["euler", "ab2", "ab3"] = Field(
        default="euler", description="Euler, or Adams-Bashforth of order 2 or 3 (same cost per step, smaller error)."
    )
    guidance: GuidanceConfig = Field(default_factory=lambda: GuidanceConfig.model_validate({}))

    @property
    def order(self) -> int:
        """Velocities that a solver step joins."""
        return {"euler": 1, "ab2": 2, "ab3": 3}[self.solver]


class WritingConfig(_Setting):
    """How text is generated."""

    max_tokens: int = Field(256, ge=1, le=32_768, description="Longest answer or thought, in tokens.")
    temperature: float = Field(
        0.0, ge=0, description="0 takes the likeliest token; above, tokens are drawn from softmax(logits / temperature)."
    )
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(), description="Words that end an answer where they first appear in it; they are left out."
    )


class ContextConfig(_Setting):
    """What a context shows the model, and how much of the past it keeps."""

    see: See = Field(default="both", description="How frames are fed. Dynamics need latents, answers need the ViT.")
    max_frames: int = Field(
        16, ge=1, description="Frames in a context. When one more comes, old ones leave, down to `keep_frames`."
    )
    keep_frames: int = Field(8, ge=1, description="Frames that stay when frames leave, the new one included.")
    sinks: int = Field(0, ge=0, description="First frames that never leave; they count among `keep_frames`.")
    reuse_latents: bool = Field(
        default=False,
        description=(
            "Go on from the latents an imagined frame was decoded from. Where off it is encoded again, as the "
            "published program does."
        ),
    )

    @model_validator(mode="after")
    def _room(self) -> Self:
        if not self.sinks < self.keep_frames <= self.max_frames:
            raise ValueError(
                f"expected sinks < keep_frames <= max_frames, got {self.sinks}, {self.keep_frames}, {self.max_frames}"
            )
        return self


SAMPLING_PRESETS: dict[str, dict[str, Any]] = {
    "exact": {"guidance": {"text_scale": 4.0, "image_scale": 2.0, "renorm": "text_channel"}},
    "fast": {"evaluations": 8, "solver": "ab2", "guidance": {"text_scale": 4.0, "interval": (0.4, 1.0)}},
}
"""Sampling by name where a checkpoint does not bring its own under that name; "exact" is the published edit sampler."""

S = TypeVar("S", bound=_Setting)


def read_setting(kind: type[S], *layers: Mapping[str, Any]) -> S:
    """A setting from layers of plain values; later layers win, nested settings are merged.

    Raises:
        ConfigError: an unknown key (with the nearest known name) or a value out of range.
    """
    values: dict[str, Any] = {}
    for layer in layers:
        if not isinstance(layer, Mapping):
            raise ConfigError(f"Expected settings by name for {kind.__name__}, as a dictionary, got {layer!r:.80}.")
        values = merged(values, layer)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        complaints = "; ".join(_complaint(kind, each) for each in error.errors())
        raise ConfigError(f"{kind.__name__} cannot be read: {complaints}") from error


def _complaint(kind: type[BaseModel], error: Any) -> str:
    path = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        fields = list(kind.model_fields) + list(GuidanceConfig.model_fields if kind is SamplingConfig else ())
        return f"there is no setting {path!r}. {nearest(str(error['loc'][-1]), fields)}"
    return f"{path or kind.__name__}: {error['msg']}, got {error['input']!r:.80}"


def read_sampling(sampling: str | Mapping[str, Any] | None, own: Mapping[str, Mapping[str, Any]]) -> SamplingConfig:
    """The sampling settings a user asked for.

    Args:
        sampling: a preset name, a plain dict over the default, or None for the default.
        own: presets of the checkpoint by name; "default" is what it wants to be used with.

    Raises:
        UnknownNameError: no such preset.
        ConfigError: a setting that is unknown or out of range.
    """
    default = own.get("default", {})
    if sampling is None or isinstance(sampling, Mapping):
        return read_setting(SamplingConfig, default, sampling or {})
    presets = {**SAMPLING_PRESETS, **own}
    if not isinstance(sampling, str) or sampling not in presets:
        raise UnknownNameError(f"There is no sampling preset {sampling!r}. {nearest(str(sampling), presets)}")
    return read_setting(SamplingConfig, presets[sampling])


def check_defaults(defaults: WorldDefaults) -> None:
    """Read what a checkpoint says of its use, before somebody trains for hours to write it down.

    Raises:
        ConfigError: a setting of a sampling preset or of the context is unknown or out of range, or a prompt has no known name.
    """
    settings: list[tuple[str, type[_Setting], Mapping[str, Any]]] = [("context", ContextConfig, defaults.context)]
    settings += [(f"sampling.{name}", SamplingConfig, values) for name, values in defaults.sampling.items()]
    for where, kind, values in settings:
        try:
            read_setting(kind, values)
        except ConfigError as error:
            raise ConfigError(f"world.{where} cannot be used: {error}") from error
    for name in defaults.prompts:
        if name not in PROMPTS:
            raise ConfigError(f"There is no thinking prompt {name!r} (world.prompts). {nearest(name, PROMPTS)}")
