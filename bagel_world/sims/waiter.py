"""The waiter: a policy that lets time go by, mostly one moment after the other."""

from __future__ import annotations

import numpy as np

from bagel_world.actions import WAITS

STYLES = ("steady", "mixed")
STYLE_SHARES = (0.5, 0.5)

_MIXED_SHARES = (0.6, 0.28, 0.12)


class Waiter:
    """A policy over the actions of `Drops`.

    Args:
        rng: where all its choices come from.
        style: "steady" (always the same wait, rather the short one) or "mixed"; None draws one in the shares of `STYLE_SHARES`.
    """

    def __init__(self, rng: np.random.Generator, *, style: str | None = None) -> None:
        self.style = STYLES[int(rng.choice(len(STYLES), p=STYLE_SHARES))] if style is None else style
        self._rng = rng
        self._steady = int(rng.choice(len(WAITS), p=(0.7, 0.2, 0.1)))

    def act(self) -> int:
        """The next action id."""
        return self._steady if self.style == "steady" else int(self._rng.choice(len(WAITS), p=_MIXED_SHARES))
