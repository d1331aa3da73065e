"""The server in the hands of the official client: in memory, over the standard streams of a process, and over HTTP."""

from __future__ import annotations

import base64
import io
import json
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import McpError
from mcp.shared.memory import create_connected_server_and_client_session
from PIL import Image

from bagel_world.agents import WorldSession, openai_tools
from bagel_world.serve.mcp_server import make_server
from bagel_world.serve.transports import http_app
from bagel_world.world.fake import FakeWorld

ROOT = Path(__file__).parents[2]

NAMES = [each["function"]["name"] for each in openai_tools()]


def words(result: types.CallToolResult) -> str:
    first = result.content[0]
    assert isinstance(first, types.TextContent)
    return first.text


def frames(result: types.CallToolResult) -> list[np.ndarray]:
    images = [each for each in result.content if isinstance(each, types.ImageContent)]
    assert all(each.mimeType == "image/png" for each in images)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(each.data)))) for each in images]


def facts(result: types.CallToolResult) -> dict[str, Any]:
    assert result.structuredContent is not None
    return result.structuredContent


async def walk_to_the_goal(client: ClientSession) -> int:
    """A whole task, by words alone: look, plan, commit what was planned, until nothing is left to do."""
    assert not (await client.call_tool("observe", {})).isError
    for step in range(8):
        plan = facts(await client.call_tool("plan", {"depth": 2}))
        if not plan["actions"]:
            return step
        assert not (await client.call_tool("commit", {"action": plan["actions"][0]})).isError
    raise AssertionError("the goal was not reached")


# --- in memory


@pytest.fixture
def make_session(tmp_path: Path) -> Callable[[], WorldSession]:
    Image.new("RGB", (8, 8), (200, 30, 20)).save(tmp_path / "red.png")
    world = FakeWorld(noise=0)
    target = WorldSession(world)
    for _ in range(2):
        target.commit("Look left")
    return lambda: WorldSession(world, goal=target.place.frame, folders=[tmp_path], limits={"steps": 20})


async def test_every_tool_is_listed_as_it_is_defined(make_session: Callable[[], WorldSession]) -> None:
    async with create_connected_server_and_client_session(make_server(make_session)) as client:
        listed = (await client.list_tools()).tools
    functions = [{"name": each.name, "description": each.description, "parameters": each.inputSchema} for each in listed]
    assert functions == [each["function"] for each in openai_tools()]
    moving = [each.name for each in listed if each.annotations is not None and not each.annotations.readOnlyHint]
    assert moving == ["observe", "commit", "undo", "reset"]


async def test_a_client_walks_to_the_goal(make_session: Callable[[], WorldSession]) -> None:
    session = make_session()
    async with create_connected_server_and_client_session(make_server(lambda: session)) as client:
        assert await walk_to_the_goal(client) == 2
        seen = await client.call_tool("observe", {})
    np.testing.assert_array_equal(frames(seen)[0], session.place.frame)
    assert facts(seen)["step"] == 2


async def test_a_client_that_leaves_closes_its_session(
    make_session: Callable[[], WorldSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[WorldSession] = []
    monkeypatch.setattr(WorldSession, "close", lambda session: closed.append(session))
    async with create_connected_server_and_client_session(make_server(make_session)) as client:
        await client.call_tool("observe", {})
        assert not closed
    assert len(closed) == 1


@pytest.mark.parametrize(
    ("name", "arguments", "hint"),
    [
        ("comit", {}, "Did you mean 'commit'"),
        ("commit", {"action": 3}, "valid string"),
        ("commit", {}, "'action' is missing"),
        ("observe", {"image": "https://a.example/red.png"}, "Addresses are not fetched"),
        ("observe", {"image": "../../etc/passwd"}, "no picture"),
        ("undo", {}, "0 steps can be taken back"),
    ],
)
async def test_what_a_client_can_mend_comes_back_as_words(
    make_session: Callable[[], WorldSession], name: str, arguments: dict[str, Any], hint: str
) -> None:
    async with create_connected_server_and_client_session(make_server(make_session)) as client:
        result = await client.call_tool(name, arguments)
        assert result.isError
        assert hint in words(result)
        assert not (await client.call_tool("observe", {})).isError  # and the session goes on


async def test_our_own_bugs_are_errors_of_the_protocol_that_tell_nothing() -> None:
    class Broken(FakeWorld):
        def advance(self, contexts: Any, *, seeds: Any) -> Any:
            raise KeyError("a private detail")

    async with create_connected_server_and_client_session(make_server(lambda: WorldSession(Broken()))) as client:
        with pytest.raises(McpError, match=r"'imagine' broke \(KeyError\)") as caught:
            await client.call_tool("imagine", {"actions": ["Stay"]})
        assert "private" not in str(caught.value)
        assert not (await client.call_tool("observe", {})).isError


# --- over the standard streams of a process


async def test_the_command_serves_over_its_standard_streams(tmp_path: Path) -> None:
    goal = WorldSession(FakeWorld()).commit("Look left").frame
    Image.fromarray(goal).save(tmp_path / "goal.png")
    arguments = ["-m", "bagel_world.cli", "serve", "mcp", "--checkpoint", "fake", "--folder", str(tmp_path)]
    arguments += ["--goal", str(tmp_path / "goal.png"), "--frames", "200", "--side", "32"]
    server = StdioServerParameters(command=sys.executable, args=arguments, cwd=ROOT)
    async with stdio_client(server) as (read, write), ClientSession(read, write) as client:
        opened = await client.initialize()
        assert opened.serverInfo.name == "bagel-world"
        assert [each.name for each in (await client.list_tools()).tools] == NAMES
        assert await walk_to_the_goal(client) == 1
        looked = await client.call_tool("observe", {"image": "goal.png"})
        assert frames(looked)[0].shape == (32, 32, 3)
        spent = await client.call_tool("compare", {"futures": [["Stay"] * 16] * 16})
        assert not spent.isError
        words_back = [await client.call_tool("imagine", {"actions": ["Stay"] * 16, "draw": draw}) for draw in range(12)]
        assert words_back[-1].isError
        assert "of 200 are left in this session" in words(words_back[-1])


async def test_the_configuration_in_the_examples_starts_a_server(tmp_path: Path) -> None:
    entry = json.loads((ROOT / "examples" / "mcp_client.json").read_text())["mcpServers"]["bagel-world"]
    assert Path(entry["command"]).name == "bagel-world"
    given = [str(tmp_path) if each == "/path/to/pictures" else each for each in entry["args"]]
    assert given != entry["args"]
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "bagel_world.cli", *given, "--checkpoint", "fake"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
    )
    async with stdio_client(server) as (read, write), ClientSession(read, write) as client:
        await client.initialize()
        assert [each.name for each in (await client.list_tools()).tools] == NAMES


# --- over HTTP


async def test_the_command_serves_over_http() -> None:
    arguments = ["-m", "bagel_world.cli", "serve", "mcp", "--checkpoint", "fake", "--transport", "http", "--port", "0"]
    with subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            async with connected(process.stderr.readline().strip()) as (client, _):
                assert facts(await client.call_tool("commit", {"action": "Look left"}))["step"] == 1
        finally:
            process.terminate()


@pytest.fixture
def address(make_session: Callable[[], WorldSession]) -> Iterator[str]:
    """A server at a free port of this machine, for two clients at a time."""
    app = http_app(make_server(make_session), sessions=2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="on", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        server.should_exit = True
        thread.join(timeout=60)
        assert not thread.is_alive()


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[tuple[ClientSession, Callable[[], str | None]]]:
    async with streamable_http_client(address) as (read, write, name), ClientSession(read, write) as client:
        await client.initialize()
        yield client, name


async def test_clients_over_http_have_sessions_of_their_own(address: str) -> None:
    async with connected(address) as (one, one_name), connected(address) as (other, other_name):
        assert one_name() != other_name()
        assert await walk_to_the_goal(one) == 2
        mine, theirs = facts(await one.call_tool("observe", {})), facts(await other.call_tool("observe", {}))
        assert (mine["step"], theirs["step"]) == (2, 0)
        for _ in range(18):
            await one.call_tool("commit", {"action": "Stay"})
        refused = await one.call_tool("commit", {"action": "Stay"})
        assert refused.isError
        assert "20 steps of this session are spent" in words(refused)
        assert not (await other.call_tool("commit", {"action": "Stay"})).isError
        with pytest.raises(BaseExceptionGroup):  # a third client: there is room for two
            async with connected(address):
                pass


async def test_unknown_sessions_and_strange_pages_are_refused(address: str) -> None:
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    async with httpx.AsyncClient() as client:
        unknown = await client.post(address, json=listing, headers={**headers, "mcp-session-id": "0" * 32})
        strange = await client.post(address, json=listing, headers={**headers, "origin": "http://a.example"})
        renamed = await client.post(address, json=listing, headers={**headers, "host": "a.example"})
    assert (unknown.status_code, strange.status_code, renamed.status_code) == (404, 403, 421)


# --- the command


def test_the_command_says_what_is_wrong_before_it_serves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from bagel_world.cli import main

    for arguments, hint in [
        (["--folder", str(tmp_path / "nowhere")], "Expected a folder"),
        (["--goal", str(tmp_path / "nothing.png")], "does not exist"),
        (["--task", "fly"], "no task 'fly'"),
    ]:
        with pytest.raises(SystemExit) as ended:
            main(["serve", "mcp", "--checkpoint", "fake", *arguments])
        assert ended.value.code == 2
        assert hint in capsys.readouterr().err


def test_addresses_that_cannot_be_served_are_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    from bagel_world.cli import main

    with socket.create_server(("127.0.0.1", 0)) as taken:
        for arguments, hint in [
            (["--port", str(taken.getsockname()[1])], "another --port"),
            (["--host", "0.0.0.0"], "--name"),
        ]:
            with pytest.raises(SystemExit) as ended:
                main(["serve", "mcp", "--checkpoint", "fake", "--transport", "http", *arguments])
            assert ended.value.code == 2
            assert hint in capsys.readouterr().err


def test_without_the_extra_its_name_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from bagel_world.cli import main

    for name in [each for each in sys.modules if each == "mcp" or each.startswith(("mcp.", "bagel_world.serve."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(SystemExit) as ended:
        main(["serve", "mcp", "--checkpoint", "fake"])
    assert ended.value.code == 2
    assert 'pip install "bagel-world[serve]"' in capsys.readouterr().err
