"""Names for parts: what `Planner` makes of a name, a chat model or a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from bagel_world.agents.imagination import Imagination
from bagel_world.agents.proposers import Exhaustive, FromCallable, Proposer, Random
from bagel_world.agents.search import Search
from bagel_world.agents.search.beam import Beam
from bagel_world.agents.search.best_of import BestOf
from bagel_world.agents.search.cem import CrossEntropy
from bagel_world.agents.search.mcts import MonteCarlo
from bagel_world.agents.thinking import ChainOfThought, FromChat
from bagel_world.errors import ConfigError, UnknownNameError, nearest
from bagel_world.world.scoring import refuse_class

SEARCHES: dict[str, Callable[..., Search]] = {"best-of": BestOf, "beam": Beam, "mcts": MonteCarlo, "cem": CrossEntropy}
PROPOSERS: dict[str, Callable[..., Proposer]] = {"exhaustive": Exhaustive, "random": Random, "thought": ChainOfThought}


def look_ahead(search: str, depth: int) -> tuple[Search, Exhaustive]:
    """A search of this name that looks so many steps ahead, and what has to be proposed to it.

    Best-of weighs whole sequences; the others put sequences together by themselves and only need to know the actions.

    Raises:
        UnknownNameError: no search of this name.
    """
    if search == "best-of":
        return BestOf(), Exhaustive(depth=depth)
    return _named("search", search, SEARCHES, depth=depth), Exhaustive(depth=1)


def make_search(search: str | Search) -> Search:
    """The search of this name with its defaults, or the search itself.

    Raises:
        UnknownNameError: no search of this name.
        ConfigError: neither a name nor a search, or a class in place of one.
    """
    if isinstance(search, str):
        return _named("search", search, SEARCHES)
    refuse_class("search", search)
    if isinstance(search, Search):
        return search
    raise ConfigError(f"Expected a search or its name ({', '.join(SEARCHES)}), got {search!r:.80}.")


def make_proposer(proposer: Any) -> Proposer:
    """The proposer of this name with its defaults, the proposer itself, or one around a chat model or a function.

    Raises:
        UnknownNameError: no proposer of this name.
        ConfigError: none of these.
    """
    if isinstance(proposer, str):
        return _named("proposer", proposer, PROPOSERS)
    refuse_class("proposer", proposer)
    if isinstance(proposer, Proposer):
        return proposer
    if callable(getattr(proposer, "invoke", None)):
        return FromChat(model=proposer)
    if callable(proposer):
        return FromCallable(cast(Callable[[Imagination], Iterable[Any]], proposer))
    raise ConfigError(
        f"Expected a proposer or its name ({', '.join(PROPOSERS)}), a chat model with invoke(messages), or a function, "
        f"got {proposer!r:.80}."
    )


def _named(kind: str, name: str, table: dict[str, Callable[..., Any]], **settings: Any) -> Any:
    if name not in table:
        raise UnknownNameError(f"There is no {kind} named {name!r}. {nearest(name, table)}")
    return table[name](**settings)
