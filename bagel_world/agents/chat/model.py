"""ChatBagel: a world's understanding expert as a LangChain chat model; on request its generation expert answers with a picture.

Text and pictures in, text out, token by token; with `modalities=["image"]` the next frame that the world imagines behind the
conversation. One checkpoint can so be both the agent and its world.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.load.serializable import SerializedConstructor, SerializedNotImplemented
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import get_config_list, run_in_executor
from langchain_core.runnables.utils import gather_with_concurrency
from langchain_core.tools import BaseTool
from pydantic import BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError

from bagel_world.agents.chat.answer import ChatOptions, Exchange, Modality, answer_together
from bagel_world.agents.chat.tools import read_call, read_choice, read_tools
from bagel_world.agents.imagination import checked_world
from bagel_world.agents.setting import in_words
from bagel_world.errors import BagelWorldError, CapabilityError

TOGETHER = 32
"""Conversations of one batch, where nobody says how many; each has a cache of its own."""

_OWN = ("temperature", "max_tokens", "max_input_tokens", "seed", "stop", "think", "modalities")
_NOT_FOR_THE_MODEL = {"stop", "ls_structured_output_format", "structured_output_format"}  # LangChain takes them out of a call
_OF_LANGCHAIN = {"callbacks", "cache", "custom_get_token_ids", "metadata", "name", "tags", "verbose"}


_LOADING = threading.Lock()
"""One checkpoint is loaded at a time."""


class ChatBagel(BaseChatModel):
    """A world's understanding expert as a chat model.

    What is given to a single call (`invoke(..., max_tokens=9)`, `bind(think=True)`) goes over what is given here. A thought comes
    as `additional_kwargs["reasoning_content"]`, and so as a reasoning block among the `content_blocks`. Pictures are standard
    image blocks.

    Raises:
        UnknownSettingError: a field that does not exist.
        ConfigError: a value that does not fit.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", validate_by_name=True)

    checkpoint: Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, Path) else value)] = Field(
        default="nano-worlds", description="what to load when it is first needed: a shipped name, a folder, or a hub id."
    )
    device: str = Field(default="auto", description="where to run it: 'auto', 'cpu', 'cuda', ...")
    dtype: str = Field(default="auto", description="'auto', 'float32' or 'bfloat16'.")
    sampling: str | dict[str, Any] | None = Field(default=None, description="how pictures are painted, as for BagelWorld.")
    context: dict[str, Any] | None = Field(default=None, description="how pictures are shown and kept, as for BagelWorld.")
    world: Any = Field(
        default=None, exclude=True, repr=False, description="a world that is loaded already, instead of the above."
    )
    temperature: float | None = Field(
        default=None, ge=0, description="0 takes the likeliest token; above, tokens are drawn; None: the world's own."
    )
    max_tokens: int | None = Field(
        default=None, ge=1, description="longest answer, thought and calls included; None: the world's."
    )
    max_input_tokens: int = Field(default=32_768, ge=1, description="longest conversation, in tokens.")
    seed: int = Field(default=0, ge=-(2**63), lt=2**63, description="decides what is drawn above temperature 0, and pictures.")
    stop: tuple[str, ...] = Field(
        default=(), alias="stop_sequences", description="words that end an answer where they first appear; left out of it."
    )
    think: bool = Field(default=False, description="reason before the answer or the picture; not where a call is forced.")
    modalities: tuple[Modality, ...] = Field(
        default=("text",), min_length=1, description="what to answer with: 'text', 'image' (the next frame), or both, text first."
    )
    streaming: bool = Field(default=False, description="stream inside `invoke` too, for callbacks that want tokens.")

    _loaded: Any = PrivateAttr(default=None)
    _ready: list[ChatGenerationChunk] | None = PrivateAttr(default=None)
    _identity: str = PrivateAttr(default_factory=lambda: uuid.uuid4().hex)

    def __init__(self, **values: Any) -> None:
        world = values.get("world")
        if world is not None and not callable(getattr(world, "read", None)):  # what only writes is welcome too
            checked_world(world)
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise in_words(type(self), error) from error

    # --- what LangChain asks a model about itself

    @property
    def _llm_type(self) -> str:
        return "bagel-world"

    @property
    def model_name(self) -> str:
        """The checkpoint's name, or the kind of the world where one was passed in."""
        folder = getattr(getattr(self.world, "checkpoint", None), "folder", None)
        if self.world is None or folder is not None:
            return Path(folder or self.checkpoint).name
        return type(self.world).__name__

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, **self.model_dump(mode="json", exclude=_OF_LANGCHAIN)}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Settings can be written down and read again; weights are named by their checkpoint."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Where `langchain_core.load` finds this class."""
        return ["bagel_world", "agents", "chat", "model"]

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """What LangChain's caches know this model by; a world that was passed in is nobody else's."""
        told = super()._get_llm_string(stop, **kwargs)
        own = () if self.world is None else (sorted(self._identifying_params.items()), id(self.world), self._identity)
        return told + "".join(f"---{each}" for each in own)

    def __getstate__(self) -> dict[Any, Any]:
        """The settings; what was loaded is loaded again where they arrive."""
        state = super().__getstate__()
        return {**state, "__pydantic_private__": {**state["__pydantic_private__"], "_loaded": None, "_ready": None}}

    def to_json(self) -> SerializedConstructor | SerializedNotImplemented:
        """The settings; "not implemented" where a world was passed in, which no text can name."""
        return super().to_json() if self.world is None else self.to_json_not_implemented()

    # --- what it is asked

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: Any = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """This model with tools it may call; they are described in words, and calls are read from its text.

        Args:
            tools: anything LangChain can make a schema of.
            tool_choice: "auto"; "any" makes it call one, a name that one: the answer is made to begin like a call. "none" hides
                the tools.
            strict: accepted and without effect: nothing but the prompt holds arguments to their schema.
            **kwargs: bound as they are.
        """
        schemas = read_tools(tools)
        read_choice(tool_choice, schemas)
        return self.bind(tools=schemas, tool_choice=tool_choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return _with_complaints(generate_from_stream(self._stream(messages, stop, run_manager, **kwargs)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        # Token by token even here: a task that is cancelled then stops the writing at the next token.
        pieces: AsyncIterator[ChatGenerationChunk] = self._astream(messages, stop, run_manager, **kwargs)
        return _with_complaints(await agenerate_from_stream(pieces))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        if self._ready is not None:
            yield from self._ready
            return
        exchange = Exchange(self._world(), messages, self._options(stop, kwargs))
        yield from exchange.chunks()
        yield exchange.closing(self.model_name)

    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """The answers to several conversations, written in batches: one costs about as much as its longest answer.

        A batch has as many conversations as `max_concurrency` of the config says, or else `TOGETHER`.
        """
        settings = get_config_list(config, len(inputs))
        models = self._ready_for(inputs, kwargs, settings)
        answers: list[Any] = []
        for model, each, one in zip(models, inputs, settings, strict=True):
            try:
                answers.append(model.invoke(each, one, **kwargs))
            except Exception as error:
                if not return_exceptions:
                    raise
                answers.append(error)
        return answers

    async def abatch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """As `batch`, in a thread; answers that cannot be written in batches come at most `max_concurrency` at a time, or one."""
        settings = get_config_list(config, len(inputs))
        models = await run_in_executor(None, self._ready_for, inputs, kwargs, settings)

        async def answer(model: Self, each: LanguageModelInput, one: RunnableConfig) -> Any:
            try:
                return await model.ainvoke(each, one, **kwargs)
            except Exception as error:
                if not return_exceptions:
                    raise
                return error

        at_once = (settings[0].get("max_concurrency") if settings else None) or 1
        return await gather_with_concurrency(at_once, *map(answer, models, inputs, settings))

    def _ready_for(
        self, inputs: Sequence[LanguageModelInput], asked: Mapping[str, Any], settings: Sequence[RunnableConfig]
    ) -> list[Self]:
        """A copy of this model per input that has its answer ready; itself where the answer has to be made, or the error."""
        exchanges: dict[int, Exchange] = {}
        try:
            options = self._options(asked.get("stop"), {name: asked[name] for name in asked if name not in _NOT_FOR_THE_MODEL})
        except Exception:  # LangChain's own errors among them; every answer tells its own when it is asked for
            return [self] * len(inputs)
        if len(inputs) > 1 and options.modalities == ("text",):
            for place, each in enumerate(inputs):
                with contextlib.suppress(Exception):  # told when this answer is asked for
                    exchange = Exchange(self._world(), self._convert_input(each).to_messages(), options)
                    if exchange.reading.tokens:
                        exchanges[place] = exchange
        models = [self] * len(inputs)
        with contextlib.suppress(BagelWorldError):
            waiting = list(exchanges.items())
            size = (settings[0].get("max_concurrency") if settings else None) or TOGETHER
            for together in (waiting[start : start + size] for start in range(0, len(waiting), size)):
                written = answer_together(self._world(), [exchange for _, exchange in together])
                for (place, exchange), chunks in zip(together, written, strict=True):
                    models[place] = self.model_copy()
                    models[place]._ready = [*chunks, exchange.closing(self.model_name)]
        return models

    def get_token_ids(self, text: str) -> list[int]:
        """What the world's tokenizer makes of a text.

        Raises:
            CapabilityError: the world has none.
        """
        if self.custom_get_token_ids is not None:
            return self.custom_get_token_ids(text)
        tokenizer = getattr(getattr(self._world(), "checkpoint", None), "tokenizer", None)
        if tokenizer is None:  # LangChain would fetch one from the network
            raise CapabilityError("This world has no tokenizer. Count with get_num_tokens, or pass custom_get_token_ids=.")
        return list(tokenizer.encode(text))

    def get_num_tokens(self, text: str) -> int:
        """Tokens that a text takes in a conversation, its marks included; none where it is empty."""
        return self.get_num_tokens_from_messages([HumanMessage(text)]) if text.strip() else 0

    def get_num_tokens_from_messages(
        self,
        messages: Sequence[BaseMessage],
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool] | None = None,
        **kwargs: Any,
    ) -> int:
        """Tokens of a conversation: the `input_tokens` of an answer to it, or what they would be if it were not too long."""
        return Exchange(self._world(), messages, self._options(None, {**kwargs, "tools": tools or ()})).tokens

    def _options(self, stop: Sequence[str] | None, asked: Mapping[str, Any]) -> ChatOptions:
        """What this call asks for, over what this model was made with."""
        given = {name: value for name, value in asked.items() if value is not None}
        if "tools" in given:
            given["tools"] = tuple(read_tools(given["tools"]))
        stops = {} if stop is None else {"stop": (stop,) if isinstance(stop, str) else tuple(stop)}
        return ChatOptions(**{**{name: getattr(self, name) for name in _OWN}, **given, **stops})

    def _world(self) -> Any:
        """The world; loaded when it is first needed, once."""
        if self.world is not None:
            return self.world
        with _LOADING:
            if self._loaded is None:
                from bagel_world.world.simulator import BagelWorld

                settings = {"device": self.device, "dtype": self.dtype, "sampling": self.sampling, "context": self.context}
                self._loaded = BagelWorld.from_pretrained(self.checkpoint, **settings)
            return self._loaded


def _with_complaints(result: ChatResult) -> ChatResult:
    """The result whose malformed tool calls say what is wrong with them."""
    for generation in result.generations:
        message = generation.message
        for call in message.invalid_tool_calls if isinstance(message, AIMessage) else ():
            call["error"] = read_call(call["args"] or "").complaint
    return result
