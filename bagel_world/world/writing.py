"""Text while it is written: which part of it is certain, and the pieces that add up to it.

A token may end inside a letter, a mark or a stop word. What could still turn into one of them is held back, so that no piece
ever has to be taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from bagel_world.model.tokenizer import BEGIN, END
from bagel_world.types import Thought
from bagel_world.world.config import WritingConfig
from bagel_world.world.prompts import THINK_CLOSE, THINK_OPEN

Ending = Literal["stop", "length"]
"""Why a text ended: the model closed it or wrote a stop word; or it reached `max_tokens`."""

_HALF_A_LETTER = "\ufffd"  # what a decoder makes of the first bytes of a letter


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one more token made certain of a text. The pieces of a text, joined, are the text.

    Attributes:
        words: more of the answer.
        thought: more of the thought before it, without its marks.
        tokens: how many tokens were written for it: 1, or 0 where the text had ended before. The end mark counts.
        ending: why the text ends here; None where it goes on or had ended before.
    """

    words: str = ""
    thought: str = ""
    tokens: int = 0
    ending: Ending | None = None


class Answer(str):
    """The words of an answer.

    Attributes:
        thought: what was thought before, if anything.
        tokens: how many tokens were written, thought and end mark included.
        ending: why the text ended.
    """

    thought: Thought | None = None
    tokens: int = 0
    ending: Ending | None = None


class Settled(NamedTuple):
    """The certain part of a text: its thought (None where none was begun), its words, and whether a stop word ended it."""

    thought: str | None
    words: str
    stopped: bool


def settle(text: str, stop: Sequence[str] = (), *, final: bool = True) -> Settled:
    """The part of a text that stays as it is, whatever comes behind.

    Args:
        text: all that was written so far.
        stop: words that end the answer where they first appear in it; they are left out. Thoughts may hold them.
        final: nothing comes behind.

    Returns:
        Thought and words, stripped; for `final` the whole of them, as `split_thought` has them where there is no stop word.
    """
    before, opened, rest = text.partition(THINK_OPEN)
    thought, closed, behind = rest.partition(THINK_CLOSE)
    words = before + behind
    places = [place for place in map(words.find, stop) if place >= 0]
    if places:
        words = words[: min(places)]
    elif not final:
        words = _certain_words(before, behind, stop, opened=bool(opened))
    if not (final or places or closed):
        thought = certain(thought, [BEGIN, END, THINK_CLOSE])
    return Settled(thought.strip() if opened else None, words.strip(), bool(places))


def certain(text: str, marks: Sequence[str]) -> str:
    """The text without a tail that may become a letter or one of the marks."""
    return _without_tail(text.rstrip(_HALF_A_LETTER), marks)


def _certain_words(before: str, behind: str, stop: Sequence[str], *, opened: bool) -> str:
    """The certain part of the words before and behind a thought that is opened, or may yet be."""
    marks = [*stop, BEGIN, END]
    if opened:
        return _without_tail(before + behind.rstrip(_HALF_A_LETTER), marks)  # no letter goes on behind a thought
    whole = certain(before, marks)
    # Behind a thought the words go on where they were: a stop word may begin before a mark that is itself not whole yet.
    return min(whole, _without_tail(certain(before, [THINK_OPEN]), marks), key=len)


def _without_tail(text: str, marks: Sequence[str]) -> str:
    held = max((size for mark in marks for size in range(1, len(mark)) if text.endswith(mark[:size])), default=0)
    return text[: len(text) - held]


class Draft:
    """A text that grows token by token.

    Attributes:
        settings: its longest length and the stop words.
        text: all that was written, as it was written.
        words: the certain part of the answer.
        thought: the certain part of the thought; None where none was begun.
        tokens: how many tokens were written.
        ending: why the text ended; None while it grows.
    """

    def __init__(self, settings: WritingConfig) -> None:
        self.settings = settings
        self.text = ""
        self.words = ""
        self.thought: str | None = None
        self.tokens = 0
        self.ending: Ending | None = None

    def grow(self, text: str, *, closed: bool = False) -> Piece:
        """One more token was written, and the whole text now reads so; `closed` where it was the end mark."""
        if self.ending is not None:
            return Piece()
        self.text = text
        self.tokens += 1
        long = self.tokens >= self.settings.max_tokens
        settled = settle(text, self.settings.stop, final=closed or long)
        if closed or settled.stopped:
            self.ending = "stop"
        elif long:
            self.ending = "length"
        words, thought = settled.words[len(self.words) :], (settled.thought or "")[len(self.thought or "") :]
        self.words, self.thought = settled.words, settled.thought
        return Piece(words=words, thought=thought, tokens=1, ending=self.ending)

    @property
    def answer(self) -> Answer:
        """What was written, as an answer."""
        answer = Answer(self.words)
        answer.thought = None if self.thought is None else Thought(text=self.thought)
        answer.tokens, answer.ending = self.tokens, self.ending
        return answer
