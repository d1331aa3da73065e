"""One definition per tool: what it says, what it takes, and what it answers to nonsense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.utils.function_calling import convert_to_openai_tool
from mcp import types
from PIL import Image

from bagel_world.agents import WorldSession, call_tool, make_world_tools, openai_tools
from bagel_world.agents.tools.reply import Picture
from bagel_world.agents.tools.tool import FIXABLE, ToolInputError
from bagel_world.agents.tools.world_tools import TOOLS, find_tool
from bagel_world.serve.mcp_server import mcp_tool
from bagel_world.world.fake import FakeWorld

NAMES = ["observe", "imagine", "compare", "rotate", "future", "ask", "plan", "commit", "undo", "reset"]


@pytest.fixture
def session(tmp_path: Path) -> WorldSession:
    Image.new("RGB", (300, 300), (200, 30, 20)).save(tmp_path / "red.png")
    return WorldSession(FakeWorld(noise=0), goal=FakeWorld(noise=0).starts[0].frames[-1], folders=[tmp_path])


# --- three exports of one definition


def test_these_are_the_tools() -> None:
    assert [tool.tool_name for tool in TOOLS] == NAMES
    assert [tool.tool_name for tool in TOOLS if tool.changes] == ["observe", "commit", "undo", "reset"]


@pytest.mark.parametrize("name", NAMES)
def test_all_exports_say_the_same(session: WorldSession, name: str) -> None:
    ours = find_tool(name).openai_schema()
    (langchain,) = make_world_tools(session, names=[name])
    mcp = mcp_tool(find_tool(name))
    assert convert_to_openai_tool(langchain) == ours
    assert {"name": mcp.name, "description": mcp.description, "parameters": mcp.inputSchema} == ours["function"]
    assert types.Tool.model_validate_json(mcp.model_dump_json()).inputSchema == ours["function"]["parameters"]


def test_a_schema_to_the_letter() -> None:
    assert find_tool("commit").openai_schema() == {
        "type": "function",
        "function": {
            "name": "commit",
            "description": "Do one action in the live world and see what really comes of it. This moves the live world.",
            "parameters": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"action": {"type": "string", "description": "One action in words, for example 'Move forward'."}},
                "required": ["action"],
            },
        },
    }


def test_every_argument_explains_itself() -> None:
    for schema in openai_tools():
        function = schema["function"]
        assert function["description"].endswith(".")
        for name, argument in function["parameters"]["properties"].items():
            assert argument["description"].endswith("."), (function["name"], name)


# --- what they answer


def test_the_model_is_told_in_words_what_the_pictures_show(session: WorldSession) -> None:
    reply = call_tool(session, "compare", {"futures": [["Look left"], ["look right"], ["Stay"]]})
    assert [picture.label for picture in reply.pictures] == ["1. Look left", "2. Look right", "3. Stay"]
    scores, best = reply.facts["scores"], reply.facts["best"]
    assert scores[best - 1] == max(scores)
    assert scores[2] == pytest.approx(reply.facts["now"])
    for label, score in zip(("1. Look left", "2. Look right", "3. Stay"), scores, strict=True):
        assert f"{label}: {score:.4f}" in reply.text
    assert f"Future {best} comes nearest." in reply.text or "nearer than standing still" in reply.text


def test_arguments_may_come_as_json(session: WorldSession) -> None:
    assert call_tool(session, "imagine", '{"actions": ["Look left"]}').facts["actions"] == ["Look left"]
    assert call_tool(session, "observe", "").facts["step"] == 0
    assert call_tool(session, "observe", None).facts["step"] == 0


def test_words_a_world_was_never_taught_are_named(session: WorldSession) -> None:
    assert "was not taught 'Fly'" in call_tool(session, "imagine", {"actions": ["Fly", "Look left"]}).text
    assert "not taught" not in call_tool(session, "imagine", {"actions": ["Look left"]}).text
    turned = WorldSession(FakeWorld(task="rotate"))
    assert "not taught" not in call_tool(turned, "rotate", {"direction": "left", "degrees": 45}).text
    assert "not taught" in call_tool(turned, "rotate", {"direction": "left", "degrees": 44}).text


def test_rotate_and_future_speak_the_taught_words(session: WorldSession) -> None:
    turn = call_tool(session, "rotate", {"direction": "right", "degrees": 15})
    wait = call_tool(session, "future", {"moments": 4})
    assert turn.facts["actions"] == ["Rotate the camera to the right by 15 degrees"]
    assert wait.facts["actions"] == ["Wait four moments"]


def test_a_picture_is_looked_at_or_begun_with(session: WorldSession) -> None:
    before = session.place
    looked = call_tool(session, "observe", {"image": "red.png"})
    assert session.place is before
    assert looked.pictures[0].frame.shape == (300, 300, 3)
    begun = call_tool(session, "observe", {"image": "red.png", "begin": True})
    np.testing.assert_array_equal(session.place.frame, np.full((64, 64, 3), (200, 30, 20)))
    np.testing.assert_array_equal(begun.pictures[0].frame, session.place.frame)


def test_a_goal_picture_is_read_from_the_folder(session: WorldSession) -> None:
    call_tool(session, "observe", {"image": "red.png", "begin": True})
    reply = call_tool(session, "compare", {"futures": [["Stay"]], "goal_image": "red.png"})
    assert reply.facts["scores"] == [reply.facts["now"]]


def test_pictures_are_small() -> None:
    wide = Picture(label="", frame=np.zeros((100, 400, 3), np.uint8))
    assert wide.within(64).frame.shape == (16, 64, 3)
    assert decoded(wide.within(64).base64).size == (64, 16)
    small = Picture(label="", frame=np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    assert small.within(64) is small
    np.testing.assert_array_equal(np.asarray(decoded(small.base64)), small.frame)


def decoded(data: str) -> Image.Image:
    import base64
    import io

    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_endless_and_empty_answers_are_made_bearable() -> None:
    class Talker(FakeWorld):
        words = ""

        def ask(self, context: Any, question: str, *, think: bool = False, seed: int | None = None) -> str:
            return self.words

    world = Talker()
    assert "other words" in call_tool(WorldSession(world), "ask", {"question": "What?"}).text
    world.words = "and " * 100_000
    assert len(call_tool(WorldSession(world), "ask", {"question": "What?"}).text) == 8_000


# --- nonsense

NONSENSE: list[tuple[str, Any, str]] = [
    ("obsverve", {}, "Did you mean 'observe'"),
    ("", {}, "There is no tool"),
    ("imagine", {}, "'actions' is missing"),
    ("imagine", {"actions": []}, "at least 1 item"),
    ("imagine", {"actions": "Look left"}, "valid list"),
    ("imagine", {"actions": [1, None]}, "valid string"),
    ("imagine", {"actions": [""]}, "empty text"),
    ("imagine", {"actions": ["\ud800"]}, "UTF-8|valid string"),
    ("imagine", {"actions": ["x" * 600]}, "at most 512 characters"),
    ("imagine", {"actions": ["Stay"] * 1000}, "at most 16 actions"),
    ("imagine", {"actions": ["Stay"], "draws": 2}, "Did you mean 'draw'"),
    ("imagine", {"actions": ["Stay"], "draw": -1}, "greater than or equal to 0"),
    ("imagine", "[1, 2]", "JSON object"),
    ("imagine", "{not json", "JSON object"),
    ("imagine", "[" * 100_000, "JSON object"),
    ("imagine", ["Stay"], "JSON object"),
    ("compare", {"futures": [[]]}, "needs at least one action"),
    ("compare", {"futures": [["Stay"]] * 100}, "at most 16 futures"),
    ("compare", {"futures": [["Stay"]], "goal_image": "http://a.example/x.png"}, "Addresses are not fetched"),
    ("compare", {"futures": [["Stay"]], "goal_image": "../x.png"}, "no picture"),
    ("compare", {"futures": [["Stay"]], "goal_text": "  "}, "a goal in words"),
    ("observe", {"image": "/etc/passwd"}, "no picture"),
    ("observe", {"begin": True}, "begin=true needs image"),
    ("rotate", {"direction": "up"}, "'left' or 'right'"),
    ("rotate", {"direction": "left", "degrees": 720}, "less than or equal to 180"),
    ("rotate", {"direction": "left", "degrees": "many"}, "valid integer"),
    ("future", {"moments": 3}, "1, 2 or 4"),
    ("ask", {"question": "   "}, "Expected a question"),
    ("ask", {"question": "x" * 10_000}, "at most 512 characters"),
    ("plan", {"depth": 99}, "less than or equal to 4"),
    ("plan", {"search": "guess"}, "best-of"),
    ("commit", {"action": ""}, "empty text"),
    ("commit", {"action": None}, "valid string"),
    ("undo", {"steps": 10**9}, "0 steps can be taken back"),
    ("reset", {"seed": 2**40}, "less than"),
]


@pytest.mark.parametrize(("name", "arguments", "words"), NONSENSE, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(NONSENSE)])
def test_nonsense_gets_words_and_changes_nothing(session: WorldSession, name: str, arguments: Any, words: str) -> None:
    before = session.place
    with pytest.raises(FIXABLE, match=words) as caught:
        call_tool(session, name, arguments)
    assert len(str(caught.value)) < 1500
    assert session.place is before
    assert session.meter.frames == 0


def test_a_goal_in_another_language_is_a_goal(session: WorldSession) -> None:
    reply = call_tool(session, "compare", {"futures": [["Stay"]], "goal_text": "стоять перед красной дверью"})
    assert len(reply.facts["scores"]) == 1


def test_our_own_bugs_are_not_words() -> None:
    class Broken(FakeWorld):
        def advance(self, contexts: Any, *, seeds: Any) -> Any:
            raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        call_tool(WorldSession(Broken()), "imagine", {"actions": ["Stay"]})


def test_unreadable_calls_say_all_that_is_wrong(session: WorldSession) -> None:
    with pytest.raises(ToolInputError) as caught:
        call_tool(session, "rotate", {"degrees": 0, "speed": 3})
    assert "'direction' is missing: Where the camera goes." in str(caught.value)
    assert "no argument 'speed'" in str(caught.value)
    assert "degrees does not fit" in str(caught.value)


def test_one_name_needs_no_list_and_what_is_no_name_is_told() -> None:
    session = WorldSession(FakeWorld())
    assert [tool.name for tool in make_world_tools(session, names="imagine")] == ["imagine"]
    names: Any
    for names in (5, [None]):
        with pytest.raises(ToolInputError):
            make_world_tools(session, names=names)
    with pytest.raises(ToolInputError, match="There is no tool None"):
        call_tool(session, None, {})  # type: ignore[arg-type]
