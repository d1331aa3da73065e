"""Setting: what a user configures in this room, as frozen values that explain themselves when they do not fit."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bagel_world.errors import ConfigError, UnknownSettingError, nearest


class Setting(BaseModel):
    """Base of searches, budgets and rules: frozen, compared by value, nothing unknown taken.

    Raises:
        UnknownSettingError: a field that does not exist.
        ConfigError: a value of a wrong type or range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise in_words(type(self), error) from error


def in_words(kind: type[BaseModel], error: ValidationError) -> ConfigError:
    """What pydantic complains about, as an error of ours that names the setting and what it means."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        return UnknownSettingError(
            f"{kind.__name__} has no setting {name!r} (unexpected keyword argument {name!r}). {nearest(name, kind.model_fields)}"
        )
    field = kind.model_fields.get(name)
    meaning = f" It means: {field.description}" if field is not None and field.description else ""
    return ConfigError(f"{kind.__name__}({name}=...) does not fit: {first['msg']}, got {first['input']!r:.80}.{meaning}")
