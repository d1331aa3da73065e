"""The tools in the hands of LangChain's own tests, and of an agent built by `create_agent`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain.agents import create_agent
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests
from langgraph.checkpoint.memory import InMemorySaver
from PIL import Image
from pydantic import BaseModel

from bagel_world import BagelWorld
from bagel_world.agents import WorldSession, make_world_tools, openai_tools
from bagel_world.envs import WorldEnv, state_to_bytes
from bagel_world.images import to_frame
from bagel_world.world.fake import FakeWorld
from bagel_world.world.weights import shipped
from tests.agents.tools.scripted_chat import Move, ScriptedChat, last_words

EXAMPLES: dict[str, dict[str, Any]] = {
    "observe": {},
    "imagine": {"actions": ["Look left", "Move forward"]},
    "compare": {"futures": [["Look left"], ["Look right", "Look right"]]},
    "rotate": {"direction": "left"},
    "future": {"moments": 2},
    "ask": {"question": "What is to be seen?", "think": True},
    "plan": {"depth": 1},
    "commit": {"action": "Look left"},
    "undo": {},
    "reset": {"seed": 3},
}


class OfTool:
    """A tool for LangChain's standard tests. None of them is left out."""

    name: str

    @property
    def tool_constructor(self) -> BaseTool:
        world = FakeWorld()
        session = WorldSession(world, goal=world.starts[1].frames[-1])
        session.commit("Move forward")  # so that there is something to undo
        (tool,) = make_world_tools(session, names=[self.name])
        return tool

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return EXAMPLES[self.name]


# Each class is the standard one with a tool's name, twice per tool: these lines only spare writing them out.
for _name in EXAMPLES:
    for _kind in (ToolsUnitTests, ToolsIntegrationTests):
        _title = f"Test{_name.capitalize()}{_kind.__name__.removeprefix('Tools').removesuffix('Tests')}"
        globals()[_title] = type(_title, (OfTool, _kind), {"name": _name})


def test_the_standard_tests_meet_every_tool() -> None:
    assert list(EXAMPLES) == [each["function"]["name"] for each in openai_tools()]


# --- messages


def invoke(session: WorldSession, name: str, arguments: dict[str, Any], **settings: Any) -> ToolMessage:
    (tool,) = make_world_tools(session, names=[name], **settings)
    message = tool.invoke({"type": "tool_call", "id": "1", "name": name, "args": arguments})
    assert isinstance(message, ToolMessage)
    return message


def test_text_is_for_the_model_and_frames_are_artifacts() -> None:
    session = WorldSession(FakeWorld())
    message = invoke(session, "commit", {"action": "Look left"})
    assert isinstance(message.content, str)
    (picture,) = message.artifact["pictures"]
    np.testing.assert_array_equal(picture["frame"], session.place.frame)
    assert message.artifact["facts"]["step"] == 1
    picture["frame"][:] = 0  # the caller's own
    assert session.place.frame.any()


def test_a_renamed_tool_keeps_its_schema() -> None:
    (commit,) = make_world_tools(WorldSession(FakeWorld()), names=["commit"])
    commit.name = "house_commit"
    told = convert_to_openai_tool(commit)["function"]
    assert told["name"] == "house_commit"
    assert set(told["parameters"]["properties"]) == {"action"}


def test_a_plain_text_is_the_first_argument() -> None:
    session = WorldSession(FakeWorld())
    (commit,) = make_world_tools(session, names=["commit"])
    assert "Done: Move forward" in commit.invoke("Move forward")
    assert session.place.step == 1


def test_models_that_see_can_be_shown_the_frames() -> None:
    message = invoke(WorldSession(FakeWorld()), "imagine", {"actions": ["Look left", "Stay"]}, show=True)
    kinds = [block["type"] for block in message.content_blocks]
    assert kinds == ["text", "image", "image"]
    assert message.content_blocks[1]["mime_type"] == "image/png"  # pyright: ignore[reportTypedDictNotRequiredAccess]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"action": "Sing", "x": 1}, "no argument 'x'"), ({}, "'action' is missing"), ({"action": "  "}, "empty text")],
)
def test_what_a_model_can_mend_comes_back_as_words(arguments: dict[str, Any], words: str) -> None:
    message = invoke(WorldSession(FakeWorld()), "commit", arguments)
    assert message.status == "error"
    assert words in str(message.content)


class Inner(BaseModel):
    value: int


@pytest.mark.parametrize(
    "bug",
    [
        lambda: to_frame(np.full((3, 2, 2), np.nan)),
        lambda: {}["missing"],
        lambda: Inner.model_validate({"value": "x"}),
        lambda: 1 / 0,
    ],
)
def test_our_own_bugs_propagate(bug: Callable[[], Any]) -> None:
    class Broken(FakeWorld):
        def advance(self, contexts: Any, *, seeds: Any) -> Any:
            return bug()

    with pytest.raises((KeyError, RuntimeError, ArithmeticError)):
        invoke(WorldSession(Broken()), "imagine", {"actions": ["Stay"]})


# --- a whole task


def by_plan(messages: Sequence[BaseMessage]) -> Move:
    """Looks around once, then plans and does what was planned; mends its own mistake on the way."""
    if isinstance(messages[-1], HumanMessage):
        return "observe", {}
    last = messages[-1]
    assert isinstance(last, ToolMessage)
    if last.name == "observe":
        return "commit", {"action": "Lok left"} if len(messages) < 4 else "Look left"
    if last.name == "plan":
        planned = re.search(r"Commit next: (.+)\.", last_words(messages))
        return ("commit", {"action": planned[1]}) if planned else "I am there."
    return "plan", {"depth": 3}


def by_comparison(messages: Sequence[BaseMessage]) -> Move:
    """Compares single turns, takes the best one, and stops where nothing is better."""
    futures = [["Look left"], ["Look right"]]
    if isinstance(messages[-1], HumanMessage) or messages[-1].name == "commit":
        return "compare", {"futures": futures}
    best = re.search(r"Future (\d) comes nearest", last_words(messages))
    return ("commit", {"action": futures[int(best[1]) - 1][0]}) if best else "I am there."


def goal_of(world: Any, words: Sequence[str], seed: int = 0) -> np.ndarray:
    session = WorldSession(world, seed=seed)
    return [session.commit(word).frame for word in words][-1]


def run(script: Callable[[Sequence[BaseMessage]], Move], session: WorldSession) -> tuple[list[BaseMessage], ScriptedChat]:
    model = ScriptedChat(script=script)
    agent = create_agent(model, make_world_tools(session), checkpointer=InMemorySaver())
    settings: Any = {"configurable": {"thread_id": "1"}, "recursion_limit": 60}
    result = agent.invoke({"messages": [HumanMessage("Walk to where the goal picture was taken.")]}, settings)
    return result["messages"], model


def test_an_agent_walks_to_a_goal_picture_by_planning() -> None:
    world = FakeWorld(noise=0)
    goal = goal_of(world, ["Look left", "Look left", "Move forward"])
    session = WorldSession(world, goal=goal)
    messages, model = run(by_plan, session)
    assert messages[-1].content == "I am there."
    assert model.given == openai_tools()
    assert world.similarity([session.place.frame], [goal])[0] >= 0.95
    told = [each for each in messages if isinstance(each, ToolMessage)]
    assert "not taught 'Lok left'" in str(told[1].content)


def test_an_agent_walks_in_a_live_environment_that_only_commit_moves() -> None:
    world = FakeWorld(noise=0)
    env = WorldEnv(world)
    goal = WorldSession(world, WorldEnv(world)).commit("Look right").frame
    session = WorldSession(world, env, goal=goal)
    moved = []
    env.step = lambda action, step=env.step: (moved.append(int(action)), step(action))[1]  # pyright: ignore[reportAttributeAccessIssue]
    before = state_to_bytes(env.get_state())
    messages, _ = run(by_comparison, session)
    np.testing.assert_array_equal(session.place.frame, goal)
    commits = [each for each in messages if isinstance(each, ToolMessage) and each.name == "commit"]
    assert len(moved) == len(commits) == session.place.step > 0
    for _ in commits:
        session.undo()
    assert state_to_bytes(env.get_state()) == before


@pytest.mark.skipif("nano" not in shipped(), reason="the checkpoint nano is not in the package")
def test_an_agent_walks_in_the_learned_world() -> None:
    world: Any = BagelWorld.from_pretrained("nano", device="cpu")
    goal = goal_of(world, ["Look left"], seed=1)
    session = WorldSession(world, goal=goal, seed=1)
    messages, _ = run(by_comparison, session)
    # What is imagined first is what comes, so one turn to the left shows the goal to the bit; the agent then stays.
    np.testing.assert_array_equal(session.place.frame, goal)
    assert messages[-1].content == "I am there."
    assert session.place.step == 1


def test_an_agent_in_a_loop_meets_the_limits() -> None:
    session = WorldSession(FakeWorld(), limits={"calls": 5})
    script: Callable[..., Move] = lambda messages: "enough" if "are spent" in str(messages[-1].content) else ("observe", {})  # noqa: E731
    messages, _ = run(script, session)
    told = [each for each in messages if isinstance(each, ToolMessage)]
    assert [each.status for each in told] == ["success"] * 5 + ["error"]
    assert messages[-1].content == "enough"


def test_nonsense_runs_out_too() -> None:
    session = WorldSession(FakeWorld(), limits={"calls": 2})
    told = [str(invoke(session, "commit", {"acton": "Stay"}).content) for _ in range(3)]
    assert ["Did you mean 'action'" in each for each in told] == [True, True, False]
    assert "2 tool calls of this session are spent" in told[2]


def test_artifacts_are_no_larger_than_pictures_may_be(tmp_path: Path) -> None:
    Image.new("RGB", (600, 300), (200, 30, 20)).save(tmp_path / "large.png")
    session = WorldSession(FakeWorld(), folders=[tmp_path], limits={"side": 32})
    (picture,) = invoke(session, "observe", {"image": str(tmp_path / "large.png")}).artifact["pictures"]
    assert picture["frame"].shape == (16, 32, 3)


def test_an_agent_that_talks_nonsense_is_told_so_and_moves_nothing() -> None:
    nonsense: list[Move] = [
        ("fly", {"to": "the moon"}),
        ("commit", {"action": ["Look", "left"]}),
        ("commit", {"acton": "Look left"}),
        ("observe", {"image": "../../key.png"}),
        ("undo", {"steps": -3}),
        "I give up.",
    ]
    session = WorldSession(FakeWorld())
    before = session.place
    messages, _ = run(lambda messages: nonsense[len(messages) // 2], session)
    told = [each for each in messages if isinstance(each, ToolMessage)]
    assert [each.status for each in told] == ["error"] * 5
    assert "Did you mean 'action'" in str(told[2].content)
    assert session.place is before


def test_importing_the_room_costs_no_langchain(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys, bagel_world.agents.tools.session, bagel_world.agents.tools.world_tools, bagel_world.serve, bagel_world.cli\n"
        "print(*sorted({'langchain_core', 'langchain', 'langgraph', 'mcp', 'torch', 'starlette'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3]
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
