"""Crashes: the newest, one, its report, and two side by side."""

from __future__ import annotations

from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from kautopsy.fleet import changes, queries
from kautopsy.fleet.nouns import Role
from kautopsy.model.base import to_json
from kautopsy.model.errors import UnreadableError
from kautopsy.report import page as report_page
from kautopsy.report import words
from kautopsy.web.context import Context, endpoint

PER_PAGE = 100


def newest(context: Context) -> Response:
    """The fleet's crashes, the newest first."""
    offset = context.number("offset")
    with context.database.read() as connection:
        page = queries.crashes.newest(connection, limit=PER_PAGE, offset=offset)
    return context.render("crashes.html", page=page, offset=offset, per_page=PER_PAGE)


def crash(context: Context) -> Response:
    """One crash."""
    with context.database.read() as connection:
        detail = queries.crashes.detail(connection, context.number("crash"))
        exemplars = queries.groups.detail(connection, detail.group.id).exemplars
    finding = words.verdict_finding(detail.report) if detail.report is not None else None
    return context.render(
        "crash.html", detail=detail, crash=detail.crash, document=detail.document,
        report=detail.report, finding=finding,
        others=[one for one in exemplars if one.id != detail.crash.id],
    )  # fmt: skip


def report(context: Context) -> Response:
    """The report as one HTML file, as ``kautopsy report --html`` writes it."""
    with context.database.read() as connection:
        detail = queries.crashes.detail(connection, context.number("crash"))
    if detail.report is None:
        raise UnreadableError(
            "only its line is kept, not its report", thing=f"crash {detail.crash.id}",
            slug="no-such-report", hint="exemplars of its group are kept in full",
        )  # fmt: skip
    text = report_page.render(detail.report)
    # The page brings its own policy, by the hashes of its style and script; ours would forbid them.
    return HTMLResponse(text, headers={"content-security-policy": "frame-ancestors 'none'"})


def report_json(context: Context) -> Response:
    """The report as ``kautopsy report --json`` prints it."""
    with context.database.read() as connection:
        detail = queries.crashes.detail(connection, context.number("crash"))
    if detail.report is None:
        raise UnreadableError(
            "its report is not kept", thing=f"crash {detail.crash.id}", slug="no-such-report"
        )
    return Response(to_json(detail.report), media_type="application/json")


def diff(context: Context) -> Response:
    """Two crashes side by side."""
    with context.database.read() as connection:
        found = queries.compare.diff(connection, context.number("one"), context.number("other"))
    return context.render("diff.html", diff=found)


def add_note(context: Context) -> Response:
    """Something to know about one crash."""
    number = context.number("crash")
    with context.database.write() as connection:
        changes.triage.add_note(
            connection,
            "crash",
            number,
            context.form.get("text", ""),
            by=context.name,
            address=context.address,
        )
    return context.go(f"/crashes/{number}", "note")


ROUTES = [
    Route("/crashes", endpoint(newest), methods=["GET"]),
    Route("/crashes/{crash}", endpoint(crash), methods=["GET"]),
    Route("/crashes/{crash}/report", endpoint(report), methods=["GET"]),
    Route("/crashes/{crash}/report.json", endpoint(report_json), methods=["GET"]),
    Route("/crashes/{crash}/notes", endpoint(add_note, Role.TRIAGER), methods=["POST"]),
    Route("/diff", endpoint(diff), methods=["GET"]),
]
