"""Tool calls by prompt: what is written is read back, and nothing that can be written makes the reading fail."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bagel_world.agents.chat.tools import (
    CALL_CLOSE,
    CALL_OPEN,
    describe_tools,
    read_call,
    read_choice,
    split_calls,
    start_of_call,
    write_call,
)
from bagel_world.errors import ConfigError, UnknownNameError


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": "Walks.", "parameters": {"type": "object"}}}


TOOLS = [tool("imagine"), tool("observe")]
FRAGMENTS = ["a", " ", "\n", "<", "<tool", "_call>", CALL_OPEN, CALL_CLOSE, "</tool_", '{"name": "go"}', "{", "null"]
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=10)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(st.text(min_size=1), st.dictionaries(st.text(), values))
@example("</tool_call>", {})
@example("say", {"text": "<tool_call>{}</tool_call>"})
def test_a_written_call_is_read_back(name: str, args: dict[str, Any]) -> None:
    words, (text,) = split_calls("Now. " + write_call(name, args))
    assert words == "Now."
    call = read_call(text)
    assert (call.name, call.args, call.complaint) == (name, args, "")


@given(texts)
def test_no_text_makes_the_reading_fail(pieces: list[str]) -> None:
    for text in split_calls("".join(pieces))[1]:
        call = read_call(text)
        assert call.text == text
        assert bool(call.complaint) == (text.removeprefix(CALL_OPEN).removesuffix(CALL_CLOSE).strip() != '{"name": "go"}')


@given(texts, texts)
def test_what_was_told_of_an_answer_stays(before: list[str], behind: list[str]) -> None:
    (early, some), (late, more) = split_calls("".join(before), final=False), split_calls("".join([*before, *behind]))
    assert late.startswith(early)
    assert more[: len(some)] == some


@pytest.mark.parametrize(
    ("body", "name", "complaint"),
    [
        ("", None, "one JSON object"),
        ("{'name': 'go'}", None, "one JSON object"),
        ('{"name": "go"', None, "one JSON object"),
        ("[1, 2]", None, '"name" and "arguments"'),
        ('{"arguments": {}}', None, '"name" and "arguments"'),
        ('{"name": 3}', None, '"name" and "arguments"'),
        ('{"name": "go", "arguments": [1]}', "go", "got list"),
        ('{"name": "go", "arguments": "fast"}', "go", "got a text"),
        ('{"name": "go", "arguments": {"to": "\\ud800"}}', "go", "halves of letters"),
        ("[" * 100_000, None, "one JSON object"),
    ],
)
def test_a_malformed_call_keeps_its_text_and_says_what_is_wrong(body: str, name: str | None, complaint: str) -> None:
    call = read_call(CALL_OPEN + body + CALL_CLOSE)
    assert (call.name, call.args, call.text) == (name, {}, CALL_OPEN + body + CALL_CLOSE)
    assert complaint in call.complaint


@pytest.mark.parametrize(
    "body",
    [
        '{"name": "go", "arguments": {"steps": 2}}',
        ' {"arguments": {"steps": 2}, "name": "go", "id": 7}\n',
        '{"name": "go", "arguments": "{\\"steps\\": 2}"}',
        '{"name": "go", "parameters": {"steps": 2}}',
    ],
)
def test_the_usual_spellings_of_a_call_are_understood(body: str) -> None:
    assert read_call(body)[:2] == ("go", {"steps": 2})


def test_a_call_without_arguments_has_none() -> None:
    assert read_call('{"name": "go"}').args == read_call('{"name": "go", "arguments": null}').args == {}


@pytest.mark.parametrize(
    ("choice", "read"),
    [
        (None, None),
        ("auto", None),
        (False, None),
        ("none", "none"),
        ("any", "any"),
        ("required", "any"),
        (True, "any"),
        ("observe", "observe"),
        ({"type": "function", "function": {"name": "observe"}}, "observe"),
        ({"type": "tool", "name": "observe"}, "observe"),
    ],
)
def test_choices_in_the_spellings_of_several_providers(choice: Any, read: str | None) -> None:
    assert read_choice(choice, TOOLS) == read


def test_a_choice_of_nothing_that_is_there_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"'obseve'.*Did you mean 'observe'"):
        read_choice("obseve", TOOLS)
    with pytest.raises(ConfigError, match="tool_choice"):
        read_choice(7, TOOLS)


@pytest.mark.parametrize("choice", ["any", "observe"])
def test_a_forced_beginning_goes_on_to_a_call(choice: str) -> None:
    start = start_of_call(TOOLS, choice)
    rest = ' {"x": 1}}' if choice == "observe" else 'observe", "arguments": {"x": 1}}'
    assert read_call(start + rest + CALL_CLOSE)[:2] == ("observe", {"x": 1})
    assert start_of_call(TOOLS[:1], "any") == start_of_call(TOOLS, "imagine")
    assert start_of_call(TOOLS, None) == ""


def test_the_model_is_told_every_schema_and_an_example_that_can_be_read() -> None:
    told = describe_tools(TOOLS, None)
    for each in TOOLS:
        assert json.dumps(each["function"]) in told.splitlines()
    (example,) = split_calls(told)[1]
    assert read_call(example).name == "the tool"
    assert "'observe' now" in describe_tools(TOOLS, "observe")
