"""What there is: groups, crashes, hosts, readiness, drills."""

from __future__ import annotations

from kautopsy.fleet import migrate, queries
from kautopsy.fleet.attribution import attribution
from kautopsy.fleet.nouns import (
    Attribution,
    CrashDetail,
    CrashDiff,
    CrashPage,
    DrillDetail,
    DrillRow,
    FleetStatus,
    GroupDetail,
    GroupPage,
    HostDetail,
    HostPage,
    ReadinessSummary,
    SearchHit,
)
from kautopsy.model.base import Noun
from kautopsy.model.errors import UnreadableError
from kautopsy.model.report import Report
from kautopsy.web.api.operation import Call, Operation, Parameter
from kautopsy.web.pages.groups import filter_of

_PER_PAGE = 100
_OFFSET = Parameter("offset", "how many to pass over", number=True)


class Hits(Noun, frozen=True, kw_only=True):
    """What a search found."""

    hits: tuple[SearchHit, ...]


class Drills(Noun, frozen=True, kw_only=True):
    """Drills, the newest first."""

    drills: tuple[DrillRow, ...]


def _groups(call: Call) -> GroupPage:
    with call.context.database.read() as connection:
        return queries.groups.ranked(connection, filter_of(call.context))


def _group(call: Call) -> GroupDetail:
    with call.context.database.read() as connection:
        return queries.groups.detail(connection, call.context.number("group"))


def _attribution(call: Call) -> Attribution:
    with call.context.database.read() as connection:
        return attribution(connection, call.context.number("group"))


def _group_crashes(call: Call) -> CrashPage:
    with call.context.database.read() as connection:
        return queries.groups.crashes_of(
            connection,
            call.context.number("group"),
            limit=_PER_PAGE,
            offset=call.context.number("offset"),
        )


def _crashes(call: Call) -> CrashPage:
    with call.context.database.read() as connection:
        return queries.crashes.newest(
            connection, limit=_PER_PAGE, offset=call.context.number("offset")
        )


def _crash(call: Call) -> CrashDetail:
    with call.context.database.read() as connection:
        return queries.crashes.detail(connection, call.context.number("crash"))


def _report(call: Call) -> Report:
    report = _crash(call).report
    if report is None:
        raise UnreadableError("its report is not kept", slug="no-such-report")
    return report


def _diff(call: Call) -> CrashDiff:
    with call.context.database.read() as connection:
        return queries.compare.diff(
            connection, call.context.number("one"), call.context.number("other")
        )


def _hosts(call: Call) -> HostPage:
    ready = {"true": True, "false": False}.get(call.context.query("ready"))
    with call.context.database.read() as connection:
        return queries.hosts.listed(
            connection,
            text=call.context.query("text"),
            ready=ready,
            limit=_PER_PAGE,
            offset=call.context.number("offset"),
        )


def _host(call: Call) -> HostDetail:
    with call.context.database.read() as connection:
        return queries.hosts.detail(connection, str(call.context.request.path_params["host"]))


def _readiness(call: Call) -> ReadinessSummary:
    with call.context.database.read() as connection:
        return queries.readiness.summary(connection)


def _drills(call: Call) -> Drills:
    with call.context.database.read() as connection:
        return Drills(
            drills=queries.readiness.drills(
                connection,
                host=call.context.query("host"),
                limit=_PER_PAGE,
                offset=call.context.number("offset"),
            )
        )


def _drill(call: Call) -> DrillDetail:
    with call.context.database.read() as connection:
        return queries.readiness.drill(connection, call.context.number("drill"))


def _search(call: Call) -> Hits:
    with call.context.database.read() as connection:
        return Hits(hits=queries.search.search(connection, call.context.query("q")[:500]))


def _status(call: Call) -> FleetStatus:
    database = call.context.database
    with database.read() as connection:
        return queries.work.status(connection, database=database.url, revision=migrate.head())


_FILTER = (
    Parameter("state", "new, known, fixed, ignored (several may be given), or all"),
    Parameter("kind", "of crash, as null-dereference"),
    Parameter("owner", "who looks after it"),
    Parameter("text", "stands in the title, a frame, a note"),
    Parameter("function", "stands in a stack"),
    Parameter("module", "stands in a stack"),
    Parameter("host", "was hit by it"),
    Parameter("release", "of a kernel that was hit by it"),
    Parameter("sort", "harm, last_seen, first_seen, crashes or hosts"),
    _OFFSET,
)

OPERATIONS = (
    Operation("GET", "/groups", "Groups, ranked.", GroupPage, _groups, parameters=_FILTER),
    Operation("GET", "/groups/{group}", "One group.", GroupDetail, _group),
    Operation(
        "GET", "/groups/{group}/attribution", "What it follows: host, model, kernel.", Attribution,
        _attribution,
    ),
    Operation(
        "GET", "/groups/{group}/crashes", "Its crashes, the newest first.", CrashPage,
        _group_crashes, parameters=(_OFFSET,),
    ),
    Operation(
        "GET", "/crashes", "Crashes, the newest first.", CrashPage, _crashes,
        parameters=(_OFFSET,),
    ),
    Operation("GET", "/crashes/{crash}", "One crash.", CrashDetail, _crash),
    Operation("GET", "/crashes/{crash}/report", "Its report.", Report, _report),
    Operation(
        "GET", "/diff", "Two crashes side by side.", CrashDiff, _diff,
        parameters=(
            Parameter("one", "a crash", number=True),
            Parameter("other", "a crash", number=True),
        ),
    ),
    Operation(
        "GET", "/hosts", "Hosts, those that died most first.", HostPage, _hosts,
        parameters=(
            Parameter("text", "stands in the name, model or firmware"),
            Parameter("ready", "true or false"),
            _OFFSET,
        ),
    ),
    Operation("GET", "/hosts/{host:path}", "One host.", HostDetail, _host),
    Operation("GET", "/readiness", "Who could dump.", ReadinessSummary, _readiness),
    Operation(
        "GET", "/drills", "Drills, the newest first.", Drills, _drills,
        parameters=(Parameter("host", "of this host"), _OFFSET),
    ),
    Operation("GET", "/drills/{drill}", "One drill.", DrillDetail, _drill),
    Operation(
        "GET", "/search", "Groups, hosts, functions, modules.", Hits, _search,
        parameters=(Parameter("q", "words"),),
    ),
    Operation("GET", "/status", "The store in figures.", FleetStatus, _status),
)  # fmt: skip
