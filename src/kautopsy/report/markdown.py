"""A report as Markdown, for a ticket or a mail: GitHub's flavour, readable as plain text too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kautopsy.model.base import Unreadable
from kautopsy.model.crash import Frame
from kautopsy.model.finding import Culprit, Finding
from kautopsy.model.machine import MemoryUse
from kautopsy.model.report import Report
from kautopsy.report import units, words
from kautopsy.report.escape import clip, markdown, markdown_block, markdown_code
from kautopsy.report.links import SourceLinks
from kautopsy.report.timeline import timeline

_LOG_LINES = 60
_ROWS = 40
_FRAMES = 100
_TEXT = 4000
_LINE = 400


def render(report: Report, *, links: SourceLinks | None = None) -> str:
    """``report`` as a Markdown document.

    :param links: where source files can be looked at; by default file and line are text
    """
    links = links or SourceLinks()
    blocks = [
        *_verdict(report, links),
        *_lacks(report),
        *_facts(report),
        *_log(report),
        *_waits(report),
        *_cpus(report),
        *_memory(report.memory),
        *_backtraces(report, links),
        *_others(report, links),
    ]
    return "\n\n".join(blocks) + "\n"


def _prose(text: str) -> str:
    return markdown(clip(text, _TEXT))


def _code(text: str) -> str:
    return markdown_code(clip(text, _LINE))


def _verdict(report: Report, links: SourceLinks) -> Iterator[str]:
    verdict = report.verdict
    if verdict is None:
        yield "# No verdict"
        yield "The analysis did not get that far; what it found is below."
        return
    yield f"# {verdict.kind.value}: {_prose(verdict.title)}"
    line = f"**Confidence {verdict.confidence:.0%}**"
    if verdict.culprit is not None:
        line += f" · culprit {_culprit(verdict.culprit, links)}"
    yield line
    crash = report.crash
    if crash is not None and (crash.kind is not verdict.kind or crash.title != verdict.title):
        yield f"The kernel reported: {_code(words.reported(crash))}"
    finding = words.verdict_finding(report)
    if finding is not None:
        yield from _finding(finding)


def _culprit(culprit: Culprit, links: SourceLinks) -> str:
    text = _code(culprit.function or "(unknown function)")
    if culprit.module:
        text += f" of module {_code(culprit.module)}"
    if culprit.file:
        text += f" at {_place(culprit.file, culprit.line, links)}"
    return text


def _place(file: str, line: int | None, links: SourceLinks) -> str:
    text = _code(words.place(file, line))
    url = links.url(file, line)
    return text if url is None else f"[{text}](<{url}>)"


def _finding(finding: Finding) -> Iterator[str]:
    yield _prose(finding.explanation)
    if finding.tasks:
        yield "\n".join(
            f"- {_prose(task.role)}: {_code(words.task(task))}" for task in finding.tasks[:_ROWS]
        )
    if finding.next:
        yield "**What to do next**"
        yield "\n".join(f"{i}. {_prose(step)}" for i, step in enumerate(finding.next, 1))
    if finding.evidence:
        yield "**Evidence**"
        yield _table(
            ("What", "Value", "Shown by"),
            [
                (_prose(item.what), _prose(item.value), _code(item.show) if item.show else "")
                for item in finding.evidence
            ],
        )


def _lacks(report: Report) -> Iterator[str]:
    lacks = words.lacks(report)
    if lacks:
        yield "## What this report lacks"
        yield "\n".join(f"- {_prose(note)}" for note in lacks)


def _facts(report: Report) -> Iterator[str]:
    rows = [(fact.label, _prose(fact.value)) for fact in words.facts(report)]
    if rows:
        yield "## The machine"
        yield _table(("", ""), rows)


def _log(report: Report) -> Iterator[str]:
    if isinstance(report.log, Unreadable):
        yield "## The last lines of the log"
        yield _prose(str(report.log))
        return
    story = timeline(report)
    if not story.moments:
        return
    yield "## The last lines of the log"
    stop = len(story.moments)
    if story.crash is not None:
        stop = min(stop, story.crash + _LOG_LINES // 2)
    lines = [clip(moment.line, _LINE) for moment in story.moments[max(stop - _LOG_LINES, 0) : stop]]
    yield markdown_block("\n".join(lines))


def _waits(report: Report) -> Iterator[str]:
    if isinstance(report.waits, Unreadable):
        yield "## Who waits for whom"
        yield _prose(str(report.waits))
    elif report.waits:
        yield "## Who waits for whom"
        yield _table(
            ("Waits", "For", "Held by", "In", "Since"),
            [
                (
                    _code(words.task(edge.waiter)),
                    _code(words.lock(edge)),
                    "unknown" if edge.owner is None else _code(words.task(edge.owner)),
                    _code(edge.function) if edge.function else "",
                    "" if edge.seconds is None else units.span(edge.seconds),
                )
                for edge in report.waits[:_ROWS]
            ],
            len(report.waits),
        )


def _cpus(report: Report) -> Iterator[str]:
    if isinstance(report.cpus, Unreadable):
        yield "## CPUs"
        yield _prose(str(report.cpus))
    elif report.cpus:
        yield "## CPUs"
        telling = [cpu for cpu in report.cpus if not words.dull(cpu)] or list(report.cpus)
        yield _table(
            ("CPU", "Context", "Task", "In", "Note"),
            [
                (
                    f"{cpu.cpu}{' (crashed)' if cpu.crashed else ''}",
                    cpu.context.value,
                    _code(words.cpu_runs(cpu)) if words.cpu_runs(cpu) else "idle",
                    _code(cpu.function) if cpu.function else "",
                    _prose(cpu.note),
                )
                for cpu in telling[:_ROWS]
            ],
            len(telling),
        )
        if len(telling) < len(report.cpus):
            yield f"{len(report.cpus) - len(telling)} more CPUs were idle."


def _memory(memory: MemoryUse | None) -> Iterator[str]:
    if memory is None:
        return
    yield "## Memory"
    rows = words.memory_parts(memory)
    whole = max(sum(size for _name, size in rows), 1)
    yield _table(
        ("", "Size", "Share"),
        [(words.MEMORY[name], units.size(size), units.share(size, whole)) for name, size in rows],
    )
    if memory.largest:
        yield "**Largest consumers**"
        yield _table(
            ("What", "Name", "Size"),
            [
                (words.consumer_kind(one), _code(words.consumer(one)), units.size(one.bytes))
                for one in memory.largest[:_ROWS]
            ],
        )


def _backtraces(report: Report, links: SourceLinks) -> Iterator[str]:
    if report.crash is not None:
        task = report.crash.task
        yield (
            "## Backtrace"
            + ("" if task is None else f" of {_code(words.task(task))}")
            + (", as the log has it" if words.from_log(report) else "")
        )
        yield _frames(report.crash.frames, links)
    for trace in report.backtraces:
        standing = words.standing(trace)
        yield f"### {_code(words.task(trace.task))}, {_prose(trace.role)}" + (
            f", {_prose(standing)}" if standing else ""
        )
        if isinstance(trace.frames, Unreadable):
            yield _prose(str(trace.frames))
        else:
            yield _frames(trace.frames, links)


def _frames(frames: tuple[Frame, ...], links: SourceLinks) -> str:
    if not frames:
        return "None could be had."
    shown = list(words.numbered(frames[:_FRAMES]))
    if not links.template:
        lines = [
            f"{'' if number is None else f'#{number}':>4} {clip(words.frame(frame), _LINE)}"
            for number, frame in shown
        ]
        return markdown_block("\n".join(lines))
    # Links do not work inside a block of code.
    lines = []
    for number, frame in shown:
        name = "" if frame.reliable else "? "
        name += (frame.function or "(unknown)") + words.offset(frame)
        name += f" [{frame.module}]" if frame.module else ""
        where = f" at {_place(frame.file, frame.line, links)}" if frame.file else ""
        lines.append(f"- {'inlined' if number is None else f'#{number}'} {_code(name)}{where}")
    return "\n".join(lines)


def _others(report: Report, links: SourceLinks) -> Iterator[str]:
    others = words.other_findings(report)
    if not others:
        return
    yield "## Also found"
    for finding in others:
        yield f"### {finding.kind.value}: {_prose(finding.title)} ({finding.confidence:.0%})"
        if finding.culprit is not None:
            yield f"Culprit: {_culprit(finding.culprit, links)}"
        yield from _finding(finding)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], count: int = 0) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    if count > len(rows):
        lines += ["", f"{count - len(rows)} more are not shown."]
    return "\n".join(lines)
