"""Crashes in console text: found, named, with source lines.

Reads any console, dmesg, journal, pstore or netconsole text (standard input without FILE) and shows
every crash in it. With a vmlinux of the kernel's build, or one that is found on this machine by
release, frames get source lines; --annotate prints the whole log with them instead, as the kernel's
scripts/decode_stacktrace.sh does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from kautopsy.cli._oops_lines import Lines, add_symbols, open_lines
from kautopsy.cli._output import Progress, add_json, print_json
from kautopsy.model.errors import ExitCode, UnreadableError, UsageError

if TYPE_CHECKING:
    from kautopsy.model.crash import Crash

_STDIN = "-"
_TELL_FROM = 64 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("files", nargs="*", default=[_STDIN], metavar="FILE", help="logs, or -")
    shown = parser.add_mutually_exclusive_group()
    add_json(shown)  # type: ignore[arg-type]
    shown.add_argument(
        "--jsonl", action="store_true", help='one JSON document a file, a line each, with "file"'
    )
    shown.add_argument(
        "--annotate", action="store_true", help="print the log itself, with source lines in it"
    )
    parser.add_argument(
        "--check", action="store_true", help="exit 1 if there is a crash in any of the files"
    )
    parser.add_argument("--registers", action="store_true", help="show the registers")
    parser.add_argument("--modules-loaded", action="store_true", help="name all loaded modules")
    parser.add_argument("--code", action="store_true", help="disassemble the bytes after Code:")
    add_symbols(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read the logs."""
    if arguments.json and len(arguments.files) > 1:
        raise UsageError("--json is one document", hint="for several files: --jsonl")
    shown = ("registers", "code", "modules_loaded", "source")
    if arguments.annotate and any(getattr(arguments, option) for option in shown):
        raise UsageError("--annotate copies the log", hint="leave it out for a report")
    lines = open_lines(arguments)
    if arguments.annotate:
        return _annotate(arguments, lines)
    found = False
    for file in arguments.files:
        crashes = _read(file, lines, quiet=arguments.json or arguments.jsonl)
        found |= _print(arguments, file, crashes, lines)
    return ExitCode.BAD if arguments.check and found else ExitCode.OK


def _print(
    arguments: argparse.Namespace, file: str, crashes: Iterator[Crash], lines: Lines
) -> bool:
    """Print what was found in one file; whether there was anything."""
    from kautopsy.model.base import to_json
    from kautopsy.model.report import OopsDocument

    if arguments.json or arguments.jsonl:
        listed = tuple(crashes)
        document = OopsDocument(
            crashes=listed,
            file=file if arguments.jsonl else None,
            source=tuple(
                place
                for number, crash in enumerate(listed)
                for place in lines.source(crash, number)
            ),
        )
        if arguments.jsonl:
            print(to_json(document, indent=0), flush=True)
        else:
            print_json(document)
        return bool(listed)
    return _show(arguments, file, crashes, lines)


def _show(arguments: argparse.Namespace, file: str, crashes: Iterator[Crash], lines: Lines) -> bool:
    from kautopsy.oops.code import disassemble, machine_of
    from kautopsy.oops.taint import in_words
    from kautopsy.report.escape import one_line
    from kautopsy.report.oops import OopsPrinter

    printer = OopsPrinter(registers=arguments.registers, modules=arguments.modules_loaded)
    found = False
    for crash in crashes:
        if not found and len(arguments.files) > 1:
            print(f"\n== {one_line(file)}")
        found = True
        code = []
        if arguments.code and crash.code:
            decoded = disassemble(crash.code, machine_of(crash.registers))
            code = [(f"{step.raw.hex(' '):<30} {step.text}", step.marked) for step in decoded]
            code = code or [(line, line.startswith(">")) for line in crash.code.split("\n")]
        printer.show(
            crash,
            taint=in_words(crash.tainted),
            code=code,
            source=lines.source(crash),
            notes=lines.notes(crash),
        )
    if not found and len(arguments.files) == 1:
        print("no crash", file=sys.stderr)
    return found


def _read(file: str, lines: Lines, *, quiet: bool) -> Iterator[Crash]:
    """The crashes of one file; progress on stderr where reading takes long."""
    from kautopsy.oops import read_crashes
    from kautopsy.report import units

    with _opened(file) as (stream, size):
        name = "standard input" if file == _STDIN else file
        with Progress(f"read {name}", quiet=quiet or size < _TELL_FROM) as progress:
            told = 0

            def tell(count: int) -> None:
                nonlocal told
                progress.detail = units.size(count)
                if size >= _TELL_FROM and count - told >= _TELL_FROM and sys.stderr.isatty():
                    told = count
                    share = min(count / size, 1.0)  # of a packed log more is read than it has
                    print(f"\r\x1b[K… {share:.0%}", end="", file=sys.stderr, flush=True)

            for crash in read_crashes(stream, on_progress=tell):
                yield lines.symbolise(crash)


@contextmanager
def _opened(file: str) -> Iterator[tuple[BinaryIO, int]]:
    if file == _STDIN:
        yield sys.stdin.buffer, 0
        return
    path = Path(file)
    if path.is_dir():
        raise UnreadableError("is a directory", thing=file, hint="name the logs in it")
    with path.open("rb") as stream:
        yield stream, path.stat().st_size


def _annotate(arguments: argparse.Namespace, lines: Lines) -> int:
    """Copy the logs line for line, with source lines where frames are."""
    found = False
    for file in arguments.files:
        release: str | None = None
        if not lines.is_named or arguments.check:
            if file == _STDIN:
                raise UsageError(
                    "standard input can be read only once",
                    hint="name the kernel with --vmlinux, and leave out --check",
                )
            crashes = list(_read(file, Lines(None, None, search=False), quiet=True))
            found |= bool(crashes)
            release = next((crash.release for crash in crashes if crash.release), None)
        with _opened(file) as (stream, _):
            for line in lines.annotate(_texts(stream), release):
                sys.stdout.buffer.write(line.encode("utf-8", "surrogateescape") + b"\n")
        sys.stdout.buffer.flush()
    return ExitCode.BAD if arguments.check and found else ExitCode.OK


def _texts(stream: BinaryIO) -> Iterator[str]:
    for raw in stream:
        yield raw.decode("utf-8", "surrogateescape").rstrip("\n")
