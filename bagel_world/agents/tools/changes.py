"""What changed between two views, in words that need no eyes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bagel_world.types import Frame

VISIBLE = 24
"""A pixel has changed when one of its channels differs by more than this, of 255."""

_PLACES = ("on the left", "in the middle", "on the right")
_NOTHING = 0.005
_EVEN = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How much of a picture changed, and where.

    Attributes:
        share: of all pixels, 0..1.
        thirds: the share within the left, middle and right third, 0..1 each.
    """

    share: float
    thirds: tuple[float, float, float]

    def __str__(self) -> str:
        """The change as a phrase."""
        if self.share < _NOTHING:
            return "nothing visible changes"
        amount = f"{100 * self.share:.0f} % of the picture changes"
        most, second, _ = sorted(self.thirds, reverse=True)
        if most < _EVEN * second:
            return amount
        return f"{amount}, most of it {_PLACES[self.thirds.index(most)]}"


def change_between(before: Frame, after: Frame) -> Change:
    """What changed between two views of one size.

    Args:
        before: uint8, shape (height, width, 3).
        after: the same shape.
    """
    changed = (np.abs(before.astype(np.int16) - after.astype(np.int16)) > VISIBLE).any(axis=-1)
    columns = np.array_split(changed, 3, axis=1)
    left, middle, right = (float(part.mean()) if part.size else 0.0 for part in columns)
    return Change(share=float(changed.mean()), thirds=(left, middle, right))
