"""The thinking prompts: our wording of the published protocol, in which a thought stands between `<think>` and `</think>`.

A checkpoint may bring its own under the same names in `bagel_world.json` ("prompts"). The published weights were tuned with the
published strings, which are not ours to copy: with those weights they may do better.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Purpose = Literal["answer", "imagine"]
"""What is thought about: words, or a frame."""

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"

PROMPTS = {
    "answer": (
        "Before you answer, reason about what you see, step by step, in your mind.\n"
        "Write the reasoning as <think> reasoning here </think> and the answer behind it."
    ),
    "imagine": (
        "Before you produce an image, plan in your mind what it has to show.\n"
        "Write the plan as <think> plan here </think> and produce the image behind it."
    ),
}
"""By purpose: before words, before a frame."""


def open_prompt(purpose: Purpose, own: Mapping[str, str], said: str = "") -> str:
    """The text that opens a context in which is thought: the thinking prompt for this purpose, then what opened it before.

    Args:
        purpose: what is thought about.
        own: thinking prompts of the checkpoint, which go before those of the package.
        said: what opened the context; a thinking prompt in front of it is replaced.
    """
    prompts = {**PROMPTS, **own}
    for name in PROMPTS:
        said = said.removeprefix(prompts[name])
    return "\n\n".join(each for each in (prompts[purpose], said.strip()) if each)


def split_thought(text: str) -> tuple[str | None, str]:
    """(thought, what follows). Without marks there is no thought; a thought that was never closed is all thought."""
    before, opened, rest = text.partition(THINK_OPEN)
    if not opened:
        return None, text.strip()
    thought, _, answer = rest.partition(THINK_CLOSE)
    return thought.strip(), (before + answer).strip()
