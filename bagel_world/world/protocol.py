"""What environments and agents may ask of a world: the protocols they are written against.

`BagelWorld` (a loaded model) and `FakeWorld` (numpy only) both follow them, so that environments, planners and their
tests never know which one they run on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self, runtime_checkable

from bagel_world.types import Episode, Frame, Thought


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
        """The discrete actions this world was taught; the id is the place in the tuple."""
        ...

    @property
    def provenance(self) -> dict[str, Any]:
        """JSON values that name the weights and settings: enough to imagine the same frames again.

        The key "weights" holds a text that differs where the weights differ; states refuse to move between them.
        """
        ...

    @property
    def starts(self) -> Sequence[Episode]:
        """Short held-out episodes that walks may start from; empty where the checkpoint carries none."""
        ...

    def begin(self, prompt: str | None = None) -> Context:
        """An empty context; `prompt` is a text that opens it and never leaves it."""
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

    def restore(self, state: dict[str, Any]) -> Context:
        """The context whose `get_state` gave this value."""
        ...


class Thinker(Protocol):
    """A world that also speaks."""

    def ask(self, context: Context, question: str, *, think: bool = False, seed: int | None = None) -> str:
        """The answer to a question about a context; the context itself stays as it was."""
        ...

    def think(self, contexts: Sequence[Context], *, seeds: Sequence[int]) -> list[Thought]:
        """A thought about what comes next, for every context."""
        ...
