"""What a session of tools may spend, and the meter that counts it: an agent that runs in circles runs out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydantic import Field

from bagel_world.agents.setting import Setting
from bagel_world.errors import LimitError


class Limits(Setting):
    """What one session may spend. Nothing but a new session refills it; a reset of the walk does not."""

    calls: int = Field(default=1000, ge=1, description="Tool calls, failed ones included.")
    steps: int = Field(default=256, ge=1, description="Actions in the live world.")
    frames: int = Field(default=4096, ge=1, description="Frames that are imagined, those of live steps included.")
    seconds: float = Field(
        default=900.0,
        gt=0,
        allow_inf_nan=False,
        description="Time spent inside of tools; no call and no batch begins later.",
    )
    pixels: int = Field(
        default=16_000_000, ge=1, description="Largest picture that is opened, in pixels; checked before decoding."
    )
    futures: int = Field(default=16, ge=1, description="Futures that one call compares.")
    horizon: int = Field(default=16, ge=1, description="Actions of one future.")
    plan_frames: int = Field(default=512, ge=1, description="Frames that one plan imagines.")
    side: int = Field(default=256, ge=16, description="Longest side of the pictures handed out, in pixels; never enlarged.")
    undo: int = Field(default=64, ge=0, description="Steps that can be taken back.")


class Meter:
    """Counts what a session spends.

    Args:
        limits: what it may.
        clock: tells seconds; only differences count.

    Attributes:
        calls, steps, frames, seconds: spent so far.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.calls, self.steps, self.frames, self.seconds = 0, 0, 0, 0.0
        self._clock = clock
        self._began: float | None = None

    @contextmanager
    def call(self) -> Iterator[None]:
        """One tool call: admitted, then timed. A call within a call is part of it.

        Raises:
            LimitError: no calls or no seconds are left.
        """
        if self._began is not None:
            yield
            return
        if self.calls >= self.limits.calls:
            raise _spent("tool calls", self.limits.calls)
        if self.seconds >= self.limits.seconds:
            raise _spent("seconds", self.limits.seconds)
        self.calls += 1
        self._began = began = self._clock()
        try:
            yield
        finally:
            self.seconds += self._clock() - began
            self._began = None

    @property
    def frames_left(self) -> int:
        """Frames that may still be imagined."""
        return self.limits.frames - self.frames

    @property
    def seconds_left(self) -> float:
        """Seconds that this call may still take; at least a millisecond, as it was admitted."""
        running = 0.0 if self._began is None else self._clock() - self._began
        return max(self.limits.seconds - self.seconds - running, 1e-3)

    def check(self, *, steps: int = 0, frames: int = 0) -> None:
        """Whether this much is left; nothing is counted yet.

        Raises:
            LimitError: it is not.
        """
        if self.steps + steps > self.limits.steps:
            raise _spent("steps", self.limits.steps)
        if self.frames + frames > self.limits.frames:
            raise LimitError(
                f"This needs {frames} imagined frames, {self.frames_left} of {self.limits.frames} are left in this session. "
                "Ask for fewer or shorter futures, or finish with what you know."
            )

    def spend(self, *, steps: int = 0, frames: int = 0) -> None:
        """Count what was spent."""
        self.steps += steps
        self.frames += frames


def _spent(what: str, limit: float) -> LimitError:
    return LimitError(f"The {limit:g} {what} of this session are spent. Finish with what you know; only a new session has more.")
