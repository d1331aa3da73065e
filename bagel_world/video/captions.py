"""Where the text between two frames comes from: a sidecar file, a template, a function of yours, or a model that is asked."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Protocol, cast

from bagel_world.errors import BagelWorldError, ConfigError
from bagel_world.types import Frame
from bagel_world.video.sidecar import Word, words_between

QUESTION = "What changed from the first picture to the second? Answer with one short instruction."
"""What a model is asked about two frames."""

MAX_ANSWER_TOKENS = 30
"""Longest answer of a model, as in the paper."""

TEMPLATES = (
    "What happens next?",
    "Show what comes {seconds:.1f} seconds later",
    "Move on by {seconds:.1f} seconds",
    "Continue for {seconds:.1f} seconds",
    "The view {seconds:.1f} seconds later",
    "Go on",
)
"""Phrasings that say no more than that time passes."""

_FIELDS = frozenset({"seconds", "start", "end", "place", "film"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Two frames in a row that need a text in between.

    Attributes:
        before: uint8, shape (height, width, 3).
        after: the same shape.
        start: time of the first, in seconds after the film's first picture.
        end: time of the second.
        place: which change of its sample this is, from 0.
        film: name of the film.
        words: what the film's sidecar file says; empty where it has none.
    """

    before: Frame
    after: Frame
    start: float
    end: float
    place: int
    film: str
    words: Sequence[Word] = ()


class Captioner(Protocol):
    """A source of texts."""

    @property
    def needs_words(self) -> bool:
        """Whether every film must have a sidecar file."""
        ...

    def caption(self, change: Change) -> str:
        """The text between two frames; empty where there is none, and the sample ends there.

        Raises:
            CaptionError: this change cannot be captioned; it is counted and passed over.
        """
        ...


class CaptionError(BagelWorldError, ValueError):
    """A change that a caption source failed on."""


@dataclass(frozen=True, slots=True)
class SidecarCaptioner:
    """The action words of the sidecar file; "a, then b" where several fall between two frames."""

    needs_words: bool = True

    def caption(self, change: Change) -> str:
        """What is done between both frames."""
        return words_between(change.words, change.start, change.end)


class TemplateCaptioner:
    """Phrasings with `{seconds}`, `{start}`, `{end}`, `{place}` and `{film}`; one is drawn for every change.

    Args:
        templates: the phrasings.
        seed: decides which is drawn.

    Raises:
        ConfigError: a phrasing is blank or has other fields.
    """

    needs_words = False

    def __init__(self, templates: Sequence[str] = TEMPLATES, *, seed: int = 0) -> None:
        self._templates = tuple(templates)
        self._seed = seed
        for template in self._templates:
            try:
                fields = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
                blank = fields <= _FIELDS and not template.format(seconds=1.0, start=0.0, end=1.0, place=0, film="film").strip()
            except (ValueError, LookupError, AttributeError) as error:
                raise ConfigError(
                    f"Template {template!r} cannot be filled in: {error}. Write braces only around fields."
                ) from error
            if blank or not fields <= _FIELDS:
                raise ConfigError(f"Expected a template of words and the fields {sorted(_FIELDS)}, got {template!r}.")
        if not self._templates:
            raise ConfigError("Expected at least one template, got none.")

    def caption(self, change: Change) -> str:
        """One phrasing, filled in."""
        # Keyed by what is captioned, so that it does not matter what was captioned before.
        drawn = random.Random(f"{self._seed}/{change.film}/{change.start:.6f}").choice(self._templates)
        seconds = change.end - change.start
        return drawn.format(seconds=seconds, start=change.start, end=change.end, place=change.place, film=change.film)


class FunctionCaptioner:
    """A function of both frames (uint8, height x width x 3) that returns the text.

    Args:
        function: what is called. What it raises is counted and passed over, unless it is an error of this package.
    """

    needs_words = False

    def __init__(self, function: Callable[[Frame, Frame], str]) -> None:
        self._function = function

    @classmethod
    def named(cls, name: str) -> FunctionCaptioner:
        """The function that "package.module:name" names.

        Raises:
            ConfigError: there is no such module or function.
        """
        module, _, attribute = name.partition(":")
        try:
            function = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(
                f'Expected a function as "package.module:name", got {name!r} ({error}). '
                "Run in the folder that holds its module, or put that on PYTHONPATH."
            ) from error
        if not callable(function):
            raise ConfigError(f"Expected {name!r} to be a function of two frames, it is {type(function).__name__}.")
        return cls(cast(Callable[[Frame, Frame], str], function))

    def caption(self, change: Change) -> str:
        """What the function says."""
        try:
            text = self._function(change.before, change.after)
        except BagelWorldError:
            raise
        except Exception as error:  # anything may come out of a function that is not ours, and hours of work hang on it
            raise CaptionError(f"The caption function failed with {type(error).__name__}: {error}") from error
        if text is not None and not isinstance(text, str):
            raise CaptionError(f"Expected a text from the caption function, got {type(text).__name__}.")
        return text or ""
