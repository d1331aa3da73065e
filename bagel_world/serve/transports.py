"""How an MCP server is reached: over the standard streams of a process, or over HTTP."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, redirect_stdout

from mcp.server.fastmcp.server import StreamableHTTPASGIApp
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.routing import Route

from bagel_world.serve.mcp_server import WorldServer

PATH = "/mcp"
"""Where an HTTP server answers."""

LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")
"""Names by which a server on this machine may be called."""

EVERYWHERE = ("0.0.0.0", "::", "")
"""Addresses that stand for all of a machine's own."""


async def serve_stdio(server: WorldServer) -> None:
    """Serve the one client at the other end of this process's standard streams, until it leaves."""
    async with stdio_server() as (read, write):
        # Whatever a library prints would be read as a message; the transport holds the real stream already.
        with redirect_stdout(sys.stderr):
            await server.run(read, write, server.create_initialization_options())


def http_app(
    server: WorldServer, *, hosts: Sequence[str] = LOCAL_HOSTS, sessions: int = 16, idle_seconds: float = 1800
) -> Starlette:
    """The server as an ASGI application, at `PATH`; every client has a session of its own.

    Args:
        server: from `make_server`.
        hosts: names by which clients may call it; a page from elsewhere that is tricked into calling is refused.
        sessions: most sessions at a time; another client is refused.
        idle_seconds: a session that is not used for so long ends.
    """
    names = [each for host in hosts for each in (host, f"{host}:*")]
    manager = StreamableHTTPSessionManager(
        app=server,
        security_settings=TransportSecuritySettings(
            allowed_hosts=names, allowed_origins=[f"{scheme}://{name}" for name in names for scheme in ("http", "https")]
        ),
        session_idle_timeout=idle_seconds,
        max_sessions=sessions,
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with manager.run():
            yield

    return Starlette(routes=[Route(PATH, endpoint=StreamableHTTPASGIApp(manager))], lifespan=lifespan)
