"""What environments and agents may ask of a world: the protocols they are written against.

`BagelWorld` (a loaded model) and `FakeWorld` (numpy only) both follow them, so that environments, planners and their
tests never know which one they run on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from bagel_world.types import Episode, Frame, Thought
from bagel_world.world.writing import Piece


@runtime_checkable
class Context(Protocol):
    """What has been seen and said so far: a value. Every method returns a new context; none changes this one."""

    def observe(self, frame: Any) -> Self:
        """This context with one more frame (array, PIL image or path)."""
        ...

    def say(self, text: str | Thought) -> Self:
        """This context with one more text (an action, a question) or one more thought."""
        ...

    def fork(self) -> Self:
        """An independent continuation; O(1), the past is shared."""
        ...

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames that a prediction would be conditioned on, oldest first."""
        ...

    @property
    def tokens(self) -> int:
        """Number of tokens a prediction would be conditioned on."""
        ...

    @property
    def dropped_frames(self) -> int:
        """How many frames have left the context window since it began."""
        ...

    def get_state(self) -> dict[str, Any]:
        """JSON values and numpy arrays from which `World.restore` rebuilds this context."""
        ...


class World(Protocol):
    """A world that can be stepped into: contexts in, frames out."""

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) of the frames this world imagines by default."""
        ...

    @property
    def action_words(self) -> tuple[str, ...]:
        """The discrete actions of the task this world is used for; the id is the place in the tuple."""
        ...

    @property
    def provenance(self) -> dict[str, Any]:
        """JSON values that name the weights and settings: enough to imagine the same frames again.

        The key "weights" holds a text that differs where the weights differ; states refuse to move between them.
        """
        ...

    @property
    def starts(self) -> Sequence[Episode]:
        """Short held-out episodes of its task that walks may start from; empty where the checkpoint carries none."""
        ...

    def begin(self, prompt: str | None = None, *, think: bool = False) -> Context:
        """An empty context.

        Args:
            prompt: a text that opens it and never leaves it.
            think: open it with the thinking prompt of the world, in front of `prompt`; asked of worlds that speak only.
        """
        ...

    def observe(self, frame: Any) -> Context:
        """Short for `begin().observe(frame)`."""
        ...

    def imagine(self, contexts: Sequence[Context], *, seeds: Sequence[int]) -> list[Frame]:
        """The next frame of every context, all in one batch.

        Args:
            contexts: one per world or branch; each ends with what was done (`say`).
            seeds: one whole number per context. Frame i depends on context i and seed i alone.
        """
        ...

    def advance(self, contexts: Sequence[Context], *, seeds: Sequence[int]) -> list[Context]:
        """Every context with its next frame imagined, as `imagine` would, and seen."""
        ...

    def similarity(self, frames: Sequence[Frame], goals: Sequence[Frame]) -> list[float]:
        """How alike each frame and its goal are in the model's own visual features, in [-1, 1]; 1 for equal frames."""
        ...

    def explain(
        self, contexts: Sequence[Context], frames: Sequence[Frame], *, words: Sequence[str], seeds: Sequence[int]
    ) -> npt.NDArray[np.float64]:
        """Which of these words happened between each context and the frame that came next.

        Args:
            contexts: each ends with the frame before; what was done is not said yet.
            frames: the frame that followed, one per context.
            words: at least one; different.
            seeds: one whole number per context. Row i depends on context, frame and seed i alone, and on the words.

        Returns:
            Probabilities, shape (contexts, words); every row adds up to 1.
        """
        ...

    def restore(self, state: dict[str, Any]) -> Context:
        """The context whose `get_state` gave this value."""
        ...


class Thinker(Protocol):
    """A world that also speaks."""

    @property
    def can_write(self) -> bool:
        """Whether this checkpoint was taught to; where it was not, the methods below raise `CapabilityError`."""
        ...

    def ask(self, context: Context, question: str, *, think: bool = False, seed: int | None = None) -> str:
        """The answer to a question about a context; the context itself stays as it was."""
        ...

    def ask_many(
        self, contexts: Sequence[Context], questions: Sequence[str], *, think: bool = False, seeds: Sequence[int] | None = None
    ) -> Sequence[str]:
        """The answers to a question about each context, as `ask` gives them, all in one batch."""
        ...

    def think(self, contexts: Sequence[Context], *, seeds: Sequence[int]) -> list[Thought]:
        """A thought about what comes next, for every context."""
        ...

    def judge(self, contexts: Sequence[Context], goals: Sequence[str]) -> list[float]:
        """How likely each context has reached its goal in words, 0..1; the contexts themselves stay as they were."""
        ...


class Writer(Protocol):
    """A world that writes behind a context, piece by piece: what a chat model needs."""

    @property
    def can_write(self) -> bool:
        """Whether this checkpoint was taught to; where it was not, `write` raises `CapabilityError`."""
        ...

    def read(self, prompt: str | None = None, *, think: bool = False) -> Context:
        """An empty context to be written behind; the thinking prompt opens it where `think`, then `prompt`."""
        ...

    def write(
        self,
        contexts: Sequence[Context],
        *,
        seeds: Sequence[int],
        settings: Mapping[str, Any] | None = None,
        starts: Sequence[str] | None = None,
    ) -> Iterator[list[Piece]]:
        """Write behind contexts, which stay as they were; once per token a piece of every text.

        Args:
            contexts: one per text.
            seeds: one whole number per context. Text i depends on context i and seed i alone.
            settings: fields of `WritingConfig`.
            starts: words that a text has to begin with, one per context.
        """
        ...
