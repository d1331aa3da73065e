"""Chat messages become a context: what they show and say, in the order in which they do.

BAGEL knows no roles. A system text that comes first opens the context; all else stands where it was said: pictures as frames,
words as texts, tool calls and their results between their marks. Thoughts of earlier answers are left out.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from bagel_world.agents.chat.tools import write_call, write_result
from bagel_world.errors import ImageError, MessageError
from bagel_world.images import png_base64, read_image
from bagel_world.model.tokenizer import BEGIN, END, IMAGE_BEGIN, IMAGE_END
from bagel_world.types import Frame
from bagel_world.world.protocol import Context

Part = str | Frame
"""What a message says, or shows."""

C = TypeVar("C", bound=Context)

# Line breaks and tabs are text; the rest of the control characters and halves of surrogate pairs are not.
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_MARKS = (BEGIN, END, IMAGE_BEGIN, IMAGE_END)
_DATA_URL = re.compile(r"data:[^,;]*(?:;[^,;]*)*;base64,", re.IGNORECASE)
_TOLD_ELSEWHERE = {"reasoning", "tool_call", "invalid_tool_call", "tool_call_chunk", "thinking", "redacted_thinking", "tool_use"}


def opening_of(messages: Sequence[BaseMessage]) -> tuple[str, Sequence[BaseMessage]]:
    """The system text that comes first, "" where there is none, and the messages behind it.

    Raises:
        MessageError: there are no messages, or a message that cannot be read.
    """
    if not messages:
        raise MessageError("Expected at least one message, got none. Pass a text, or a list of messages.")
    system: list[str] = []
    for place, message in enumerate(messages):
        parts = _parts(message, place) if isinstance(message, SystemMessage) else []
        if not parts or not all(isinstance(part, str) for part in parts):
            return "\n\n".join(system), messages[place:]
        system += [part for part in parts if isinstance(part, str)]
    return "\n\n".join(system), []


def tell(context: C, messages: Sequence[BaseMessage], start: int = 0) -> C:
    """The context with everything that these messages show and say; up to a picture that makes it forget another.

    Args:
        context: where they come in.
        messages: in the order in which they were exchanged.
        start: place of the first one in the conversation, for errors.

    Raises:
        MessageError: a message that cannot be read.
        ImageError: a picture that cannot be read.
    """
    for place, message in enumerate(messages, start):
        for part in _parts(message, place):
            context = context.say(part) if isinstance(part, str) else context.observe(part)
        if context.dropped_frames:
            break
    return context


def count_tokens(context: Any, messages: Sequence[BaseMessage], start: int = 0) -> int:
    """Tokens that these messages take in a context like this one, however many it has room for.

    Args:
        context: an empty context of the world that is to read them.
        messages: in any order.
        start: place of the first one in the conversation, for errors.

    Raises:
        MessageError: a message that cannot be read.
        ImageError: a picture that cannot be read.
    """
    parts = [part for place, message in enumerate(messages, start) for part in _parts(message, place)]
    told = (context.say(part) if isinstance(part, str) else context.observe(part) for part in parts)
    return sum(each.tokens - context.tokens for each in told)


def picture_block(frame: Frame) -> dict[str, Any]:
    """A frame as a standard image block: PNG in base64."""
    return {"type": "image", "base64": png_base64(frame), "mime_type": "image/png"}


def _parts(message: BaseMessage, place: int) -> list[Part]:
    """What a message shows and says, checked."""
    name = f"message {place + 1} ({message.type})"
    # What a model or a tool said, nobody at hand can mend: it is cleaned instead of refused.
    check = _readable if isinstance(message, (HumanMessage, SystemMessage)) else _cleaned
    shown = [check(part, name) if isinstance(part, str) else part for part in _content(message, name)]
    said = [part for part in shown if not isinstance(part, str) or part.strip()]
    if isinstance(message, AIMessage):
        calls = [write_call(call["name"], call["args"]) for call in message.tool_calls]
        calls += [call["args"] or "" for call in message.invalid_tool_calls]
        # An answer may be empty: the model said nothing then, and nothing is told.
        return [*said, *([_cleaned("\n".join(calls), name)] if any(calls) else [])]
    if isinstance(message, ToolMessage):
        words = "\n".join(part for part in said if isinstance(part, str))
        pictures = [part for part in said if not isinstance(part, str)]
        told = [] if pictures and not words else [write_result(words, failed=message.status == "error")]
        return [*told, *pictures]
    if not isinstance(message, (HumanMessage, SystemMessage)):
        raise MessageError(f"Expected system, human, AI and tool messages, got {name}. Say it in one of those.")
    if not said:
        raise MessageError(f"Expected words or a picture in {name}, got nothing. Leave the message out, or fill it.")
    return said


def _content(message: BaseMessage, name: str) -> Iterator[Part]:
    for block in [message.content] if isinstance(message.content, str) else message.content:
        if isinstance(block, dict) and not isinstance(block.get("type"), str):
            raise MessageError(f"Expected content blocks with a 'type', got {block!r:.80} in {name}.")
    # LangChain's own reading of the many ways in which providers write blocks.
    for standard in message.content_blocks:
        block = cast(dict[str, Any], standard)
        if block["type"] == "non_standard":
            block = cast(dict[str, Any], block["value"])
        kind = block["type"]
        if kind in ("text", "text-plain"):
            yield str(block.get("text") or "")
        elif kind in ("image", "image_url"):
            yield _picture(block, name)
        elif not (isinstance(message, AIMessage) and kind in _TOLD_ELSEWHERE):
            raise MessageError(f"Expected text and image blocks in {name}, got a block of type {kind!r}. BAGEL reads no others.")


def _readable(text: str, name: str) -> str:
    """The text, where it is one."""
    found = _NO_TEXT.search(text)
    if found:
        raise MessageError(
            f"Expected text in {name}, got the control character {found.group()!r} at place {found.start()}. Remove it."
        )
    for mark in _MARKS:
        if mark in text:
            raise MessageError(f"Expected text in {name} without the model's own mark {mark!r}. Remove or respell it.")
    return text


def _cleaned(text: str, name: str) -> str:
    """The text without what is none."""
    text = _NO_TEXT.sub("", text)
    while any(mark in text for mark in _MARKS):  # what is left may join to another mark
        for mark in _MARKS:
            text = text.replace(mark, "")
    return text


def _picture(block: dict[str, Any], name: str) -> Frame:
    """The frame in an image block."""
    link = block.get("image_url", block.get("url"))
    link = link.get("url") if isinstance(link, dict) else link
    data = block.get("base64")
    if isinstance(link, str):
        found = _DATA_URL.match(link)
        if not found:
            raise ImageError(
                f"Expected the picture itself in {name}, got the address {link!r:.80}. Nothing is fetched and no path is opened: "
                "load it and pass its bytes, {'type': 'image', 'base64': ..., 'mime_type': 'image/png'}."
            )
        data = link[found.end() :]
    if not isinstance(data, str) or not data:
        raise ImageError(
            f"Expected a picture in base64 in {name}, got a block with {sorted(set(block) - {'type'})}. "
            "Pass {'type': 'image', 'base64': ..., 'mime_type': 'image/png'}."
        )
    try:
        return read_image(base64.b64decode("".join(data.split()), validate=True))
    except (binascii.Error, UnicodeEncodeError, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(
            f"Expected a picture in base64 in {name}, got {data!r:.40}: {error}. Encode the bytes of its file."
        ) from error
