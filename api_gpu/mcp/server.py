"""The tools served by the Model Context Protocol, over standard input and output. Source: the protocol's own SDK."""

import json
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import anyio
from anyio import from_thread, to_thread
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)

from api_gpu.client import Client
from api_gpu.mcp.calls import Files, Report, ToolCall
from api_gpu.mcp.schemas import ToolDescription, tools
from servicekit.errors import ServiceError

INSTRUCTIONS = """Edits videos: captions, Ken Burns clips of stills, soundtracks, finished films, and more. Sources are
http(s) URLs that the service can reach, names of stored files ("assets/…"), or files in the folder {folder}, by their
paths there, which are uploaded. {results} A job that takes long can be left with wait_seconds, and asked for by
get_job; probe tells what a file holds."""
FETCHED = "Results are written to that folder."
LINKED = "Results are told as links."
Context = ServerRequestContext[dict[str, Any]]


def build(client: Client, files: Files) -> Server[dict[str, Any]]:
    """Return a server whose tools call the gateway of `client`."""

    async def list_tools(_: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[_tool(each) for each in tools(is_fetching=files.is_fetching)])

    async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:
        call = ToolCall(client, files, _report(context))
        return await _answer(call, partial(call.run, params.name, params.arguments or {}))

    results = FETCHED if files.is_fetching else LINKED
    return Server(
        "api-gpu",
        version=version("api-gpu"),
        instructions=INSTRUCTIONS.format(folder=files.folder, results=results),
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _tool(told: ToolDescription) -> Tool:
    hints = ToolAnnotations(read_only_hint=told.is_reading, destructive_hint=False)
    return Tool(name=told.name, description=told.text, input_schema=told.arguments, annotations=hints)


async def _answer(call: ToolCall, run: Callable[[], dict[str, Any]]) -> CallToolResult:
    """Run a call in a thread; where the client gives it up, cancel its job."""
    try:
        answer = await to_thread.run_sync(run, abandon_on_cancel=True)
    except ServiceError as error:
        faults = {"reason": error.reason, "fields": dict(error.fields), "message": error.message}
        return _result(faults, is_error=True)
    except anyio.get_cancelled_exc_class():
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(call.cancel)
        raise
    return _result(answer)


def _result(answer: dict[str, Any], *, is_error: bool = False) -> CallToolResult:
    text = TextContent(text=json.dumps(answer, ensure_ascii=False, indent=1))
    return CallToolResult(content=[text], structured_content=answer, is_error=is_error)


def _report(context: Context) -> Report:
    """Return what tells progress from a thread; the client may not have asked for any."""

    def report(done: float, total: float | None, message: str) -> None:
        from_thread.run(context.session.report_progress, done, total, message)

    return report


async def serve(client: Client, files: Files) -> None:
    """Serve until the client closes standard input."""
    server = build(client, files)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())
