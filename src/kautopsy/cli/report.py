"""What died and why: the report on a vmcore, or on a console's log.

A dump is opened in a child process with limits, with what debugging information there is; the
report begins with the header that crash shows and ends with the verdict. Of a directory the newest
complete dump is reported; a log is reported as far as text can tell. Without debuginfo it says
what is missing.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kautopsy.cli._output import add_json, print_json, say
from kautopsy.model.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from kautopsy.model.report import Report
    from kautopsy.report.links import SourceLinks
    from kautopsy.triage.target import Target

_STDOUT = "-"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "target",
        type=Path,
        metavar="DUMP|DIR|LOG",
        help="a vmcore, a directory with one in it, or a console's log",
    )
    parser.add_argument(
        "--vmlinux",
        type=Path,
        metavar="FILE",
        help="the kernel's debuginfo; its build-id must match",
    )
    parser.add_argument(
        "--debuginfo",
        choices=("auto", "never"),
        default="auto",
        help="auto: use the vmlinux that is found on this machine; never: use the dump alone",
    )
    parser.add_argument(
        "--html", metavar="FILE", help="write the report as one HTML file too (- for stdout)"
    )
    parser.add_argument(
        "--markdown",
        metavar="FILE",
        nargs="?",
        const=_STDOUT,
        help="write the report as Markdown too (- or nothing: to stdout, instead of the text)",
    )
    parser.add_argument(
        "--source-url",
        metavar="URL",
        default="",
        help="link source lines in HTML and Markdown: an address with {file}, {line}, {release}",
    )
    parser.add_argument(
        "--time-limit", type=float, default=600.0, metavar="SECONDS", help="for the analysis"
    )
    parser.add_argument(
        "--memory-limit", type=int, default=4096, metavar="MIB", help="for the analysis"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Report on one dump or log."""
    from kautopsy.report.links import SourceLinks
    from kautopsy.triage.target import find_target

    _check(arguments)
    links = SourceLinks(arguments.source_url)
    target = find_target(arguments.target)
    for note in target.notes:
        say(note)
    for skipped in target.skipped:
        say(f"skipped {skipped.path}: {skipped.why}")

    reports = _reports(target, arguments)
    if arguments.json or _STDOUT in (arguments.html, arguments.markdown):
        *_, report = reports
        if arguments.json:
            print_json(report)
    else:
        from kautopsy.report.terminal import ReportPrinter

        printer = ReportPrinter()
        for report in reports:
            printer.show(report)
        printer.finish(report)
    _write_files(report, arguments, links)
    return ExitCode.OK


def _check(arguments: argparse.Namespace) -> None:
    """Complain about a command line that makes no sense before minutes are spent on it."""
    from kautopsy.report.save import CannotWriteError, check_writable
    from kautopsy.triage.target import is_dump

    outputs = [name for name in (arguments.html, arguments.markdown) if name is not None]
    if arguments.json:
        outputs.append(_STDOUT)
    for name in set(outputs):
        if outputs.count(name) > 1:
            where = "standard output" if name == _STDOUT else name
            raise UsageError(f"two reports cannot both go to {where}", hint="name a file for one")
        if name == _STDOUT:
            continue
        path = Path(name)
        check_writable(path)
        if path.is_file() and (is_dump(path) or path.samefile(arguments.target)):
            raise CannotWriteError(
                "is what the report is about, or a dump; it would be overwritten",
                thing=name,
                slug="would-overwrite",
            )


def _reports(target: Target, arguments: argparse.Namespace) -> Iterator[Report]:
    """Ever fuller reports, at least one; what takes long has begun when this returns."""
    if target.dump is None:
        from kautopsy.triage.textual import report_on_logs

        if arguments.vmlinux is not None:
            raise UsageError(
                "--vmlinux goes with a dump",
                thing=str(arguments.target),
                hint="for a log: kautopsy oops --vmlinux FILE LOG",
            )
        return iter([report_on_logs(target.logs)])
    from kautopsy.triage.isolation import Limits, analyse

    reports = analyse(
        target.dump,
        vmlinux=arguments.vmlinux,
        debuginfo=arguments.debuginfo == "auto",
        limits=Limits(arguments.time_limit, arguments.memory_limit << 20),
        fork=True,
    )
    return _with_logs(reports, target.logs) if target.logs else reports


def _with_logs(reports: Iterator[Report], logs: Sequence[Path]) -> Iterator[Report]:
    """``reports``, and one more if the dump has lost its own log."""
    from kautopsy.model.base import Unreadable

    for report in reports:
        yield report
    if isinstance(report.log, Unreadable):
        from kautopsy.triage.textual import add_log

        yield add_log(report, logs)


def _write_files(report: Report, arguments: argparse.Namespace, links: SourceLinks) -> None:
    if arguments.html is None and arguments.markdown is None:
        return
    from kautopsy.report import markdown, page, words
    from kautopsy.report.save import write

    links = dataclasses.replace(links, release=words.release(report))
    for name, render in ((arguments.html, page.render), (arguments.markdown, markdown.render)):
        if name is None:
            continue
        text = render(report, links=links)
        if name == _STDOUT:
            sys.stdout.write(text)
        else:
            write(Path(name), text)
            say(f"wrote {name}")
