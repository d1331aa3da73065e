"""The spinner: a policy that goes around an object and makes footage of it."""

from __future__ import annotations

from collections import deque

import numpy as np

from bagel_world.actions import TURNS

STYLES = ("around", "back and forth", "random")
STYLE_SHARES = (0.4, 0.35, 0.25)

STAY = 2 * len(TURNS)
"""The id of "Stay" in `ROTATE_WORDS`."""

_STAY_CHANCE = 0.05
_TURN_BACK_CHANCE = 0.15


class Spinner:
    """A policy over the actions of `Turntable`.

    Going around keeps its direction and mostly its stride, so that whoever learns sees the whole object and the way it closes.
    Back and forth goes some steps one way and the same steps back: what was seen before must look the same again.

    Args:
        rng: where all its choices come from.
        style: one of `STYLES`; None draws one in the shares of `STYLE_SHARES`.
    """

    def __init__(self, rng: np.random.Generator, *, style: str | None = None) -> None:
        self.style = STYLES[int(rng.choice(len(STYLES), p=STYLE_SHARES))] if style is None else style
        self._rng = rng
        self._left = bool(rng.random() < 0.5)
        self._queue: deque[int] = deque()

    def act(self) -> int:
        """The next action id."""
        if self._rng.random() < _STAY_CHANCE:
            return STAY
        if not self._queue:
            self._queue.extend(self._decide())
        return self._queue.popleft()

    def _decide(self) -> list[int]:
        if self.style == "random":
            return [self._turn(self._draw_size(), left=bool(self._rng.random() < 0.5))]
        if self.style == "around":
            if self._rng.random() < _TURN_BACK_CHANCE:
                self._left = not self._left
            return [self._turn(self._draw_size(), left=self._left)] * int(self._rng.integers(2, 9))
        sizes = [self._draw_size() for _ in range(int(self._rng.integers(1, 5)))]
        self._left = bool(self._rng.random() < 0.5)
        return [self._turn(size, left=self._left) for size in sizes] + [
            self._turn(size, left=not self._left) for size in reversed(sizes)
        ]

    def _draw_size(self) -> int:
        return int(self._rng.integers(len(TURNS)))

    def _turn(self, size: int, *, left: bool) -> int:
        return size if left else size + len(TURNS)
