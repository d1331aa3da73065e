"""WorldTool: one pydantic model per tool, from which every export is made: name, description, arguments, and what it does.

A subclass is a call: its fields are the arguments, its docstring tells a language model when to use it, and `run` does it.
"""

from __future__ import annotations

import inspect
import json
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from bagel_world.agents.tools.reply import Reply
from bagel_world.agents.tools.session import WorldSession
from bagel_world.errors import (
    AccessError,
    ActionError,
    CapabilityError,
    ConfigError,
    ImageError,
    LimitError,
    StateError,
    UnknownNameError,
    nearest,
)

FIXABLE = (AccessError, ActionError, CapabilityError, ConfigError, ImageError, LimitError, StateError, UnknownNameError)
"""Errors whose words go back to the model that called; every other one is ours and propagates."""


class ToolInputError(ConfigError):
    """A tool call that cannot be read: unknown tool, arguments missing, left over, or of a wrong type."""


class WorldTool(BaseModel):
    """A call of a tool."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tool_name: ClassVar[str]
    """What a model calls it by."""

    changes: ClassVar[bool] = False
    """Whether it may move the live walk."""

    @classmethod
    def description(cls) -> str:
        """When to use it, in one paragraph."""
        return " ".join(inspect.cleandoc(cls.__doc__ or "").split())

    @classmethod
    def parameters(cls) -> dict[str, Any]:
        """The JSON schema of the arguments, without pydantic's titles."""
        schema = cls.model_json_schema()
        schema.pop("description", None)
        return _without_titles(schema)

    @classmethod
    def openai_schema(cls) -> dict[str, Any]:
        """The tool as chat completion APIs take it in `tools`."""
        function = {"name": cls.tool_name, "description": cls.description(), "parameters": cls.parameters()}
        return {"type": "function", "function": function}

    @classmethod
    def read(cls, arguments: Mapping[str, Any] | str | None) -> WorldTool:
        """The call with these arguments.

        Args:
            arguments: a mapping, or the JSON text of one.

        Raises:
            ToolInputError: they do not fit; the message says which and how.
        """
        try:
            return cls.model_validate(_mapping(arguments, cls.tool_name))
        except ValidationError as error:
            raise ToolInputError(explain(cls, error)) from error

    def call(self, session: WorldSession) -> Reply:
        """Do it, as one turn of the session.

        Raises:
            BagelWorldError: one of `FIXABLE` for what the caller can mend.
        """
        with session.turn():
            return self.run(session)

    @abstractmethod
    def run(self, session: WorldSession) -> Reply:
        """Do it."""


def explain(tool: type[WorldTool], error: ValidationError) -> str:
    """What is wrong with arguments, in words that a language model can mend them by."""
    complaints = []
    for each in error.errors(include_url=False, include_context=False):
        name = ".".join(map(str, each["loc"])) or "the arguments"
        if each["type"] == "extra_forbidden":
            complaints.append(f"There is no argument {name!r}. {nearest(name, tool.model_fields)}")
        elif each["type"] == "missing":
            complaints.append(f"The argument {name!r} is missing: {_meaning(tool, name)}")
        else:
            complaints.append(f"{name} does not fit: {each['msg']}, got {each['input']!r:.80}. It means: {_meaning(tool, name)}")
    return f"The call of {tool.tool_name!r} cannot be read. " + " ".join(complaints)


def _meaning(tool: type[WorldTool], name: str) -> str:
    field = tool.model_fields.get(name.split(".")[0])
    return (field.description or "") if field else ""


def _mapping(arguments: Mapping[str, Any] | str | None, name: str) -> Any:
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError) as error:
            raise ToolInputError(
                f"Expected the arguments of {name!r} as a JSON object, got {arguments!r:.80} ({error})."
            ) from error
    if arguments is None:
        return {}
    if not isinstance(arguments, Mapping):
        raise ToolInputError(f"Expected the arguments of {name!r} as a JSON object, got {arguments!r:.80}.")
    return dict(arguments)


def _without_titles(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_titles(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    # A property may itself be called "title": then its schema is a dict, pydantic's title is a text.
    return {key: _without_titles(value) for key, value in schema.items() if not (key == "title" and isinstance(value, str))}
