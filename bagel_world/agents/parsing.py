"""From a model's text to a proposal. Whatever the text, the answer is a value: a `Proposal` or a `Malformed`; nothing is raised.

Read are one action or several, separated by commas, semicolons, arrows, "then" or new lines, numbered or not, or a JSON list of
texts; a thought in `<think>` marks may stand in front. "Stop" ends the list and says that the goal is reached there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from bagel_world.actions import MAX_TEXT_LENGTH
from bagel_world.agents.plan import Malformed, Proposal
from bagel_world.errors import nearest
from bagel_world.types import Action, Thought
from bagel_world.world.prompts import THINK_CLOSE, THINK_OPEN, split_thought

STOP = "Stop"
"""The word that ends a proposal: the goal is reached here."""

READ_CHARACTERS = 32_768
"""Characters of a text that are read; an endless one is cut there."""

KEPT_CHARACTERS = 4_096
"""Characters that a `Malformed` keeps."""

MAX_ACTIONS = 64
"""Longest proposal that is read, in actions."""

_SEPARATORS = re.compile(r"[\n\r;,]+|->|\u2192|=>|\bthen\b", re.IGNORECASE)
_NUMBERING = re.compile(r"^\s*(?:(?:step\s*)?\d+\s*[.):]|[-*\u2022])\s*", re.IGNORECASE)
_LINES = re.compile(r"[\n\r]+")
_FENCE = re.compile(r"\A```\w*\s*(.*?)\s*```\Z", re.DOTALL)
_QUOTES = " \t\"'`"
_WRAPPING = " \t\"'`*_.!()[]{}"


def read_proposal(text: object, words: Sequence[str], thought: Thought | None = None) -> Proposal | Malformed:
    """The proposal in a model's text.

    Args:
        text: what the model wrote, with or without a thought in front.
        words: the actions there are; empty lets any words be an action.
        thought: the thought, where it has been taken off the text already.
    """
    if not isinstance(text, str):
        return Malformed(text=repr(text)[:KEPT_CHARACTERS], reason=f"Expected text, got {type(text).__name__}.")
    found, answer = split_thought(text[:READ_CHARACTERS])
    if found:
        thought = Thought(text=found)
    ids = _ids_of(words)
    phrases = _phrases(answer, ids)
    if not phrases:
        closed = THINK_OPEN not in text or THINK_CLOSE in text
        reason = "Expected actions, got none." if closed else "The thought was never closed, and no actions followed."
        return _malformed(text or (thought.text if thought else ""), reason, words)
    stops = phrases[-1].lower() == STOP.lower()
    phrases = phrases[:-1] if stops else phrases
    if len(phrases) > MAX_ACTIONS:
        return _malformed(text, f"Expected at most {MAX_ACTIONS} actions, got {len(phrases)}.", words)
    actions = []
    for phrase in phrases:
        if words and phrase.lower() not in ids:
            if phrase.lower() == STOP.lower():
                return _malformed(text, f"{STOP} ends the list, got actions after it.", words)
            return _malformed(text, f"{phrase[:80]!r} is not an action. {nearest(phrase[:80], words)}", words)
        if len(phrase) > MAX_TEXT_LENGTH or not _is_unicode(phrase):
            return _malformed(text, f"Expected actions of at most {MAX_TEXT_LENGTH} readable characters.", words)
        place = ids.get(phrase.lower())
        actions.append(Action(text=phrase) if place is None else Action(text=words[place], id=place))
    return Proposal(actions=tuple(actions), thought=thought, stops=stops)


def _ids_of(words: Sequence[str]) -> dict[str, int]:
    """The place of every word, by how it is written, and where nothing else is written so, by what is left without its marks."""
    ids = {_spaced(word).lower(): place for place, word in enumerate(words)}
    for place, word in enumerate(words):
        ids.setdefault(_bare(word).lower(), place)
    return ids


def _phrases(answer: str, ids: Mapping[str, int]) -> list[str]:
    """The single actions of an answer: as they are written where that is an action, or else without numbering and marks."""
    fenced = _FENCE.match(answer.strip())
    answer = answer if fenced is None else fenced[1]
    parts = _json_list(answer)
    if parts is None:
        # A line that is an action is no list, whatever stands in it ("Go back, then left").
        lines = _LINES.split(answer)
        parts = [part for line in lines for part in ([line] if _known(line, ids) else _SEPARATORS.split(line))]
    return [phrase for phrase in (_known(part, ids) or _bare(part) for part in parts) if phrase]


def _known(part: str, ids: Mapping[str, int]) -> str:
    """The action that a part is as it is written, or without its numbering or quotes; "" where it is none."""
    spaced = _spaced(part)
    unnumbered = _NUMBERING.sub("", spaced)
    forms = (spaced, unnumbered, spaced.strip(_QUOTES), unnumbered.strip(_QUOTES))
    return next((form for form in forms if form.lower() in ids), "")


def _bare(part: str) -> str:
    return _spaced(_NUMBERING.sub("", part).strip(_WRAPPING))


def _spaced(part: str) -> str:
    return " ".join(part.split())


def _json_list(answer: str) -> list[str] | None:
    """The texts of a JSON list, or of the only list in a JSON object; None where the answer is neither."""
    if not answer.startswith(("[", "{")):
        return None
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict):
        lists = [each for each in value.values() if isinstance(each, list)]
        value = lists[0] if len(lists) == 1 else None
    return value if isinstance(value, list) and all(isinstance(each, str) for each in value) else None


def _malformed(text: str, reason: str, words: Sequence[str]) -> Malformed:
    known = f" Write actions separated by commas, out of: {', '.join(words)}; or {STOP}." if words else ""
    return Malformed(text=text[:KEPT_CHARACTERS], reason=reason + known)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
