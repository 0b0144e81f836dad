"""Hosts, their readiness, their drills; and the search over everything."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from kautopsy.fleet import changes, queries
from kautopsy.fleet.nouns import Role
from kautopsy.web.context import Context, endpoint

PER_PAGE = 100
_READY = {"yes": True, "no": False}


def hosts(context: Context) -> Response:
    """Hosts, those that died most first."""
    text, ready, offset = context.query("text"), context.query("ready"), context.number("offset")
    with context.database.read() as connection:
        page = queries.hosts.listed(
            connection, text=text, ready=_READY.get(ready), limit=PER_PAGE, offset=offset
        )
    return context.render(
        "hosts.html", page=page, text=text, ready=ready, offset=offset, per_page=PER_PAGE
    )


def host(context: Context) -> Response:
    """One host."""
    name = str(context.request.path_params["host"])
    offset = context.number("offset")
    with context.database.read() as connection:
        detail = queries.hosts.detail(connection, name)
        crashes = queries.crashes.of_host(connection, name, limit=PER_PAGE, offset=offset)
    return context.render(
        "host.html", detail=detail, host=detail.host, crashes=crashes, offset=offset,
        per_page=PER_PAGE,
    )  # fmt: skip


def add_note(context: Context) -> Response:
    """Something to know about one host."""
    name = str(context.request.path_params["host"])
    with context.database.write() as connection:
        changes.triage.add_note(
            connection,
            "host",
            name,
            context.form.get("text", ""),
            by=context.name,
            address=context.address,
        )
    return context.go(f"/hosts/{context.request.path_params['host']}", "note")


def readiness(context: Context) -> Response:
    """Who could not dump if it died now, and why; who died without a word."""
    with context.database.read() as connection:
        summary = queries.readiness.summary(connection)
        silent = queries.readiness.silent_deaths(connection)
    return context.render("readiness.html", summary=summary, silent=silent)


def reason(context: Context) -> Response:
    """The hosts on which one check does not pass."""
    check, status = context.query("check"), context.query("status")
    offset = context.number("offset")
    with context.database.read() as connection:
        rows = queries.readiness.by_reason(
            connection, check, status=status, limit=PER_PAGE + 1, offset=offset
        )
    return context.render(
        "reason.html", check=check, status_word=status, rows=rows[:PER_PAGE],
        more=len(rows) > PER_PAGE, offset=offset, per_page=PER_PAGE,
    )  # fmt: skip


def drills(context: Context) -> Response:
    """Drills, the newest first."""
    offset = context.number("offset")
    with context.database.read() as connection:
        rows = queries.readiness.drills(connection, limit=PER_PAGE + 1, offset=offset)
    return context.render(
        "drills.html", rows=rows[:PER_PAGE], more=len(rows) > PER_PAGE, offset=offset,
        per_page=PER_PAGE,
    )  # fmt: skip


def drill(context: Context) -> Response:
    """One drill, stage by stage."""
    with context.database.read() as connection:
        detail = queries.readiness.drill(connection, context.number("drill"))
    return context.render("drill.html", drill=detail.drill, record=detail.record)


def search(context: Context) -> Response:
    """One field for everything."""
    text = context.query("q")[:500]
    with context.database.read() as connection:
        hits = queries.search.search(connection, text)
    return context.render("search.html", text=text, hits=hits)


ROUTES = [
    Route("/hosts", endpoint(hosts), methods=["GET"]),
    Route("/hosts/{host:path}/notes", endpoint(add_note, Role.TRIAGER), methods=["POST"]),
    Route("/hosts/{host:path}", endpoint(host), methods=["GET"]),
    Route("/readiness", endpoint(readiness), methods=["GET"]),
    Route("/readiness/hosts", endpoint(reason), methods=["GET"]),
    Route("/drills", endpoint(drills), methods=["GET"]),
    Route("/drills/{drill}", endpoint(drill), methods=["GET"]),
    Route("/search", endpoint(search), methods=["GET"]),
]
