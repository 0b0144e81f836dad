"""Groups: ranked by harm; one group with everything; what people say of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urlencode

from sqlalchemy import Connection
from starlette.responses import Response
from starlette.routing import Route

from kautopsy.fleet import changes, queries
from kautopsy.fleet.attribution import attribution
from kautopsy.fleet.nouns import GroupFilter, GroupSort, GroupState, Role
from kautopsy.model.crash import Kind
from kautopsy.model.errors import UsageError
from kautopsy.web.context import Context, Page, endpoint

PER_PAGE = 50
_E = TypeVar("_E", GroupState, GroupSort)


def listed(context: Context) -> Response:
    """The front page: what harms most, and the fleet in figures."""
    wanted = filter_of(context)
    with context.database.read() as connection:
        page = queries.groups.ranked(connection, wanted)
        days = queries.groups.days(connection)
        readiness = queries.readiness.summary(connection)
    return context.render(
        "groups.html", page=page, wanted=wanted, days=days, readiness=readiness,
        states=list(GroupState), sorts=list(GroupSort), kinds=[kind.value for kind in Kind],
        per_page=PER_PAGE, same=_same(context),
        deaths=sum(one.deaths for one in days if one.day > time.time() - 30 * 86400),
    )  # fmt: skip


def _same(context: Context) -> str:
    """The address's parameters without the offset, to go on with."""
    pairs = [(k, v) for k, v in context.request.query_params.multi_items() if k != "offset"]
    return urlencode(pairs) + "&" if pairs else ""


def filter_of(context: Context) -> GroupFilter:
    """The filter that the address describes.

    :raises UsageError: a state or an order that there is not
    """
    states = tuple(
        _word(GroupState, text, "state")
        for text in context.request.query_params.getlist("state")
        if text and text != "all"
    )
    sort = context.query("sort")
    return GroupFilter(
        state=states,
        all_states=context.query("state") == "all",
        kind=context.query("kind"),
        owner=context.query("owner"),
        text=context.query("text").strip(),
        function=context.query("function"),
        module=context.query("module"),
        host=context.query("host"),
        release=context.query("release"),
        sort=_word(GroupSort, sort, "sort") if sort else GroupSort.HARM,
        limit=PER_PAGE,
        offset=context.number("offset"),
    )


def _word(kind: type[_E], text: str, name: str) -> _E:
    try:
        return kind(text)
    except ValueError:
        raise UsageError(
            f"is no {name}", thing=text, hint=f"one of {', '.join(kind)}", slug=f"bad-{name}"
        ) from None


def group(context: Context) -> Response:
    """One group."""
    number = context.number("group")
    offset = context.number("offset")
    with context.database.read() as connection:
        detail = queries.groups.detail(connection, number)
        if detail.redirected_from is not None:
            return context.go(f"/groups/{detail.group.id}")
        crashes = queries.groups.crashes_of(connection, number, limit=PER_PAGE, offset=offset)
        follows = attribution(connection, number)
        exemplar = (
            queries.crashes.detail(connection, detail.exemplars[0].id) if detail.exemplars else None
        )
    return context.render(
        "group.html", detail=detail, group=detail.group, crashes=crashes, exemplar=exemplar,
        states=list(GroupState), offset=offset, per_page=PER_PAGE, follows=follows,
    )  # fmt: skip


def _changed(
    context: Context, done: str, change: Callable[[Connection, int], int | None]
) -> Response:
    """Change the group of the path, and go to it, or to the one whose number came of it."""
    with context.database.write() as connection:
        number = change(connection, context.number("group"))
    return context.go(f"/groups/{number or context.number('group')}", done)


def _by(context: Context) -> dict[str, str]:
    return {"by": context.name, "address": context.address}


def set_state(context: Context) -> Response:
    """New, known, fixed in a release, ignored until a day."""
    form = context.form
    state = _word(GroupState, form.get("state", ""), "state")
    fixed_in = form.get("fixed_in", "").strip()
    until = _day(form.get("ignored_until", ""))
    return _changed(
        context,
        "state",
        lambda connection, number: changes.triage.set_state(
            connection, number, state, fixed_in=fixed_in, ignored_until=until, **_by(context)
        ),
    )


def _day(text: str) -> float | None:
    if not text:
        return None
    try:
        # The end of that day.
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() + 86399
    except ValueError:
        raise UsageError("is no day", thing=text, slug="bad-time", hint="2026-12-31") from None


def set_owner(context: Context) -> Response:
    """Who looks after it."""
    owner = context.form.get("owner", "")
    return _changed(
        context,
        "owner",
        lambda connection, number: changes.triage.set_owner(
            connection, number, owner, **_by(context)
        ),
    )


def add_note(context: Context) -> Response:
    """Something to know about it."""

    def change(connection: Connection, number: int) -> None:
        changes.triage.add_note(
            connection, "group", number, context.form.get("text", ""), **_by(context)
        )

    return _changed(context, "note", change)


def add_link(context: Context) -> Response:
    """A bug tracker's page, a commit."""
    url, label = context.form.get("url", ""), context.form.get("label", "")[:200]

    def change(connection: Connection, number: int) -> None:
        changes.triage.add_link(connection, number, url, label=label, **_by(context))

    return _changed(context, "link", change)


def remove_link(context: Context) -> Response:
    """Take a link away."""
    link = context.number("link")
    return _changed(
        context,
        "unlink",
        lambda connection, _number: changes.triage.remove_link(connection, link, **_by(context)),
    )


def merge(context: Context) -> Response:
    """This group is the same bug as another: it goes into that one."""
    into = context.number("into")
    return _changed(
        context,
        "merge",
        lambda connection, number: changes.triage.merge(
            connection, number, into, why=_why(context), **_by(context)
        ),
    )


def different(context: Context) -> Response:
    """This group is another bug than one that looks like it."""
    other = context.number("other")
    return _changed(
        context,
        "different",
        lambda connection, number: changes.triage.not_the_same(
            connection, number, other, why=_why(context), **_by(context)
        ),
    )


def split(context: Context) -> Response:
    """Crashes that are another bug: their numbers, with commas or spaces between."""
    words = context.form.get("crashes", "").replace(",", " ").split()
    if not all(word.isascii() and word.isdigit() and len(word) < 12 for word in words):
        raise UsageError("are numbers of crashes", thing="crashes", slug="bad-crashes")
    return _changed(
        context,
        "split",
        lambda connection, number: changes.triage.split(
            connection, number, [int(word) for word in words], why=_why(context), **_by(context)
        ),
    )


def part(context: Context) -> Response:
    """A signature that is another bug."""
    signature = context.number("signature")
    return _changed(
        context,
        "part",
        lambda connection, number: changes.triage.part(
            connection, number, signature, why=_why(context), **_by(context)
        ),
    )


def _why(context: Context) -> str:
    return context.form.get("why", "")


def _post(path: str, page: Page) -> Route:
    return Route(path, endpoint(page, Role.TRIAGER), methods=["POST"])


ROUTES = [
    Route("/", endpoint(listed), methods=["GET"]),
    Route("/groups/{group}", endpoint(group), methods=["GET"]),
    _post("/groups/{group}/state", set_state),
    _post("/groups/{group}/owner", set_owner),
    _post("/groups/{group}/notes", add_note),
    _post("/groups/{group}/links", add_link),
    _post("/groups/{group}/links/{link}/remove", remove_link),
    _post("/groups/{group}/merge", merge),
    _post("/groups/{group}/different", different),
    _post("/groups/{group}/split", split),
    _post("/groups/{group}/part", part),
]
