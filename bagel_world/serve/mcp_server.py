"""The tools of a world as an MCP server: every client gets a session of its own.

What a client can mend comes back as a result with `isError` and words; a bug of ours is a protocol error and is logged.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import anyio
import anyio.to_thread
from mcp import types
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import McpError

from bagel_world import __version__
from bagel_world.agents.tools.reply import Reply
from bagel_world.agents.tools.session import WorldSession
from bagel_world.agents.tools.tool import FIXABLE, WorldTool
from bagel_world.agents.tools.world_tools import TOOLS, call_tool

logger = logging.getLogger(__name__)

INSTRUCTIONS = (
    "A world model you can step into. observe shows where you stand. imagine, compare, rotate, future, ask and plan look ahead "
    "and never move the live world; commit acts, undo and reset go back. Imagine before you commit."
)

WorldServer: TypeAlias = "Server[WorldSession, Any]"


def make_server(make_session: Callable[[], WorldSession]) -> WorldServer:
    """A server of the world's tools.

    Args:
        make_session: called once per client; what it returns is that client's alone, but may share a world with others.
    """
    # A model serves one call at a time; others wait, so that it is never in memory twice over.
    model = anyio.CapacityLimiter(1)

    @asynccontextmanager
    async def open_session(_: WorldServer) -> AsyncIterator[WorldSession]:
        session = await anyio.to_thread.run_sync(make_session, limiter=model)
        logger.info("a session begins")
        try:
            yield session
        finally:
            session.close()
            logger.info("a session ends after %d calls, %.1f seconds", session.meter.calls, session.meter.seconds)

    server: WorldServer = Server("bagel-world", version=__version__, instructions=INSTRUCTIONS, lifespan=open_session)

    async def list_tools(_: types.ListToolsRequest) -> types.ServerResult:
        return types.ServerResult(types.ListToolsResult(tools=[mcp_tool(tool) for tool in TOOLS]))

    async def handle_call(request: types.CallToolRequest) -> types.ServerResult:
        session, name = server.request_context.lifespan_context, request.params.name
        try:
            reply = await anyio.to_thread.run_sync(call_tool, session, name, request.params.arguments, limiter=model)
        except FIXABLE as error:
            words = types.TextContent(type="text", text=str(error))
            return types.ServerResult(types.CallToolResult(content=[words], isError=True))
        except Exception as error:
            logger.exception("the tool %r broke", name)
            broken = f"The tool {name!r} broke ({type(error).__name__}). This is a bug of the server; its log says more."
            raise McpError(types.ErrorData(code=types.INTERNAL_ERROR, message=broken)) from error
        return types.ServerResult(_result(reply, session.limits.side))

    # Registered by hand: the server's own decorator would turn every exception, bugs included, into an answer of the tool.
    server.request_handlers[types.ListToolsRequest] = list_tools
    server.request_handlers[types.CallToolRequest] = handle_call
    return server


def mcp_tool(tool: type[WorldTool]) -> types.Tool:
    """A tool as MCP lists it."""
    hints = types.ToolAnnotations(readOnlyHint=not tool.changes, destructiveHint=False, openWorldHint=False)
    return types.Tool(name=tool.tool_name, description=tool.description(), inputSchema=tool.parameters(), annotations=hints)


def _result(reply: Reply, side: int) -> types.CallToolResult:
    images = [types.ImageContent(type="image", data=each.within(side).base64, mimeType="image/png") for each in reply.pictures]
    words = types.TextContent(type="text", text=reply.text)
    return types.CallToolResult(content=[words, *images], structuredContent=dict(reply.facts))
