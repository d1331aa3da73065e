"""What messages show and say arrives in a context in that order; what cannot be read is refused in words."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from PIL import Image

from bagel_world import FakeWorld
from bagel_world.agents.chat.messages import opening_of, picture_block, tell
from bagel_world.agents.chat.tools import write_call, write_result
from bagel_world.errors import ImageError, MessageError
from bagel_world.images import read_image
from bagel_world.types import Frame


def picture(seed: int = 0, height: int = 6, width: int = 9) -> Frame:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def told(messages: Sequence[BaseMessage]) -> list[Any]:
    """What a context holds after these messages; frames as lists."""
    context = tell(FakeWorld().begin(), messages)
    return [item.tolist() if isinstance(item, np.ndarray) else item for item in context.items]


def test_everything_stands_in_the_order_in_which_it_was_said() -> None:
    call = {"name": "imagine", "args": {"words": "Look left"}, "id": "1", "type": "tool_call"}
    messages = [
        SystemMessage("Be brief."),
        SystemMessage("Be kind."),
        HumanMessage(
            ["What is", {"type": "text", "text": "on this?"}, picture_block(picture(1)), " And here?", picture_block(picture(2))]
        ),
        AIMessage("A duck.", tool_calls=[call]),
        ToolMessage(["It moved.", picture_block(picture(3))], tool_call_id="1"),
        ToolMessage([picture_block(picture(4))], tool_call_id="1"),
        ToolMessage("No such word.", tool_call_id="1", status="error"),
        SystemMessage("Hurry."),
        HumanMessage("Go on."),
    ]
    system, rest = opening_of(messages)
    assert (system, len(rest)) == ("Be brief.\n\nBe kind.", 7)
    assert told(rest) == [
        "What is",
        "on this?",
        picture(1).tolist(),
        " And here?",
        picture(2).tolist(),
        "A duck.",
        write_call("imagine", {"words": "Look left"}),
        write_result("It moved."),
        picture(3).tolist(),
        picture(4).tolist(),
        write_result("No such word.", failed=True),
        "Hurry.",
        "Go on.",
    ]


def test_a_picture_in_the_system_text_keeps_its_place() -> None:
    messages = [SystemMessage("Be brief."), SystemMessage(["Like this:", picture_block(picture())]), HumanMessage("Hello")]
    system, rest = opening_of(messages)
    assert system == "Be brief."
    assert told(rest) == ["Like this:", picture().tolist(), "Hello"]


def data_of(frame: Frame) -> str:
    return picture_block(frame)["base64"]


BLOCKS = {
    "v1": lambda data: {"type": "image", "base64": data, "mime_type": "image/png"},
    "v1 without a type": lambda data: {"type": "image", "base64": data},
    "v0": lambda data: {"type": "image", "source_type": "base64", "data": data, "mime_type": "image/png"},
    "data url": lambda data: {"type": "image", "url": f"data:image/png;base64,{data}"},
    "openai": lambda data: {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}", "detail": "low"}},
    "openai text": lambda data: {"type": "image_url", "image_url": f"data:image/png;base64,{data}"},
    "anthropic": lambda data: {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
    "in lines": lambda data: {"type": "image", "base64": "\n".join([data[:40], data[40:]]), "mime_type": "image/png"},
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_pictures_in_the_spellings_of_several_providers(block: Any) -> None:
    assert told([HumanMessage([block(data_of(picture()))])]) == [picture().tolist()]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "YCbCr"])
@pytest.mark.parametrize("size", [(1, 1), (200, 3)])
def test_pictures_of_every_mode_and_size(mode: str, size: tuple[int, int]) -> None:
    file = io.BytesIO()
    image = Image.new(mode, size) if mode == "I;16" else Image.fromarray(picture(0, size[1], size[0])).convert(mode)
    image.save(file, format="TIFF" if mode in ("CMYK", "YCbCr") else "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    assert told([HumanMessage([BLOCKS["v1"](data)])]) == [read_image(file.getvalue()).tolist()]


def huge_png() -> str:
    """A small file that claims to be a picture of ten billion pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    file = base64.b64decode(data_of(picture()))
    return base64.b64encode(file[:12] + head + struct.pack(">I", zlib.crc32(head)) + file[33:]).decode()


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ({"type": "image", "url": "https://a.example/duck.png"}, "address 'https://a.example/duck.png'"),
        ({"type": "image_url", "image_url": {"url": "http://a.example/duck.png"}}, "Nothing is fetched"),
        ({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}, "no path is opened"),
        ({"type": "image", "url": "pictures/duck.png"}, "no path is opened"),
        ({"type": "image", "url": "data:image/png,abc"}, "the picture itself"),
        ({"type": "image", "file_id": "file-1"}, "in base64"),
        ({"type": "image"}, "in base64"),
        ({"type": "image_url"}, "in base64"),
        ({"type": "image", "base64": "no base64!"}, "in base64"),
        ({"type": "image", "base64": "ée"}, "in base64"),
        ({"type": "image", "base64": base64.b64encode(b"a text").decode()}, "no picture"),
        ({"type": "image", "base64": data_of(picture())[:60]}, "closed, damaged or cut short|no picture"),
        ({"type": "image", "base64": huge_png()}, "at most"),
    ],
)
def test_what_is_no_picture_is_refused_in_words(block: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ImageError, match=complaint):
        told([HumanMessage(["Look:", block])])


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (HumanMessage(""), r"message 1 \(human\), got nothing"),
        (HumanMessage(" \n"), "got nothing"),
        (HumanMessage([]), "got nothing"),
        (SystemMessage(""), r"message 1 \(system\), got nothing"),
        (HumanMessage("a\x00b"), r"control character '\\x00' at place 1"),
        (HumanMessage("\x1b[31mred"), r"control character '\\x1b'"),
        (HumanMessage("half \ud83d"), "control character"),
        (HumanMessage("Now <|im_end|> over"), r"own mark '<\|im_end\|>'"),
        (HumanMessage("<|vision_start|>"), "own mark"),
        (HumanMessage([{"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"}]), "type 'audio'"),
        (HumanMessage([{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]), "text and image blocks"),
        (HumanMessage([{"type": "hologram"}]), "type 'hologram'"),
        (HumanMessage([{"type": "reasoning", "reasoning": "hm"}]), "type 'reasoning'"),
        (HumanMessage([{"text": "no type"}]), "with a 'type'"),
        (HumanMessage([{"type": ["text"]}]), "with a 'type'"),
        (ChatMessage("hi", role="pirate"), "system, human, AI and tool messages"),
    ],
)
def test_a_message_that_cannot_be_read_is_refused_in_words(message: BaseMessage, complaint: str) -> None:
    with pytest.raises(MessageError, match=complaint):
        tell(FakeWorld().begin(), opening_of([message])[1] or [message])


def test_no_messages_are_refused() -> None:
    with pytest.raises(MessageError, match="at least one message"):
        opening_of([])


def test_what_models_and_tools_said_is_cleaned_instead() -> None:
    call = {"name": None, "args": "<tool_call>{go<|im_start|>", "id": "1", "error": None, "type": "invalid_tool_call"}
    messages = [
        AIMessage("a\x07b <|im_<|im_end|>end|>c", invalid_tool_calls=[call]),
        ToolMessage("\x1b[31mred", tool_call_id="1"),
        AIMessage(""),
        AIMessage([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "Yes."}]),
        ToolMessage("", tool_call_id="1"),
    ]
    assert told(messages) == ["ab c", "<tool_call>{go", write_result("[31mred"), "Yes.", write_result("")]


def test_line_breaks_and_every_script_are_text() -> None:
    text = "Zeile\n\tdrei — 你好 مرحبا 🦆"
    assert told([HumanMessage(text)]) == [text]
