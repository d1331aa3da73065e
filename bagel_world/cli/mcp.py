"""`bagel-world serve mcp`: a world as tools for any program that speaks MCP."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer
from rich.console import Console

from bagel_world.agents.tools.limits import Limits
from bagel_world.agents.tools.session import WorldSession
from bagel_world.errors import ConfigError, MissingExtraError
from bagel_world.world.fake import FakeWorld

if TYPE_CHECKING:
    from bagel_world.world.protocol import World

_LIMITS = Limits()


def mcp(
    checkpoint: Annotated[str, typer.Option(help="nano, a checkpoint folder, a hub id, or fake (no model).")] = "nano",
    task: Annotated[str | None, typer.Option(help="navigate, rotate or rollout; by default the checkpoint's own.")] = None,
    transport: Annotated[Literal["stdio", "http"], typer.Option(help="Standard streams, or HTTP at /mcp.")] = "stdio",
    folder: Annotated[list[Path] | None, typer.Option(help="Folder of pictures that clients may open; may be repeated.")] = None,
    goal: Annotated[Path | None, typer.Option(help="Picture of what every session is to reach.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another start.")] = 0,
    calls: Annotated[int, typer.Option(min=1, help="Tool calls a session may make.")] = _LIMITS.calls,
    steps: Annotated[int, typer.Option(min=1, help="Live actions a session may do.")] = _LIMITS.steps,
    frames: Annotated[int, typer.Option(min=1, help="Frames a session may imagine.")] = _LIMITS.frames,
    seconds: Annotated[float, typer.Option(min=0.001, help="Seconds a session may spend in tools.")] = _LIMITS.seconds,
    pixels: Annotated[int, typer.Option(min=1, help="Largest picture a session may open.")] = _LIMITS.pixels,
    side: Annotated[int, typer.Option(min=16, help="Longest side of the pictures handed out.")] = _LIMITS.side,
    host: Annotated[str, typer.Option(help="Address to serve HTTP at. There is no password: keep it local.")] = "127.0.0.1",
    name: Annotated[list[str] | None, typer.Option(help="Another name by which clients call it; may be repeated.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve HTTP at; 0 takes a free one.")] = 8765,
    sessions: Annotated[int, typer.Option(min=1, help="Clients at a time over HTTP.")] = 16,
) -> None:
    """Serve the tools observe, imagine, compare, rotate, future, ask, plan, commit, undo and reset."""
    try:
        import anyio

        from bagel_world.serve.mcp_server import make_server
        from bagel_world.serve.transports import serve_stdio
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "bagel_world":
            raise
        raise MissingExtraError(error.name, "serve", "The MCP server") from error
    limits = Limits(calls=calls, steps=steps, frames=frames, seconds=seconds, pixels=pixels, side=side)
    make_session = partial(WorldSession, _load(checkpoint, task), goal=goal, limits=limits, folders=folder or (), seed=seed)
    make_session()  # what cannot work is said here, not to the first client
    server = make_server(make_session)
    if transport == "stdio":
        anyio.run(serve_stdio, server)
    else:
        _serve_http(server, host, name or [], port, sessions)


def _load(checkpoint: str, task: str | None) -> World:
    if checkpoint == "fake":
        return FakeWorld(task=task)
    from bagel_world.world.simulator import BagelWorld

    # World cannot say that a world takes the contexts it gave itself, so the checker is told so.
    return cast("World", BagelWorld.from_pretrained(checkpoint, task=task))


def _serve_http(server: Any, host: str, names: list[str], port: int, sessions: int) -> None:
    import socket

    import uvicorn

    from bagel_world.serve.transports import EVERYWHERE, LOCAL_HOSTS, PATH, http_app

    if host in EVERYWHERE and not names:
        raise ConfigError(f"At {host} clients call by other names than this one. Say by which, such as --name 192.168.1.5")
    own = f"[{host}]" if ":" in host else host
    app = http_app(server, hosts=[*LOCAL_HOSTS, own, *names], sessions=sessions)
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(f"Nothing can be served at {own}:{port}: {error}. Choose another --port or --host.") from error
    with listener:
        taken = listener.getsockname()[1]
        Console(stderr=True).print(f"http://{own}:{taken}{PATH}", markup=False, soft_wrap=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on")).run(sockets=[listener])
