"""One answer of a chat model: the conversation becomes a context, the world writes behind it or imagines what comes next."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk
from pydantic import Field

from bagel_world.agents.chat.messages import count_tokens, opening_of, picture_block, tell
from bagel_world.agents.chat.tools import describe_tools, read_call, read_choice, split_calls, start_of_call
from bagel_world.agents.setting import Setting
from bagel_world.errors import ConfigError, MessageError
from bagel_world.world.protocol import Context
from bagel_world.world.writing import Piece

Modality = Literal["text", "image"]


class ChatOptions(Setting):
    """What one call asks for."""

    temperature: float | None = Field(default=None, ge=0, description="0 takes the likeliest token; None: the world's own.")
    max_tokens: int | None = Field(default=None, ge=1, description="longest answer, in tokens; None: the world's own.")
    max_input_tokens: int = Field(default=32_768, ge=1, description="longest conversation, in tokens.")
    seed: int = Field(
        default=0, ge=-(2**63), lt=2**63, description="decides what is drawn at a temperature above 0, and pictures."
    )
    stop: tuple[str, ...] = Field(default=(), description="words that end an answer where they first appear in it.")
    think: bool = Field(default=False, description="reason before the answer or the picture.")
    modalities: tuple[Modality, ...] = Field(default=("text",), min_length=1, description="what to answer with.")
    tools: tuple[Mapping[str, Any], ...] = Field(default=(), description="schemas, as `bind_tools` makes them.")
    tool_choice: Any = Field(default=None, description="'auto', 'any', 'none' or the name of a tool.")
    stream: bool = Field(default=True, description="LangChain's own.")

    @property
    def writing(self) -> dict[str, Any]:
        """Fields of `WritingConfig`."""
        settings = {"temperature": self.temperature, "max_tokens": self.max_tokens, "stop": tuple(filter(None, self.stop))}
        return {name: value for name, value in settings.items() if value not in (None, ())}


class Exchange:
    """A conversation and the answer to it.

    Args:
        world: a `Writer`; for pictures a `World` too.
        messages: the conversation.
        options: what is asked for.

    Attributes:
        options: what is asked for.
        read: tokens that were read for the answer: the length of every context that it was made behind.
        written: tokens that were written: of the text all, end mark included; of a picture those it takes in a context.
        ending: why the answer ended: "stop", "length" or "tool_calls".
    """

    def __init__(self, world: Any, messages: Sequence[BaseMessage], options: ChatOptions) -> None:
        self._world = world
        self.options = options
        self._messages = messages
        self._choice = read_choice(options.tool_choice, options.tools)
        self._tools = () if self._choice == "none" else options.tools
        if self._tools and "text" not in options.modalities:
            raise ConfigError(
                "Tools are called in text, but modalities=['image'] asks for a picture alone. Leave out one of them."
            )
        self.read = self.written = 0
        self.ending = "stop"
        self._words = self._shown = ""
        self._called = 0

    def chunks(self) -> Iterator[ChatGenerationChunk]:
        """The answer, token by token; the chunk that closes it is not among them."""
        if "text" in self.options.modalities:
            for (chunk,) in _written(self._world, [self]):
                if chunk is not None:
                    yield chunk
        if "image" in self.options.modalities:
            yield self._picture(self._shown)

    def closing(self, model_name: str) -> ChatGenerationChunk:
        """The last chunk: what the answer cost and why it ended."""
        usage = UsageMetadata(input_tokens=self.read, output_tokens=self.written, total_tokens=self.read + self.written)
        about = {"model_name": model_name, "finish_reason": self.ending}
        return _chunk(content="", usage_metadata=usage, response_metadata=about, chunk_position="last")

    @property
    def tokens(self) -> int:
        """Length of the conversation as a text is written behind it; of one that is too long for an answer too.

        Raises:
            MessageError: a message that cannot be read.
        """
        empty, rest, _ = self._opened()
        return empty.tokens + count_tokens(self._world.read(None), rest, len(self._messages) - len(rest))

    @cached_property
    def reading(self) -> Context:
        """What a text is written behind.

        Raises:
            MessageError: a message that cannot be read, or a conversation that is too long.
        """
        return self._told(*self._opened())

    def _opened(self) -> tuple[Context, Sequence[BaseMessage], str]:
        """A context that was told how to answer, what comes behind that, and the words it was told."""
        duties = describe_tools(self._tools, self._choice) if self._tools else ""
        system, rest = opening_of(self._messages)
        opening = "\n\n".join(filter(None, (system, duties)))
        return self._world.read(opening or None, think=self.options.think and not self.start), rest, opening

    @property
    def start(self) -> str:
        """The words that a text has to begin with; "" where it is free."""
        return start_of_call(self._tools, self._choice) if self._tools else ""

    def _told(self, empty: Context, messages: Sequence[BaseMessage], opening: str) -> Context:
        context = tell(empty, messages, len(self._messages) - len(messages))
        limit = self.options.max_input_tokens
        if not (opening or context.tokens):
            raise MessageError("Expected a conversation with something in it, got empty messages alone. Say what you want.")
        if context.tokens > limit:
            raise MessageError(
                f"Expected a conversation of at most {limit} tokens, got {context.tokens}. "
                "Leave out earlier messages or pictures, or raise max_input_tokens."
            )
        if context.dropped_frames:
            raise MessageError(
                "The conversation shows more pictures than a context of this world keeps at a time. "
                "Leave out earlier ones, or give it room with context={'max_frames': ..., 'keep_frames': ...}."
            )
        return context

    def take(self, piece: Piece) -> ChatGenerationChunk:
        """What one more piece of text adds to the answer; calls come whole."""
        over = piece.ending is not None
        self.written += piece.tokens
        self._words += piece.words
        words, calls = split_calls(self._words, final=over) if self._tools else (self._words, [])
        new_words, new_calls = words[len(self._shown) :], calls[self._called :]
        self._shown, self._called = words, len(calls)
        if piece.ending is not None:
            self.ending = "tool_calls" if calls and piece.ending == "stop" else piece.ending
        return _chunk(
            content=new_words,
            additional_kwargs={"reasoning_content": piece.thought} if piece.thought else {},
            tool_call_chunks=[_call_chunk(call) for call in new_calls],
        )

    def _picture(self, words: str) -> ChatGenerationChunk:
        system, rest = opening_of(self._messages)
        world, seeds = self._world, [self.options.seed]
        context = self._told(world.begin(system or None), rest, system)
        self.read += context.tokens
        thought = ""
        if words:
            context = context.say(words)
        elif self.options.think:
            (thinking,) = world.think([context], seeds=seeds)
            thought, before = thinking.text, context.tokens
            context = context.say(thinking)
            self.written += context.tokens - before
        (frame,) = world.imagine([context], seeds=seeds)
        self.written += world.begin().observe(frame).tokens
        return _chunk(
            content=[picture_block(frame)],
            additional_kwargs={"reasoning_content": thought} if thought else {},
        )


def answer_together(world: Any, exchanges: Sequence[Exchange]) -> list[list[ChatGenerationChunk]]:
    """The chunks of several answers in words, written in one batch: what `Exchange.chunks` gives for each alone."""
    chunks: list[list[ChatGenerationChunk]] = [[] for _ in exchanges]
    for step in _written(world, exchanges):
        for each, chunk in zip(chunks, step, strict=True):
            each += [] if chunk is None else [chunk]
    return chunks


def _written(world: Any, exchanges: Sequence[Exchange]) -> Iterator[list[ChatGenerationChunk | None]]:
    """Once per token a chunk of every answer, None where it is over; settings are those of the first."""
    contexts = [exchange.reading for exchange in exchanges]
    options = exchanges[0].options
    for exchange, context in zip(exchanges, contexts, strict=True):
        exchange.read += context.tokens
    steps = world.write(
        contexts,
        seeds=[exchange.options.seed for exchange in exchanges],
        settings=options.writing,
        starts=[exchange.start for exchange in exchanges],
    )
    for pieces in steps:
        yield [exchange.take(each) if each.tokens else None for exchange, each in zip(exchanges, pieces, strict=True)]


def _call_chunk(text: str) -> Any:
    """A call, or what was meant as one; LangChain files what is no JSON under the invalid ones."""
    call = read_call(text)
    return tool_call_chunk(name=call.name, args=call.text if call.complaint else call.json, id=f"call_{uuid.uuid4().hex}")


def _chunk(**fields: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(**fields))
