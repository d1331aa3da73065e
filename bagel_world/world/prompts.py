"""The thinking prompts: our wording of the published protocol, in which a thought stands between `<think>` and `</think>`.

A checkpoint may bring its own under the same names in `bagel_world.json` ("prompts"). The published weights were tuned with the
published strings, which are not ours to copy: with those weights they may do better.
"""

from __future__ import annotations

from collections.abc import Mapping

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


def prompt(name: str, own: Mapping[str, str]) -> str:
    """The thinking prompt for this purpose, the checkpoint's where it has one."""
    return own.get(name, PROMPTS[name])


def split_thought(text: str) -> tuple[str | None, str]:
    """(thought, what follows). Without marks there is no thought; a thought that was never closed is all thought."""
    before, opened, rest = text.partition(THINK_OPEN)
    if not opened:
        return None, text.strip()
    thought, _, answer = rest.partition(THINK_CLOSE)
    return thought.strip(), (before + answer).strip()
