"""SQL on dumps: every table of the kernel, joined and counted as you like.

  kautopsy sql vmcore "select state, count(*) from tasks group by state"
  kautopsy sql /var/crash/*/vmcore "select dump, release, panic from dumps"
  kautopsy sql --schema

Each DUMP may be a vmcore, a directory with one in it, a snapshot (kautopsy snapshot), or "local":
the running kernel, where it allows that. Every table has a column "dump" that tells whose row it
is. Only tables that the query names are read. What a dump lacks is NULL, and the column
"unreadable" of that row says why. QUERY may be - for standard input. A query sees the tables and
nothing else of this machine.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kautopsy.cli._dump_source import dump_source
from kautopsy.model.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from kautopsy.shell.sql import Source

_FORMATS = ("table", "json", "csv", "parquet")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("words", nargs="*", metavar="DUMP… QUERY", help="dumps, and one query")
    parser.add_argument(
        "--schema", action="store_true", help="print the tables, their columns and units"
    )
    parser.add_argument("--format", choices=_FORMATS, default="table")
    parser.add_argument("--json", action="store_const", const="json", dest="format")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write there, not to stdout")
    parser.add_argument("--vmlinux", type=Path, metavar="FILE", help="the kernel's debuginfo")
    parser.add_argument("--debuginfo", choices=("auto", "never"), default="auto")
    parser.add_argument(
        "--max-rows", type=_positive, default=100_000, metavar="N", help="(%(default)s)"
    )
    parser.add_argument(
        "--time-limit", type=float, default=600.0, metavar="SECONDS",
        help="for reading a dump, and for the query",
    )  # fmt: skip
    parser.add_argument(
        "--memory-limit", type=_positive, default=1024, metavar="MIB", help="for the query"
    )


def run(arguments: argparse.Namespace) -> int:
    """Answer one query."""
    from kautopsy.cli._output import say
    from kautopsy.cli._sql_output import print_result, print_schema
    from kautopsy.report.save import check_writable
    from kautopsy.shell.sql_guard import Query, ask

    if arguments.schema:
        if arguments.words:
            raise UsageError("--schema takes neither dump nor query")
        print_schema(arguments.format)
        return ExitCode.OK
    *dumps, query = arguments.words or [""]
    if not dumps:
        raise UsageError(
            "a dump and a query are wanted", hint='kautopsy sql vmcore "select * from tasks"'
        )
    if query == "-":
        query = sys.stdin.read()
    if arguments.format == "parquet" and arguments.out is None:
        raise UsageError("Parquet is no text", hint="name a file with --out FILE")
    if arguments.out is not None:
        check_writable(arguments.out)
    sources = [_source(name, arguments, many=len(dumps) > 1) for name in dumps]
    asked = ask(
        sources,
        Query(
            query,
            max_rows=arguments.max_rows,
            seconds=arguments.time_limit,
            memory_bytes=arguments.memory_limit << 20,
            save=arguments.out if arguments.format == "parquet" else None,
        ),
    )
    if asked.result is None:
        say(f"wrote {asked.saved} rows to {arguments.out}")
    else:
        print_result(asked.result, asked.notes, arguments.format, arguments.out)
        if asked.result.truncated:
            say(f"there are more rows than {arguments.max_rows}: see --max-rows")
    for note in dict.fromkeys(asked.notes):
        say(note)
    for failure in asked.failures:
        say(str(failure.error()))
    return ExitCode.UNREADABLE if asked.failures else ExitCode.OK


def _source(name: str, arguments: argparse.Namespace, *, many: bool) -> Source:
    from kautopsy.shell.snapshot import is_snapshot, open_snapshot

    path = Path(name)
    if name != "local" and is_snapshot(path):
        return open_snapshot(path, name)
    source = dump_source(path, arguments)
    if arguments.vmlinux is not None and many and not source.live:
        raise UsageError("--vmlinux goes with one dump")
    return source


def _positive(text: str) -> int:
    number = int(text)
    if number <= 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return number
