"""Searches: which of the proposed futures to imagine, and which to choose.

A search gets the `Imagination` of a plan and what was proposed. Best-of-N weighs the proposals as they are; the others take from
them the actions that may be done and how far to look, and put sequences together by themselves. None of them favors an action by
its place in a list: whatever is equal is decided by a draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from bagel_world.agents.imagination import Imagination
from bagel_world.agents.plan import Future, Proposal


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finding:
    """What a search came to.

    Attributes:
        candidates: the futures it weighed; at least one.
        choice: the place of the best among them.
    """

    candidates: tuple[Future, ...]
    choice: int


@runtime_checkable
class Search(Protocol):
    """A way to look through futures."""

    def search(self, tree: Imagination, proposals: Sequence[Proposal]) -> Finding:
        """Imagine, score and choose.

        Args:
            tree: imagines and scores, within the budget.
            proposals: at least one.
        """
        ...
