"""The page: verdict first, then what proves it, then everything else there is."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import kautopsy
from kautopsy.model.base import Unreadable
from kautopsy.model.crash import Crash
from kautopsy.model.finding import Evidence, Finding, Severity, Verdict
from kautopsy.model.report import Report
from kautopsy.report import units, words
from kautopsy.report.escape import clip, one_line
from kautopsy.report.links import SourceLinks
from kautopsy.report.page import machine, story, waits
from kautopsy.report.page.backtraces import backtrace, place
from kautopsy.report.page.markup import Content, Node, code_hash, el, inline
from kautopsy.report.page.markup import render as markup
from kautopsy.report.page.parts import Number, badge, copyable, fold, section, table
from kautopsy.report.timeline import timeline

_TONES = {Severity.FATAL: "fatal", Severity.WARNING: "warning", Severity.INFO: "info"}
_PROSE = 4000
_LINE = 400


def render(report: Report, *, links: SourceLinks | None = None) -> str:
    """``report`` as one HTML document.

    :param links: where source files can be looked at; by default file and line are text
    """
    links = links or SourceLinks()
    style = _resource("style.css")
    script = _resource("script.js")
    policy = (
        f"default-src 'none'; style-src {code_hash(style)}; script-src {code_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = list(_sections(report, links))
    document = el(
        "html",
        el(
            "head",
            el("meta", charset="utf-8"),
            el("meta", http_equiv="Content-Security-Policy", content=policy),
            el("meta", name="viewport", content="width=device-width, initial-scale=1"),
            el("meta", name="color-scheme", content="light dark"),
            el("meta", name="referrer", content="no-referrer"),
            el("meta", name="robots", content="noindex"),
            el("meta", name="generator", content=f"kautopsy {kautopsy.__version__}"),
            el("title", _title(report)),
            inline("style", style),
        ),
        el(
            "body",
            waits.tips(),
            el(
                "header",
                el(
                    "p",
                    el("b", "kautopsy"),
                    " report on ",
                    el("code", clip(_subject(report), _LINE)),
                    class_="subject",
                ),
            ),
            el(
                "main",
                el("div", _verdict(report, links), _lacks(report), class_="lead"),
                el(
                    "nav",
                    [el("a", title, href=f"#{name}") for name, title, _node in parts],
                    aria_label="Sections",
                ),
                [node for _name, _title_, node in parts],
                class_="sided" if any(name == "machine" for name, _t, _n in parts) else None,
            ),
            el(
                "footer",
                f"kautopsy {kautopsy.__version__} · everything in this file is in this file",
            ),
            inline("script", script),
        ),
        lang="en",
    )
    return "<!doctype html>\n" + markup(document) + "\n"


def _resource(name: str) -> str:
    return files("kautopsy.report.page").joinpath(name).read_text(encoding="utf-8")


def _subject(report: Report) -> str:
    if report.dump is not None:
        return report.dump.path
    return report.log_file or "a log"


def _title(report: Report) -> str:
    what = "no verdict" if report.verdict is None else report.verdict.kind.value
    where = report.system.nodename if report.system is not None else None
    return clip(f"{what} · {where if isinstance(where, str) else _subject(report)} · kautopsy", 120)


def _verdict(report: Report, links: SourceLinks) -> Node:
    verdict = report.verdict
    if verdict is None:
        return el(
            "section",
            el("h1", "No verdict"),
            el("p", "The analysis did not get that far; what it found is below."),
            class_="card verdict warning",
        )
    finding = words.verdict_finding(report)
    tone = _TONES[finding.severity] if finding is not None else "warning"
    return el(
        "section",
        el(
            "p",
            badge(verdict.kind.value, tone),
            _confidence(verdict.confidence),
            class_="badges",
        ),
        el("h1", clip(verdict.title, _LINE)),
        _culprit(verdict, links),
        el("p", clip(finding.explanation, _PROSE), class_="prose") if finding else None,
        _reported(report.crash, verdict),
        _tasks(finding) if finding else None,
        _next(finding) if finding else None,
        fold("Evidence", _evidence(finding.evidence), open_=True, class_="evidence")
        if finding and finding.evidence
        else None,
        el("p", "key ", copyable(clip(verdict.key, _LINE)), class_="muted small")
        if verdict.key
        else None,
        id="verdict",
        class_=f"card verdict {tone}",
    )


def _confidence(confidence: float) -> Node:
    return el(
        "span",
        el(
            "svg",
            el("rect", x=0, y=0, width=60, height=8, rx=4, class_="track"),
            el("rect", x=0, y=0, width=60 * confidence, height=8, rx=4, class_="level"),
            viewBox="0 0 60 8",
            width=60,
            height=8,
            aria_hidden="true",
        ),
        f" confidence {confidence:.0%}",
        class_="confidence",
    )


def _culprit(verdict: Verdict, links: SourceLinks) -> Node | None:
    culprit = verdict.culprit
    if culprit is None:
        return None
    return el(
        "p",
        "Culprit: ",
        el("code", el("b", clip(culprit.function or "(unknown function)", 200))),
        (" of module ", el("code", clip(culprit.module, 100), class_="module"))
        if culprit.module
        else None,
        (" at ", place(culprit.file, culprit.line, links)) if culprit.file else None,
        class_="culprit",
    )


def _reported(crash: Crash | None, verdict: Verdict) -> Node | None:
    if crash is None or (crash.kind is verdict.kind and crash.title == verdict.title):
        return None
    return el(
        "p",
        "The kernel reported: ",
        badge(crash.kind.value),
        " ",
        el("code", clip(crash.title, _LINE)),
        f" (trigger: {crash.trigger.value})" if crash.trigger is not None else None,
        class_="reported",
    )


def _tasks(finding: Finding) -> Node | None:
    if not finding.tasks:
        return None
    return el(
        "ul",
        [
            el(
                "li",
                el("span", clip(task.role, 60), class_="role"),
                el("code", clip(task.comm, 60)),
                el("span", f" pid {task.pid}", class_="muted"),
            )
            for task in finding.tasks[:100]
        ],
        el("li", f"and {len(finding.tasks) - 100} more") if len(finding.tasks) > 100 else None,
        class_="tasks",
        aria_label="Tasks that play a part",
    )


def _next(finding: Finding) -> Content:
    if not finding.next:
        return None
    return (
        el("h2", "What to do next"),
        el("ol", [el("li", clip(step, _PROSE)) for step in finding.next], class_="next"),
    )


def _evidence(evidence: tuple[Evidence, ...]) -> Node:
    return el(
        "dl",
        [
            (
                el("dt", clip(item.what, _LINE)),
                el(
                    "dd",
                    el("span", clip(item.value, _PROSE), class_="value"),
                    (" ", copyable(clip(item.show, _LINE))) if item.show else None,
                ),
            )
            for item in evidence
        ],
        class_="facts",
    )


def _lacks(report: Report) -> Node | None:
    lacks = words.lacks(report)
    if not lacks:
        return None
    return el(
        "section",
        el("h2", "What this report lacks"),
        el("ul", [el("li", clip(note, _PROSE)) for note in lacks]),
        class_="card lacks",
    )


def _sections(report: Report, links: SourceLinks) -> Iterator[tuple[str, str, Node]]:
    """Name, title and content of every section that has something to say."""

    def one(name: str, title: str, *content: Content) -> tuple[str, str, Node]:
        return name, title, section(name, title, *content)

    facts = tuple(words.facts(report))
    if facts:
        yield one("machine", "The machine", _facts(report))
    tale = timeline(report)
    if tale.moments or isinstance(report.log, Unreadable):
        yield one("log", "The last minutes", _log(report))
    if isinstance(report.waits, Unreadable):
        yield one("waits", "Who waits for whom", _unreadable(report.waits))
    elif report.waits:
        yield one("waits", "Who waits for whom", _waits(report))
    if isinstance(report.cpus, Unreadable):
        yield one("cpus", "CPUs", _unreadable(report.cpus))
    elif report.cpus:
        yield one("cpus", "CPUs", machine.cpu_strip(report.cpus))
    if report.memory is not None:
        yield one("memory", "Memory", machine.memory_bar(report.memory))
    if report.crash is not None or report.backtraces:
        yield one("backtraces", "Backtraces", _backtraces(report, links))
    others = words.other_findings(report)
    if others:
        yield one("findings", "Also found", [_finding(finding, links) for finding in others])


def _facts(report: Report) -> Node:
    return el(
        "dl",
        [
            (
                el("dt", fact.label),
                el(
                    "dd",
                    clip(one_line(fact.value), _LINE),
                    class_="muted" if fact.missing else None,
                ),
            )
            for fact in words.facts(report)
        ],
        class_="facts",
    )


def _log(report: Report) -> Content:
    if isinstance(report.log, Unreadable):
        return _unreadable(report.log)
    tale = timeline(report)
    return (
        list(story.pictures(tale)),
        story.notable(tale),
        story.whole(tale),
    )


def _unreadable(value: Unreadable) -> Node:
    return el("p", str(value), class_="muted")


def _waits(report: Report) -> Content:
    assert not isinstance(report.waits, Unreadable)
    return (
        el("div", list(waits.pictures(report.waits)), class_="graphs"),
        el(
            "p",
            "Arrows point from who waits to what is waited for, and from a lock to who holds it; "
            "a cycle is a deadlock.",
            class_="muted small",
        ),
        fold(
            f"As a table ({len(report.waits)})",
            table(
                ("Waits", "For", "Held by", "In", "Since"),
                [
                    (
                        el("code", clip(words.task(edge.waiter), 60)),
                        el("code", clip(words.lock(edge), 160)),
                        el("code", clip(words.task(edge.owner), 60)) if edge.owner else "unknown",
                        el("code", clip(edge.function or "", 120)),
                        Number(
                            "" if edge.seconds is None else units.span(edge.seconds),
                            -1 if edge.seconds is None else edge.seconds,
                        ),
                    )
                    for edge in report.waits[:5000]
                ],
                caption="Who waits for whom",
            ),
        ),
    )


def _backtraces(report: Report, links: SourceLinks) -> Iterator[Content]:
    crash = report.crash
    if crash is not None:
        who = "the crash" if crash.task is None else words.task(crash.task)
        on = "" if crash.cpu is None else f" on CPU {crash.cpu}"
        yield fold(
            (
                el("code", clip(who, 80)),
                on,
                ", as the log has it" if words.from_log(report) else "",
                " ",
                badge("crashed", "fatal"),
            ),
            backtrace(crash.frames, links),
            open_=True,
        )
        if crash.registers:
            yield fold(
                "Registers",
                el(
                    "dl",
                    [
                        (el("dt", clip(name, 20)), el("dd", el("code", f"{value:016x}")))
                        for name, value in list(crash.registers.items())[:200]
                    ],
                    class_="registers",
                ),
            )
    for trace in report.backtraces:
        standing = words.standing(trace)
        yield fold(
            (
                el("code", clip(words.task(trace.task), 80)),
                " ",
                badge(clip(trace.role, 40), "info"),
                el("span", f" {clip(standing, 80)}", class_="muted") if standing else None,
            ),
            _unreadable(trace.frames)
            if isinstance(trace.frames, Unreadable)
            else backtrace(trace.frames, links),
        )
    if crash is not None and crash.modules:
        yield fold(
            f"{len(crash.modules)} modules loaded",
            el("p", [(el("code", clip(name, 80)), " ") for name in crash.modules[:2000]]),
            class_="modules",
        )
    if crash is not None and crash.fingerprint is not None:
        yield el(
            "p",
            "fingerprint ",
            copyable(clip(crash.fingerprint.exact, _LINE)),
            class_="muted small",
        )


def _finding(finding: Finding, links: SourceLinks) -> Node:
    culprit = finding.culprit
    return fold(
        (
            badge(finding.kind.value, _TONES[finding.severity]),
            " ",
            el("span", clip(finding.title, _LINE)),
            el("span", f" {finding.confidence:.0%}", class_="muted"),
        ),
        el("p", clip(finding.explanation, _PROSE), class_="prose"),
        el("p", "Culprit: ", el("code", clip(words.culprit(culprit), _LINE))) if culprit else None,
        _tasks(finding),
        _evidence(finding.evidence) if finding.evidence else None,
        el("ol", [el("li", clip(step, _PROSE)) for step in finding.next], class_="next")
        if finding.next
        else None,
    )
