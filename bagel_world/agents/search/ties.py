"""Ties: equal values are ranked by a draw, never by place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from bagel_world.agents.plan import Proposal
from bagel_world.types import Action

T = TypeVar("T")

_DIGITS = 9  # values that differ by less were computed in other batches, not in other futures


def ranked(values: Sequence[float], generator: np.random.Generator) -> list[int]:
    """The places of the values from the highest to the lowest, equal ones in drawn order."""
    drawn = generator.random(len(values))
    return sorted(range(len(values)), key=lambda place: (-round(values[place], _DIGITS), drawn[place]))


def best(values: Sequence[float], generator: np.random.Generator) -> int:
    """The place of the highest value; of several, one is drawn."""
    return ranked(values, generator)[0]


def shuffled(items: Sequence[T], generator: np.random.Generator) -> list[T]:
    """The items in drawn order."""
    return [items[int(place)] for place in generator.permutation(len(items))]


def alphabet(proposals: Sequence[Proposal]) -> tuple[Action, ...]:
    """Every action that was proposed, once."""
    return tuple({action.text: action for proposal in proposals for action in proposal.actions}.values())


def longest(proposals: Sequence[Proposal]) -> int:
    """The number of actions of the longest proposal."""
    return max(len(proposal.actions) for proposal in proposals)
