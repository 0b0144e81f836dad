"""How verbs speak: data on stdout, progress on stderr."""

from __future__ import annotations

import argparse
import sys
import time
from types import TracebackType

import msgspec

from kautopsy.model.base import to_json
from kautopsy.report.escape import one_line


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def print_json(document: msgspec.Struct) -> None:
    """Print a document on stdout."""
    print(to_json(document))


def say(line: str) -> None:
    """A line on stderr, without control characters."""
    print(one_line(line), file=sys.stderr, flush=True)


class Progress:
    """A line on stderr for every stage a user waits for, with its seconds when it ends.

    On a terminal the line is printed when the stage begins and completed in place; elsewhere (CI,
    a file) each stage is one line, printed when it ends, so that logs stay clean.
    """

    def __init__(self, name: str, *, quiet: bool = False) -> None:
        self.name = name
        self.detail = ""
        self.seconds = 0.0
        self._quiet = quiet
        self._started = 0.0

    def __enter__(self) -> Progress:
        self._started = time.monotonic()
        if not self._quiet and sys.stderr.isatty():
            print(f"… {self.name}", end="", file=sys.stderr, flush=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.seconds = time.monotonic() - self._started
        if self._quiet:
            return
        mark = "✓" if kind is None else "✗"
        detail = one_line(f": {self.detail}") if self.detail else ""
        start = "\r\x1b[K" if sys.stderr.isatty() else ""
        print(f"{start}{mark} {self.name} ({self.seconds:.1f} s){detail}", file=sys.stderr)
