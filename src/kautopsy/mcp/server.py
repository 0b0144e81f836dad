"""The server: tools by name, over standard input and output."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mcp.server import MCPServer
from mcp.types import ToolAnnotations

import kautopsy
from kautopsy.mcp.answers import NOTICE, guarded

INSTRUCTIONS = (
    "kautopsy reads Linux kernel crash dumps and a fleet's crash store. Begin with list_dumps and "
    "report, or with groups. A verdict has a confidence; findings have evidence that names the "
    "crash command which shows it. Cite dump, table and address in what you conclude. " + NOTICE
)


def create_server(tools: Iterable[Callable[..., str]]) -> MCPServer:
    """A server of read-only tools; a tool's name is its function's."""
    server: MCPServer = MCPServer(
        "kautopsy", instructions=INSTRUCTIONS, version=kautopsy.__version__
    )
    annotations = ToolAnnotations(
        read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
    )
    for tool in tools:
        server.add_tool(guarded(tool), annotations=annotations, structured_output=False)
    return server
