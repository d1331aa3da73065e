"""Agents that imagine before they act: planners over any Gymnasium environment, and the world as tools for other agents."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bagel_world.agents.aggregate import Aggregate
    from bagel_world.agents.chat.model import ChatBagel
    from bagel_world.agents.imagination import Budget, Imagination
    from bagel_world.agents.plan import Cost, Future, Malformed, Plan, Proposal, Proposals
    from bagel_world.agents.planner import Planner
    from bagel_world.agents.proposers import Exhaustive, FromCallable, Proposer, Random, Together
    from bagel_world.agents.report import EpisodeReport, Step
    from bagel_world.agents.search import Search
    from bagel_world.agents.search.beam import Beam
    from bagel_world.agents.search.best_of import BestOf
    from bagel_world.agents.search.cem import CrossEntropy
    from bagel_world.agents.search.mcts import MonteCarlo
    from bagel_world.agents.thinking import ChainOfThought, FromChat
    from bagel_world.agents.tools.langchain_tools import make_world_tools
    from bagel_world.agents.tools.limits import Limits
    from bagel_world.agents.tools.reply import Reply
    from bagel_world.agents.tools.session import WorldSession
    from bagel_world.agents.tools.world_tools import call_tool, openai_tools
    from bagel_world.agents.trust import TrustRule

__all__ = [
    "Aggregate",
    "Beam",
    "BestOf",
    "Budget",
    "ChainOfThought",
    "ChatBagel",
    "Cost",
    "CrossEntropy",
    "EpisodeReport",
    "Exhaustive",
    "FromCallable",
    "FromChat",
    "Future",
    "Imagination",
    "Limits",
    "Malformed",
    "MonteCarlo",
    "Plan",
    "Planner",
    "Proposal",
    "Proposals",
    "Proposer",
    "Random",
    "Reply",
    "Search",
    "Step",
    "Together",
    "TrustRule",
    "WorldSession",
    "call_tool",
    "make_world_tools",
    "openai_tools",
]

# A name loads when it is first used: tools do not pay for planners, and planners not for LangChain.
_HOMES = {
    "Aggregate": "bagel_world.agents.aggregate",
    "Beam": "bagel_world.agents.search.beam",
    "BestOf": "bagel_world.agents.search.best_of",
    "Budget": "bagel_world.agents.imagination",
    "ChainOfThought": "bagel_world.agents.thinking",
    "ChatBagel": "bagel_world.agents.chat.model",
    "Cost": "bagel_world.agents.plan",
    "CrossEntropy": "bagel_world.agents.search.cem",
    "EpisodeReport": "bagel_world.agents.report",
    "Exhaustive": "bagel_world.agents.proposers",
    "FromCallable": "bagel_world.agents.proposers",
    "FromChat": "bagel_world.agents.thinking",
    "Future": "bagel_world.agents.plan",
    "Imagination": "bagel_world.agents.imagination",
    "Malformed": "bagel_world.agents.plan",
    "MonteCarlo": "bagel_world.agents.search.mcts",
    "Plan": "bagel_world.agents.plan",
    "Planner": "bagel_world.agents.planner",
    "Proposal": "bagel_world.agents.plan",
    "Proposals": "bagel_world.agents.plan",
    "Proposer": "bagel_world.agents.proposers",
    "Random": "bagel_world.agents.proposers",
    "Search": "bagel_world.agents.search",
    "Step": "bagel_world.agents.report",
    "Together": "bagel_world.agents.proposers",
    "TrustRule": "bagel_world.agents.trust",
    "openai_tools": "bagel_world.agents.tools.world_tools",
    "make_world_tools": "bagel_world.agents.tools.langchain_tools",
    "call_tool": "bagel_world.agents.tools.world_tools",
    "WorldSession": "bagel_world.agents.tools.session",
    "Reply": "bagel_world.agents.tools.reply",
    "Limits": "bagel_world.agents.tools.limits",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
