"""Proposers: what could be done. Everything that is enumerated, drawn or handed in; those that think are in `thinking.py`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from pydantic import Field

from bagel_world.actions import action_from_id, action_from_text
from bagel_world.agents.imagination import Draw, Imagination
from bagel_world.agents.parsing import read_proposal
from bagel_world.agents.plan import Malformed, Proposal, Proposals
from bagel_world.agents.setting import Setting
from bagel_world.errors import ActionError, ConfigError
from bagel_world.types import Action
from bagel_world.world.scoring import refuse_class

MOST_SEQUENCES = 65_536
"""Most sequences that are enumerated."""


@runtime_checkable
class Proposer(Protocol):
    """Comes up with what could be done."""

    def propose(self, tree: Imagination) -> Proposals:
        """What could be done from here; the same for the same tree.

        Args:
            tree: the present (`root.context`), the goal, the actions there are, and seeds (`seed_for`, `generator`). A proposer
                that looks ahead imagines here too, so that a search finds its frames and pays nothing for them.
        """
        ...


class Exhaustive(Setting):
    """Every sequence of `depth` actions."""

    depth: int = Field(default=2, ge=1, description="Steps to look ahead.")

    def propose(self, tree: Imagination) -> Proposals:
        """All sequences.

        Raises:
            ConfigError: no fixed actions to enumerate, or more than `MOST_SEQUENCES` sequences of them.
        """
        actions = _fixed(tree)
        count = len(actions) ** self.depth
        if count > MOST_SEQUENCES:
            raise ConfigError(
                f"Expected at most {MOST_SEQUENCES} sequences, got {len(actions)} actions to the power of {self.depth}. "
                "Look less far ahead, or let a search do so: Exhaustive(depth=1) with Beam(depth=...) or MonteCarlo(depth=...)."
            )
        return Proposals(items=tuple(Proposal(actions=each) for each in itertools.product(actions, repeat=self.depth)))


class Random(Setting):
    """Sequences of actions drawn with equal chances."""

    count: int = Field(default=16, ge=1, description="Sequences to draw.")
    depth: int = Field(default=3, ge=1, description="Steps to look ahead.")

    def propose(self, tree: Imagination) -> Proposals:
        """Drawn sequences, some of them perhaps equal."""
        actions = _fixed(tree)
        places = tree.generator(Draw.PROPOSAL).integers(len(actions), size=(self.count, self.depth))
        return Proposals(items=tuple(Proposal(actions=tuple(actions[int(place)] for place in row)) for row in places))


@dataclass(frozen=True, slots=True)
class FromCallable:
    """A function of the user's.

    Attributes:
        function: gets the `Imagination` of the plan; returns sequences of actions (words, ids or `Action`), texts to be read as
            a model's text is, or `Proposal` values.
    """

    function: Callable[[Imagination], Iterable[Any]]

    def propose(self, tree: Imagination) -> Proposals:
        """What the function returns; texts that cannot be read are kept as malformed.

        Raises:
            ConfigError: it returned something else.
            ActionError: a sequence with an action that does not exist.
        """
        returned = self.function(tree)
        if isinstance(returned, str) or not isinstance(returned, Iterable):
            raise ConfigError(f"Expected a list of sequences of actions from the proposer, got {returned!r:.80}.")
        read = [_read(each, tree) for each in returned]
        return Proposals(
            items=tuple(each for each in read if isinstance(each, Proposal)),
            malformed=tuple(each for each in read if isinstance(each, Malformed)),
        )


@dataclass(frozen=True, slots=True)
class Together:
    """Everything that several proposers come up with; what two of them propose keeps the thought of the first.

    Attributes:
        proposers: in order.

    Raises:
        ConfigError: something that is no proposer, such as its name.
    """

    proposers: tuple[Proposer, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.proposers, Sequence) or not all(isinstance(each, Proposer) for each in self.proposers):
            raise ConfigError(f"Expected proposers, for example (Exhaustive(), Random()), got {self.proposers!r:.80}.")
        for each in self.proposers:
            refuse_class("proposer", each)

    def propose(self, tree: Imagination) -> Proposals:
        """All of their proposals."""
        all_of_them = [proposer.propose(tree) for proposer in self.proposers]
        return Proposals(
            items=tuple(item for each in all_of_them for item in each.items),
            malformed=tuple(item for each in all_of_them for item in each.malformed),
            model_calls=sum(each.model_calls for each in all_of_them),
        )


def _read(value: Any, tree: Imagination) -> Proposal | Malformed:
    if isinstance(value, Malformed):
        return value
    if isinstance(value, Proposal):
        return replace(value, actions=tuple(_action(each, tree.words) for each in value.actions))
    if isinstance(value, str):
        return read_proposal(value, tree.words)
    if not isinstance(value, Sequence):
        raise ConfigError(f"Expected a sequence of actions, a text or a Proposal from the proposer, got {value!r:.80}.")
    return Proposal(actions=tuple(_action(each, tree.words) for each in value))


def _action(value: Any, words: tuple[str, ...]) -> Action:
    if isinstance(value, Action | str):
        action = action_from_text(value.text if isinstance(value, Action) else value, words)
        if words and action.id is None:
            raise ActionError(f"Expected one of the actions {', '.join(map(repr, words))}, got {action.text!r}.")
        return action
    return action_from_id(value, words)


def _fixed(tree: Imagination) -> tuple[Action, ...]:
    if not tree.actions:
        raise ConfigError("There are no fixed actions to choose from. Pass Planner(..., words=[...]) or another proposer.")
    return tree.actions
