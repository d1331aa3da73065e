"""Tool calls by prompt: tools described in words, a call written between marks as JSON, and read back.

The marks are those of the Qwen2.5 tokenizer, which BAGEL's understanding expert grew up with.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from langchain_core.utils.function_calling import convert_to_openai_tool

from bagel_world.errors import ConfigError, UnknownNameError, nearest
from bagel_world.world.writing import certain

CALL_OPEN, CALL_CLOSE = "<tool_call>", "</tool_call>"
RESULT_OPEN, RESULT_CLOSE = "<tool_response>", "</tool_response>"


class Call(NamedTuple):
    """A tool call as it was written; `complaint` says in words what is wrong with it, "" where nothing is."""

    name: str | None
    args: dict[str, Any]
    text: str
    complaint: str = ""

    @property
    def json(self) -> str:
        """The arguments as JSON."""
        return json.dumps(self.args, ensure_ascii=False)


def describe_tools(tools: Sequence[Mapping[str, Any]], choice: str | None) -> str:
    """What the model is told about its tools.

    Args:
        tools: as OpenAI-style function schemas.
        choice: None leaves the model free; "any" has it call one; otherwise the name of the tool to call.
    """
    schemas = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    example = f'{CALL_OPEN}\n{{"name": "the tool", "arguments": {{"its argument": "value"}}}}\n{CALL_CLOSE}'
    duty = {None: "You may call tools.", "any": "Call a tool now."}.get(choice, f"Call the tool {choice!r} now.")
    return (
        f"{duty} These are the tools, one JSON schema a line:\n{schemas}\n"
        f"To call one, write JSON with its name and arguments, like this:\n{example}\n"
        f"The result comes back between {RESULT_OPEN} and {RESULT_CLOSE}."
    )


def read_tools(tools: Any) -> list[dict[str, Any]]:
    """Function schemas of anything that LangChain can make one of.

    Raises:
        ConfigError: no list, or something in it that is no function: tools that only a provider could run, say.
    """
    if not isinstance(tools, Iterable):
        raise ConfigError(f"Expected a list of tools, got {tools!r:.80}.")
    schemas = []
    for tool in tools:
        try:
            schema = convert_to_openai_tool(tool)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"Expected a function, a tool or its schema, got {tool!r:.80}: {error!s:.200}") from error
        function = schema.get("function")
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise ConfigError(f"Expected tools that are functions with a name, got {schema!r:.80}. Nobody here could run it.")
        schemas.append(schema)
    return schemas


def read_choice(choice: Any, tools: Sequence[Mapping[str, Any]]) -> str | None:
    """What `tool_choice` asks for: None (the model is free), "none", "any", or the name of a tool.

    Raises:
        UnknownNameError: no tool of this name was bound.
        ConfigError: nothing that chooses a tool.
    """
    if choice is None or choice is False or choice == "auto":
        return None
    if choice is True or choice in ("any", "required"):
        return "any"
    if choice == "none":
        return "none"
    name = choice
    if isinstance(choice, Mapping):
        function = choice.get("function", choice)
        name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str):
        raise ConfigError(f"Expected tool_choice 'auto', 'any', 'none' or the name of a tool, got {choice!r:.80}.")
    known = [tool["function"]["name"] for tool in tools]
    if name not in known:
        raise UnknownNameError(f"tool_choice names a tool that was not bound, {name!r}. {nearest(name, known)}")
    return name


def start_of_call(tools: Sequence[Mapping[str, Any]], choice: str | None) -> str:
    """The words an answer has to begin with so that it calls what `choice` asks for; "" where the model is free."""
    if choice in (None, "none"):
        return ""
    names = [tool["function"]["name"] for tool in tools] if choice == "any" else [choice]
    known = f'{json.dumps(names[0], ensure_ascii=False)}, "arguments":' if len(names) == 1 else '"'
    return f'{CALL_OPEN}\n{{"name": {known}'


def write_call(name: str, args: Mapping[str, Any]) -> str:
    """A call as the model writes it; marks of calls in its texts are written so that they are not taken for its own."""
    written = json.dumps({"name": name, "arguments": dict(args)}, ensure_ascii=False)
    for mark in (CALL_OPEN, CALL_CLOSE):
        written = written.replace(mark, f"\\u{ord(mark[0]):04x}{mark[1:]}")  # the same text, as JSON reads it
    return f"{CALL_OPEN}\n{written}\n{CALL_CLOSE}"


def write_result(text: str, *, failed: bool = False) -> str:
    """What a tool returned, as the model is told."""
    return f"{RESULT_OPEN}\n{'error: ' if failed else ''}{text}\n{RESULT_CLOSE}"


def split_calls(text: str, *, final: bool = True) -> tuple[str, list[str]]:
    """The certain part of what an answer says beside its calls, stripped, and the calls as they were written.

    Args:
        text: all that was written so far.
        final: nothing comes behind; a call that was not closed counts then.
    """
    words, calls, rest = "", [], text
    while rest:
        before, opened, rest = rest.partition(CALL_OPEN)
        words += before
        body, closed, rest = rest.partition(CALL_CLOSE)
        if opened and (closed or final):
            calls.append(CALL_OPEN + body + closed)
        if not opened and not final:
            words = certain(words, [CALL_OPEN])
    return words.strip(), calls


def read_call(text: str) -> Call:
    """The call in a text between marks. Never raises: what cannot be read keeps its text and a complaint."""
    body = text.removeprefix(CALL_OPEN).removesuffix(CALL_CLOSE).strip()
    try:
        read = json.loads(body)
    except (ValueError, RecursionError) as error:
        return Call(None, {}, text, f"Expected one JSON object between {CALL_OPEN} and {CALL_CLOSE}: {error}.")
    name = read.get("name") if isinstance(read, dict) else None
    if not isinstance(name, str) or not name:
        return Call(None, {}, text, 'Expected a JSON object with "name" and "arguments".')
    args = read.get("arguments", read.get("parameters", {}))
    if isinstance(args, str):
        try:
            args = json.loads(args)
        except (ValueError, RecursionError):
            return Call(name, {}, text, f'Expected the "arguments" of {name!r} as a JSON object, got a text.')
    if args is None:
        args = {}
    if not isinstance(args, dict):
        return Call(name, {}, text, f'Expected the "arguments" of {name!r} as a JSON object, got {type(args).__name__}.')
    call = Call(name, args, text)
    try:
        call.json.encode()
    except UnicodeEncodeError:
        return Call(name, {}, text, f'Expected the "arguments" of {name!r} in valid Unicode, got halves of letters.')
    return call
