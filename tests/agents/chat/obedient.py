"""A stand-in for a model that writes well: it does what it is told, so that what stands around it can be tested."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bagel_world import FakeWorld
from bagel_world.agents.chat.tools import CALL_CLOSE, RESULT_OPEN, write_call
from bagel_world.world.config import WritingConfig, read_setting
from bagel_world.world.fake import FakeContext
from bagel_world.world.writing import Draft, Piece


class Scripted(FakeWorld):
    """Plays texts back, a few characters per token, whatever it is asked.

    Args:
        texts: one per call, from the first on; the last one again and again.
        size: characters per token.

    Attributes:
        heard: the contexts that it wrote behind.
        fed: how many tokens it wrote; a stream that nobody reads writes none.
    """

    def __init__(self, *texts: str, size: int = 3) -> None:
        super().__init__()
        self._texts = list(texts)
        self._size = size
        self.heard: list[FakeContext] = []
        self.fed = 0

    def text(self, context: FakeContext, start: str) -> str:
        """What is written behind a context, its prescribed beginning included."""
        reply = self._texts[0] if len(self._texts) == 1 else self._texts.pop(0)
        return reply if reply.startswith(start) else start + reply

    def write(
        self,
        contexts: Sequence[Any],
        *,
        seeds: Sequence[int],
        settings: Mapping[str, Any] | None = None,
        starts: Sequence[str] | None = None,
    ) -> Iterator[list[Piece]]:
        """Play the texts."""
        self.model_calls += 1
        drafts = [Draft(read_setting(WritingConfig, {"max_tokens": 1000}, settings or {})) for _ in contexts]
        self.heard += contexts
        texts = [self.text(context, start) for context, start in zip(contexts, starts or [""] * len(contexts), strict=True)]
        return self._played(drafts, texts)

    def _played(self, drafts: Sequence[Draft], texts: Sequence[str]) -> Iterator[list[Piece]]:
        end = 0
        while not all(draft.ending for draft in drafts):
            end += self._size
            self.fed += 1
            yield [
                draft.grow(text[:end], closed=end >= len(text) + self._size) for draft, text in zip(drafts, texts, strict=True)
            ]


class Obedient(Scripted):
    """Calls the tool it is told to, with arguments of the right types taken from the question; otherwise it says hello."""

    def __init__(self) -> None:
        super().__init__("Hello to you.")

    def text(self, context: FakeContext, start: str) -> str:
        """A call where tools were described and no result came yet; words otherwise."""
        said = [item for item in context.items if isinstance(item, str)]
        tools = _tools_in(context.prompt or "")
        if not tools or (not start and said[-1].startswith(RESULT_OPEN)):
            return "Hello to you."
        named = re.search(r'"name": "(\w+)"', start)
        tool = next(tool for tool in tools if named is None or tool["name"] == named[1])
        call = write_call(tool["name"], _arguments(tool["parameters"], said[-1]))
        assert call.startswith(start), (call, start)
        assert call.endswith(CALL_CLOSE)
        return call


def _tools_in(prompt: str) -> list[dict[str, Any]]:
    """The tools that a prompt describes."""
    lines = [line for line in prompt.splitlines() if line.startswith("{") and '"parameters"' in line]
    return [json.loads(line) for line in lines]


def _arguments(schema: dict[str, Any], question: str) -> dict[str, Any]:
    """One value per required argument: the number in the question, what it quotes, or itself."""
    number, quoted = re.search(r"\d+", question), re.search(r"'(.+?)'", question)
    values = {"integer": int(number[0]) if number else 1, "string": quoted[1] if quoted else question}
    return {name: values[schema["properties"][name]["type"]] for name in schema.get("required", [])}
