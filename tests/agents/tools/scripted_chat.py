"""A chat model that plays back what a script says: no network, no weights, the same every time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult

Move = tuple[str, dict[str, Any]] | str
"""A tool and its arguments, or the last words."""


class ScriptedChat(BaseChatModel):
    """Asks the script what to do after every message; remembers which tools it was given."""

    script: Callable[[Sequence[BaseMessage]], Move]
    given: list[dict[str, Any]] = []  # noqa: RUF012 (pydantic copies it for every instance)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **settings: Any) -> Any:
        from langchain_core.utils.function_calling import convert_to_openai_tool

        self.given = [convert_to_openai_tool(tool) for tool in tools]
        return self

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **_: Any
    ) -> ChatResult:
        move = self.script(messages)
        if isinstance(move, str):
            message = AIMessage(content=move)
        else:
            name, arguments = move
            message = AIMessage(content="", tool_calls=[{"name": name, "args": arguments, "id": f"call-{len(messages)}"}])
        return ChatResult(generations=[ChatGeneration(message=message)])


def last_words(messages: Sequence[BaseMessage]) -> str:
    """What the newest tool message says."""
    newest = messages[-1]
    assert isinstance(newest, ToolMessage)
    assert isinstance(newest.content, str)
    return newest.content
