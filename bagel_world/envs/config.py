"""The settings of an environment that a user may write as JSON."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bagel_world.errors import ConfigError, UnknownSettingError, nearest


class EnvConfig(BaseModel):
    """How an environment counts, acts and pays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action_mode: Literal["discrete", "text", "either"] = Field(
        default="discrete", description="Actions as ids, as free words, or as either of the two."
    )
    horizon: int = Field(default=64, ge=1, description="Steps after which an episode is truncated.")
    start_frames: int = Field(default=2, ge=1, description="Frames of a starting episode that the context begins with.")
    think: bool = Field(default=False, description="Let the model write a thought before every frame; it lands in the info.")
    progress: bool = Field(default=True, description="Pay the change of the score since the last step; False pays the score.")
    success_distance: float | None = Field(
        default=None,
        ge=0.0,
        allow_inf_nan=False,
        description="A goal counts as reached, and ends the episode, at this distance; None takes the scorer's own.",
    )
    consistency: bool = Field(
        default=False, description="Let the world read from every new frame which action led to it; it lands in the info."
    )
    consistency_redraws: int = Field(
        default=0, ge=0, le=16, description="Draw a frame again, up to this often, where the world reads another action from it."
    )

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Self:
        """The configuration with these settings.

        Raises:
            UnknownSettingError: an unknown setting.
            ConfigError: one of a wrong type or range, or one that does nothing without another.
        """
        for name in settings:
            if name not in cls.model_fields:
                raise UnknownSettingError(
                    f"There is no environment setting {name!r} (unexpected keyword argument {name!r}). "
                    f"{nearest(name, cls.model_fields)}"
                )
        try:
            config = cls(**settings)
        except ValidationError as error:
            first = error.errors()[0]
            name = first["loc"][0]
            field = cls.model_fields[str(name)]
            raise ConfigError(
                f"The environment setting {name!r} does not fit: {first['msg']}, got {first['input']!r:.80}. "
                f"It means: {field.description} The default is {field.default!r}."
            ) from error
        if config.consistency_redraws and not config.consistency:
            raise ConfigError("consistency_redraws draws again what the self-check refuses. Set consistency=True with it.")
        return config
