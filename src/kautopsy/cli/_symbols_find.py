"""Find the vmlinux of a dump, a build-id or a kernel release.

Looks on this machine first: /usr/lib/debug, /boot, beside the dump, the directories in
KAUTOPSY_DEBUGINFO_PATH, the cache. What is found there has the right build-id, whatever its name.
Otherwise says which distributions' packages have it, and the commands that install them; no
network is asked. With --fetch, debuginfod (DEBUGINFOD_URLS) and then those packages are asked, and
the vmlinux is kept in the cache, where `report` finds it.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from kautopsy.cli._output import add_json, print_json
from kautopsy.model.errors import ExitCode

if TYPE_CHECKING:
    from kautopsy.symbols.finder.find import Finding
    from kautopsy.symbols.finder.http import Watch


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("target", metavar="DUMP|BUILD-ID|RELEASE", help="whose vmlinux")
    parser.add_argument("--fetch", action="store_true", help="download it into the cache")
    parser.add_argument(
        "--distribution", metavar="NAME", help="only this one's packages (rocky, debian, …)"
    )
    parser.add_argument(
        "--module",
        action="append",
        default=[],
        metavar="NAME",
        help="with --fetch, keep this module's .ko.debug too (may be repeated)",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Search, fetch if asked to, print."""
    from kautopsy.symbols.finder.find import find
    from kautopsy.symbols.finder.target import parse_target

    if arguments.module and not arguments.fetch:
        from kautopsy.model.errors import UsageError

        raise UsageError("needs --fetch", thing="--module")
    progress = _Stages()
    try:
        finding = find(
            parse_target(arguments.target),
            distribution=arguments.distribution,
            fetch=progress.begin if arguments.fetch else None,
            modules=tuple(arguments.module),
        )
    finally:
        progress.end()
    if arguments.json:
        print_json(finding)
    else:
        _print(finding, arguments.fetch)
    return ExitCode.OK if finding.path else ExitCode.BAD


def _print(finding: Finding, fetched: bool) -> None:
    from kautopsy.report.escape import one_line, terminal

    if finding.path is not None:
        print(one_line(finding.path))
        for module in finding.modules:
            print(one_line(module))
        for note in finding.notes:
            print(f"note: {one_line(note)}", file=sys.stderr)
        return
    lines = [f"no vmlinux of {finding.build_id or finding.release} on this machine"]
    if fetched:
        lines[0] += ", and none could be fetched"
    lines += [f"note: {note}" for note in finding.notes]
    if not fetched and finding.build_id and finding.debuginfod:
        lines.append(f"--fetch asks {', '.join(finding.debuginfod)}")
    for offer in finding.offers:
        lines += ["", f"{offer.title} ({offer.distribution}):"]
        lines += [f"  {command}" for command in offer.commands]
        if offer.note:
            lines.append(f"  # {offer.note}")
        if offer.debuginfod and finding.build_id and not finding.debuginfod:
            lines.append(
                f"  # or: DEBUGINFOD_URLS={offer.debuginfod} "
                f"kautopsy symbols find {finding.target} --fetch"
            )
    print("\n".join(terminal(line) for line in lines))


class _Stages:
    """One line on stderr for each stage: on a terminal with the share that is there."""

    def __init__(self) -> None:
        self._name = ""
        self._started = 0.0
        self._shown = 0.0
        self._there = 0
        self._live = sys.stderr.isatty()

    def begin(self, name: str) -> Watch:
        """End the stage before and start ``name``."""
        from kautopsy.report.escape import one_line

        self.end()
        self._name, self._started, self._there = one_line(name), time.monotonic(), 0
        self._draw("")
        return self._watch

    def end(self) -> None:
        """Complete the line of the stage that runs."""
        if not self._name:
            return
        seconds = time.monotonic() - self._started
        size = f", {self._there / 2**20:.0f} MiB" if self._there else ""
        start = "\r\x1b[K" if self._live else ""
        print(f"{start}· {self._name} ({seconds:.1f} s{size})", file=sys.stderr)
        self._name = ""

    def _watch(self, there: int, total: int | None) -> None:
        self._there = there
        now = time.monotonic()
        if now - self._shown >= 0.2:
            self._shown = now
            of = f" of {total / 2**20:.0f}" if total else ""
            self._draw(f" {there / 2**20:.0f}{of} MiB")

    def _draw(self, detail: str) -> None:
        if self._live:
            print(f"\r\x1b[K… {self._name}{detail}", end="", file=sys.stderr, flush=True)
