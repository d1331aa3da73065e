"""A language model that nobody here wrote, small enough to be wrong most of the time: plans and tools have to bear it."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, ToolMessage

from bagel_world import FakeWorld
from bagel_world.agents import Planner, WorldSession, make_world_tools
from bagel_world.agents.parsing import read_proposal
from bagel_world.agents.plan import Malformed
from bagel_world.agents.thinking import FromChat
from tests.agents.small_chat import SmallChat, missing

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing() or "it is here")]


def converse(names: set[str], wish: str) -> list[Any]:
    tools = [each for each in make_world_tools(WorldSession(FakeWorld(), seed=0)) if each.name in names]
    agent: Any = create_agent(SmallChat(), tools)
    return agent.invoke({"messages": [("human", wish)]}, {"recursion_limit": 12})["messages"]


def test_whatever_it_proposes_becomes_a_plan_and_what_cannot_be_read_is_kept() -> None:
    chat, world = SmallChat(), FakeWorld()
    planner = Planner(world, FromChat(model=chat, pictures=False, depth=2, repairs=1), "random")
    plan = planner.plan(world.starts[0].frames[0], "the yellow duck")
    assert plan.actions
    assert {action.text for action in plan.actions} <= set(world.action_words)
    unread = [text for text in chat.said if isinstance(read_proposal(text, world.action_words), Malformed)]
    assert [each.text for each in plan.malformed] == unread
    assert 1 <= len(chat.said) <= 2


def test_it_looks_through_a_tool_and_is_told_what_is_there() -> None:
    messages = converse({"observe"}, "What do you see? Call the tool observe.")
    asked, answer = messages[1], messages[2]
    assert isinstance(asked, AIMessage)
    assert [call["name"] for call in asked.tool_calls] == ["observe"]
    assert isinstance(answer, ToolMessage)
    assert answer.text
    assert isinstance(messages[-1], AIMessage)


def test_every_call_is_answered_and_tools_that_it_makes_up_are_refused_in_words() -> None:
    names = {"observe", "imagine", "commit"}
    messages = converse(names, "Look around: call the tool imagine with the action Look left.")
    called = {str(call["id"]): call["name"] for each in messages if isinstance(each, AIMessage) for call in each.tool_calls}
    answers = {each.tool_call_id: each for each in messages if isinstance(each, ToolMessage)}
    assert called
    assert set(answers) == set(called)
    for number, name in called.items():
        assert name in names or "not a valid tool" in answers[number].text
    assert isinstance(messages[-1], AIMessage)
