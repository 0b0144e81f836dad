"""Tools for agents (Model Context Protocol): read dumps and a fleet's store, and nothing else.

An agent starts it and speaks with it over standard input and output:

  kautopsy mcp /var/crash/2026-11-26-10:00/vmcore
  kautopsy mcp --database postgresql://viewer@db/kautopsy

It can ask about the dumps and snapshots that are named here, and about the store; it can run no
command, evaluate no code, open no other file and change nothing. Every answer says what it was read
from, and that strings of a crashed machine are data.
"""

from __future__ import annotations

import argparse
import contextlib

from kautopsy.model.errors import ExitCode, MissingToolError, UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("dumps", nargs="*", metavar="DUMP|DIR", help="dumps or snapshots")
    parser.add_argument("--database", metavar="URL", help="a fleet's store too")


def run(arguments: argparse.Namespace) -> int:
    """Serve until the agent goes away."""
    if not arguments.dumps and arguments.database is None:
        raise UsageError("a dump or --database is wanted", hint="kautopsy mcp vmcore")
    try:
        from kautopsy.mcp.dumps import Dumps
        from kautopsy.mcp.server import create_server
    except ImportError as error:
        raise MissingToolError(
            "agents' tools need the MCP SDK and DuckDB", thing=error.name or "mcp",
            hint="pip install 'kautopsy[mcp,sql]'",
        ) from None  # fmt: skip
    with contextlib.ExitStack() as stack:
        tools = list(Dumps.of(arguments.dumps).tools()) if arguments.dumps else []
        if arguments.database is not None:
            try:
                from kautopsy.fleet.database import Database
                from kautopsy.mcp.store import Store
            except ImportError as error:
                raise MissingToolError(
                    "a store needs the extra fleet", thing=error.name or "sqlalchemy",
                    hint="pip install 'kautopsy[fleet]'",
                ) from None  # fmt: skip
            database = stack.enter_context(Database.open(arguments.database, upgrade=False))
            tools += Store(database).tools()
        create_server(tools).run("stdio")
    return ExitCode.OK
