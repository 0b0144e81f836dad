"""Save a dump's tables as Parquet files: small, for later, when the dump is gone.

Every table that `kautopsy sql` knows is read once and written to DIR/TABLE.parquet, with
DIR/snapshot.json telling which dump it was; `kautopsy sql DIR QUERY` asks it as if it were the
dump, and so can any other program that reads Parquet. "local" is the running kernel, where it
allows that: it goes on while the tables are read one after the other.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kautopsy.cli._dump_source import dump_source
from kautopsy.cli._output import Progress, add_json, print_json, say
from kautopsy.model.errors import ExitCode


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("dump", type=Path, metavar="DUMP|DIR|local", help="a vmcore")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="a new directory to make"
    )
    parser.add_argument("--vmlinux", type=Path, metavar="FILE", help="the kernel's debuginfo")
    parser.add_argument("--debuginfo", choices=("auto", "never"), default="auto")
    parser.add_argument(
        "--time-limit", type=float, default=600.0, metavar="SECONDS", help="for reading the dump"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write one snapshot."""
    from kautopsy.shell.snapshot import write

    source = dump_source(arguments.dump, arguments)
    if source.live:
        say("RUNNING KERNEL: it goes on while its tables are read")
    with Progress("snapshot", quiet=arguments.json) as progress:
        manifest = write(source, arguments.out)
        size = sum(file.stat().st_size for file in arguments.out.iterdir())
        progress.detail = (
            f"{len(manifest.rows)} tables, {sum(manifest.rows.values())} rows, "
            f"{size / (1 << 20):.2f} MiB in {arguments.out}"
        )
    for note in manifest.notes:
        say(note)
    if arguments.json:
        print_json(manifest)
    return ExitCode.OK
