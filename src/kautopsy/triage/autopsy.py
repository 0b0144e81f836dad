"""The autopsy of one dump: header, crash, findings, verdict, in the order they become known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from kautopsy.kernel.reading import known, readable
from kautopsy.kernel.system import system
from kautopsy.kernel.threads import missing_in_words
from kautopsy.model.base import Unreadable
from kautopsy.model.dump import DumpFile
from kautopsy.model.report import Report
from kautopsy.symbols.ladder import OpenedDump, open_program
from kautopsy.triage.detector import investigate
from kautopsy.triage.picture import backtraces, cpu_states, wait_edges
from kautopsy.triage.reported import reported, told
from kautopsy.triage.scene import Scene
from kautopsy.triage.verdict import DOUBTED, weigh

LOG_LINES = 400
"""How many of the log's last lines a report carries."""


def autopsy(path: Path, *, vmlinux: Path | None = None, debuginfo: bool = True) -> Report:
    """The whole report on the dump at ``path``.

    :param vmlinux: of exactly this kernel, with debugging information
    :param debuginfo: whether to look for debugging information where ``vmlinux`` is not given
    :raises UnreadableError: the file is not a dump that can be opened, or ``vmlinux`` is another's
    """
    *_, last = autopsy_steps(path, vmlinux=vmlinux, debuginfo=debuginfo)
    return last


def autopsy_steps(
    path: Path, *, vmlinux: Path | None = None, debuginfo: bool = True
) -> Iterator[Report]:
    """As :func:`autopsy`, in ever fuller reports: header first, then the crash, then findings.

    :raises UnreadableError: as :func:`autopsy`, before the first report
    """
    yield from examine(open_program(path, vmlinux=vmlinux, debuginfo=debuginfo))


def examine(opened: OpenedDump) -> Iterator[Report]:
    """As :func:`autopsy_steps`, of a dump that is open already."""
    scene = Scene(opened.program, opened.dump, opened.symbols)
    log = scene.log
    lines: tuple[str, ...] | Unreadable
    if isinstance(log, Unreadable):
        lines = log
        header = system(scene.program, log)
    else:
        lines = tuple(str(record) for record in log)
        header = system(scene.program, scene.log_lines)
    report = Report(
        dump=_with_problems(scene),
        symbols=opened.symbols,
        system=header,
        crash=None,
        log=lines if isinstance(lines, Unreadable) else lines[-LOG_LINES:],
    )
    yield report

    scene.told = told(scene)
    scene.crash = reported(scene, header)
    report = msgspec.structs.replace(report, crash=scene.crash)
    yield report

    report = _with_pictures(report, scene)
    yield report

    for finding in investigate(scene):
        if not scene.dump.consistent:
            finding = msgspec.structs.replace(finding, confidence=min(finding.confidence, DOUBTED))
        report = msgspec.structs.replace(report, findings=(*report.findings, finding))
        yield report
    yield msgspec.structs.replace(
        report,
        backtraces=known(readable(lambda: backtraces(scene, report.findings)), ()),
        verdict=weigh(report.findings, trigger=scene.crash.trigger, reported=scene.crash.kind),
        symbols=msgspec.structs.replace(
            report.symbols, notes=(*report.symbols.notes, *dict.fromkeys(scene.notes))
        ),
    )


def _with_problems(scene: Scene) -> DumpFile:
    """The dump, with what only a look inside tells about its completeness."""
    if not scene.has_types:
        return scene.dump
    problem = missing_in_words(scene.program)
    if problem is None:
        return scene.dump
    return msgspec.structs.replace(scene.dump, problems=(*scene.dump.problems, problem))


def _with_pictures(report: Report, scene: Scene) -> Report:
    if not scene.has_types:
        return report
    return msgspec.structs.replace(
        report,
        cpus=readable(lambda: cpu_states(scene)),
        waits=readable(lambda: wait_edges(scene)),
        memory=scene.memory,
    )
