"""The world as LangChain tools, for `create_agent`, LangGraph, or any model with `bind_tools`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, cast

from langchain_core.tools import StructuredTool, ToolException
from pydantic import ValidationError

from bagel_world.agents.tools.reply import Picture
from bagel_world.agents.tools.session import WorldSession
from bagel_world.agents.tools.tool import FIXABLE, ToolInputError, WorldTool, explain
from bagel_world.agents.tools.world_tools import TOOLS, find_tool
from bagel_world.errors import LimitError


class LangChainTool(StructuredTool):
    """A tool whose schema is that of its definition to the letter; LangChain's own would let unknown arguments pass."""

    @property
    def tool_call_schema(self) -> Any:
        """The JSON schema that a model is given."""
        definition = cast(type[WorldTool], self.args_schema)  # whatever name the tool goes by
        return {**definition.parameters(), "description": self.description}


def make_world_tools(
    session: WorldSession, *, names: str | Collection[str] | None = None, show: bool = False
) -> list[StructuredTool]:
    """The tools of one session.

    The content of a tool's message is text; its artifact is {"pictures": [{"label": str, "frame": uint8 array}], "facts": {...}}.
    What the model can mend comes back as words with status "error"; any other exception is a bug of ours and propagates.

    Args:
        session: where they look, imagine and act; tools of different sessions never meet.
        names: only these tools, or the only one; None makes all of them.
        show: put the pictures into the content too, as image blocks, for models that see.

    Raises:
        ToolInputError: no tool of that name.
    """
    if names is not None and not isinstance(names, Iterable):
        raise ToolInputError(f"Expected the names of tools, such as ['imagine'], got {names!r:.80}.")
    names = [names] if isinstance(names, str) else names
    wanted = TOOLS if names is None else tuple(find_tool(name) for name in names)
    return [_make(tool, session, show) for tool in wanted]


def _make(tool: type[WorldTool], session: WorldSession, show: bool) -> StructuredTool:
    def call(*words: Any, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        try:
            # LangChain hands over a plain text, which stands for the first argument, without its name.
            reply = tool.read({**dict(zip(tool.model_fields, words, strict=False)), **arguments}).call(session)
        except FIXABLE as error:
            raise ToolException(str(error)) from error
        except ValidationError as error:
            # LangChain would take it for a wrong argument of the model's.
            raise RuntimeError(f"The tool {tool.tool_name!r} broke: {error}") from error
        pictures = [each.within(session.limits.side) for each in reply.pictures]
        return _content(reply.text, pictures, show), _artifact(reply.facts, pictures)

    return LangChainTool(
        name=tool.tool_name,
        description=tool.description(),
        args_schema=tool,
        func=call,
        response_format="content_and_artifact",
        handle_tool_error=True,
        handle_validation_error=partial(_complain, tool, session),
    )


def _complain(tool: type[WorldTool], session: WorldSession, error: Any) -> str:
    """Words about arguments that do not fit: a call like any other, so that nonsense runs out too."""
    try:
        with session.turn():
            return explain(tool, error)
    except LimitError as spent:
        return str(spent)


def _content(text: str, pictures: Sequence[Picture], show: bool) -> Any:
    if not show:
        return text
    images = [{"type": "image", "base64": each.base64, "mime_type": "image/png"} for each in pictures]
    return [{"type": "text", "text": text}, *images]


def _artifact(facts: Mapping[str, Any], pictures: Sequence[Picture]) -> dict[str, Any]:
    shown = [{"label": each.label, "frame": each.frame.copy()} for each in pictures]
    return {"pictures": shown, "facts": dict(facts)}
