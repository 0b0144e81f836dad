"""Groups: ranked by harm, in detail."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    and_,
    case,
    cast,
    exists,
    func,
    or_,
    select,
)

from kautopsy.fleet import schema
from kautopsy.fleet.database import as_struct
from kautopsy.fleet.grouping.counting import DAY
from kautopsy.fleet.nouns import (
    CrashPage,
    Day,
    Decision,
    GroupBuild,
    GroupDetail,
    GroupFilter,
    GroupHost,
    GroupPage,
    GroupRow,
    GroupSort,
    GroupState,
    Link,
    Note,
    SignatureRow,
    Similar,
)
from kautopsy.fleet.queries import crashes
from kautopsy.model.errors import UnreadableError

HARM_DAYS = 30
_DEATH = 10
"""A death of a machine harms as much as so many reports that it survived."""
_COUNTED = ("crashes", "first_seen", "last_seen")
_G = schema.group.c
_S = TypeVar("_S", bound=msgspec.Struct)


def like(text: str) -> str:
    """A LIKE pattern for "contains ``text``", whose own ``%`` and ``_`` mean themselves."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def contains(column: Any, text: str) -> ColumnElement[bool]:
    """Whether a column contains ``text``, whatever the case."""
    return func.lower(column).like(like(text.lower()), escape="\\")


def ranked(
    connection: Connection, wanted: GroupFilter | None = None, *, now: float | None = None
) -> GroupPage:
    """The groups that ``wanted`` describes, the most harmful first."""
    now = time.time() if now is None else now
    wanted = wanted or GroupFilter()
    conditions = _conditions(wanted, now)
    total = connection.scalar(select(func.count()).select_from(schema.group).where(*conditions))
    order: ColumnElement[Any] = {
        GroupSort.HARM: _harm(now),
        GroupSort.LAST_SEEN: _G.last_seen,
        GroupSort.FIRST_SEEN: _G.first_seen,
        GroupSort.CRASHES: _G.crashes,
        GroupSort.HOSTS: _how_many(schema.group_host),
    }[wanted.sort]
    # Of all groups only what they are ranked by is asked; the rest, of those that are shown.
    found = connection.scalars(
        select(_G.id)
        .where(*conditions)
        .order_by(order.desc(), _G.deaths.desc(), _G.last_seen.desc(), _G.id)
        .limit(wanted.limit)
        .offset(wanted.offset)
    ).all()
    rows = {one.id: one for one in connection.execute(_rows(now).where(_G.id.in_(found)))}
    groups = _with_rates(connection, [rows[number] for number in found])
    return GroupPage(total=total or 0, groups=groups)


def row(connection: Connection, group_id: int, *, now: float | None = None) -> GroupRow:
    """One group; the number of one that was merged away leads to where it went.

    :raises UnreadableError: there is none (``no-such-group``)
    """
    now = time.time() if now is None else now
    number = resolve(connection, group_id)
    rows = connection.execute(_rows(now).where(_G.id == number)).all()
    return _with_rates(connection, rows)[0]


def resolve(connection: Connection, group_id: int) -> int:
    """The number of the group that ``group_id`` is part of now.

    :raises UnreadableError: there is none (``no-such-group``)
    """
    number: int | None = group_id
    while number is not None:
        found = connection.execute(select(_G.merged_into).where(_G.id == number)).first()
        if found is None:
            raise UnreadableError(
                "there is no such group", thing=str(group_id), slug="no-such-group"
            )
        if found[0] is None:
            return number
        number = found[0]
    raise AssertionError


def detail(connection: Connection, group_id: int, *, now: float | None = None) -> GroupDetail:
    """Everything of a group but the list of its crashes (:func:`crashes_of`) and what it follows
    (:func:`kautopsy.fleet.attribution.attribution`).

    Hosts and kernels are the 200 that were hit most.

    :raises UnreadableError: there is none (``no-such-group``)
    """
    group = row(connection, group_id, now=now)
    number = group.id
    return GroupDetail(
        group=group,
        signatures=_signatures(connection, number),
        hosts=_hit(connection, number, schema.group_host, schema.host, GroupHost),
        builds=_hit(connection, number, schema.group_build, schema.build, GroupBuild),
        days=days(connection, number),
        exemplars=crashes.rows(
            connection, schema.crash.c.group_id == number, schema.crash.c.exemplar, limit=20
        ),
        similar=_similar(connection, number),
        notes=notes(connection, "group", number),
        links=tuple(
            as_struct(one, Link)
            for one in connection.execute(
                select(schema.link).where(schema.link.c.group_id == number).order_by("at")
            )
        ),
        decisions=_decisions(connection, number),
        redirected_from=group_id if group_id != number else None,
    )


def crashes_of(
    connection: Connection, group_id: int, *, limit: int = 100, offset: int = 0
) -> CrashPage:
    """The crashes of a group, the newest first."""
    number = resolve(connection, group_id)
    total = connection.scalar(select(_G.crashes).where(_G.id == number))
    found = crashes.rows(connection, schema.crash.c.group_id == number, limit=limit, offset=offset)
    return CrashPage(total=total or 0, crashes=found)


def days(connection: Connection, group_id: int | None = None) -> tuple[Day, ...]:
    """Crashes by day of one group or of all, days without any left out, the oldest first."""
    table = schema.group_day.c
    statement = select(
        table.day, func.sum(table.crashes).label("crashes"), func.sum(table.deaths).label("deaths")
    ).group_by(table.day)
    if group_id is not None:
        statement = statement.where(table.group_id == group_id)
    return tuple(
        Day(day=float(day * DAY), crashes=int(count), deaths=int(deaths))
        for day, count, deaths in connection.execute(statement.order_by(table.day))
    )


def notes(connection: Connection, subject: str, subject_id: int) -> tuple[Note, ...]:
    """What was written about a group, a crash or a host, the oldest first."""
    table = schema.note.c
    return tuple(
        as_struct(one, Note)
        for one in connection.execute(
            select(table.id, table.text, table.by, table.at)
            .where(table.subject == subject, table.subject_id == subject_id)
            .order_by(table.at, table.id)
        )
    )


def _harm(now: float) -> ColumnElement[int]:
    """Crashes of a group in the last :data:`HARM_DAYS` days, deaths weighed."""
    table = schema.group_day.c
    return func.coalesce(
        select(func.sum(table.crashes + (_DEATH - 1) * table.deaths))
        .where(table.group_id == _G.id, table.day > int(now // DAY) - HARM_DAYS)
        .scalar_subquery(),
        0,
    )


def _how_many(counted: Table) -> ColumnElement[int]:
    """Hosts or kernels of a group."""
    return select(func.count()).where(counted.c.group_id == _G.id).scalar_subquery()


def _rows(now: float) -> Select[Any]:
    return select(
        _G.id,
        _G.title,
        _G.kind,
        _state(now).label("state"),
        _G.owner,
        _G.fixed_in,
        _G.ignored_until,
        _G.regressed_at,
        _G.first_seen,
        _G.last_seen,
        _G.crashes,
        _G.deaths,
        _how_many(schema.group_host).label("hosts"),
        _how_many(schema.group_build).label("builds"),
        _harm(now).label("harm"),
    )


def _state(now: float) -> ColumnElement[str]:
    """The state; a group that was ignored until yesterday is known today."""
    return case(
        (
            and_(_G.state == GroupState.IGNORED.value, _G.ignored_until <= now),
            GroupState.KNOWN.value,
        ),
        else_=_G.state,
    )


def _conditions(wanted: GroupFilter, now: float) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [_G.merged_into.is_(None), _G.crashes > 0]
    if wanted.state:
        found.append(_state(now).in_([state.value for state in wanted.state]))
    elif not wanted.all_states:
        found.append(_state(now).in_([GroupState.NEW.value, GroupState.KNOWN.value]))
    if wanted.kind:
        found.append(_G.kind == wanted.kind)
    if wanted.owner:
        found.append(_G.owner == wanted.owner)
    if wanted.function:
        found.append(_has_frame(schema.frame.c.function == wanted.function))
    if wanted.module:
        found.append(_has_frame(schema.frame.c.module == wanted.module))
    if wanted.host:
        found.append(
            exists()
            .where(schema.group_host.c.group_id == _G.id)
            .where(schema.group_host.c.host_id == schema.host.c.id)
            .where(schema.host.c.name == wanted.host)
        )
    if wanted.release:
        found.append(
            exists()
            .where(schema.group_build.c.group_id == _G.id)
            .where(schema.group_build.c.build_id == schema.build.c.id)
            .where(schema.build.c.release == wanted.release)
        )
    if wanted.text:
        note = schema.note.c
        found.append(
            or_(
                contains(_G.title, wanted.text),
                _has_frame(
                    or_(
                        contains(schema.frame.c.function, wanted.text),
                        contains(schema.frame.c.module, wanted.text),
                    )
                ),
                exists()
                .where(note.subject == "group", note.subject_id == _G.id)
                .where(contains(note.text, wanted.text)),
            )
        )
    return found


def _has_frame(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return (
        exists()
        .where(schema.signature.c.group_id == _G.id)
        .where(schema.frame.c.signature_id == schema.signature.c.id)
        .where(condition)
    )


def host_days(connection: Connection, since: Iterable[int]) -> dict[int, float]:
    """Days that hosts were seen since each of some days (since 1970), over all hosts.

    A host is taken to have been there from the first to the last thing that was heard of it, and
    counts at least one day.
    """
    host = schema.host.c
    first, last = _day(host.first_seen), _day(host.last_seen)
    seen = host.last_seen - host.first_seen
    hosts = connection.execute(
        select(
            first,
            last,
            func.count(),
            func.sum(host.last_seen),
            func.sum(case((seen < DAY, DAY), else_=seen)),
        ).group_by(first, last)
    ).all()
    found = dict.fromkeys(since, 0.0)
    for day in found:
        for first_day, last_day, count, last_seen, length in hosts:
            if last_day < day:
                continue
            if first_day >= day:
                found[day] += length / DAY
            else:
                found[day] += count if last_day == day else last_seen / DAY - count * day
    return found


def _day(column: Column[float]) -> ColumnElement[int]:
    return cast(column, BigInteger) // DAY


def _with_rates(connection: Connection, rows: Sequence[Row[Any]]) -> tuple[GroupRow, ...]:
    exposure = host_days(connection, {int(one.first_seen // DAY) for one in rows})
    found = []
    for one in rows:
        days_of = exposure[int(one.first_seen // DAY)]
        values = {
            **one._mapping,
            "harm": int(one.harm),
            "rate": 1000 * one.crashes / days_of if days_of and one.hosts else None,
            "state": GroupState(one.state),
        }
        found.append(GroupRow(**values))
    return tuple(found)


def _signatures(connection: Connection, group_id: int) -> tuple[SignatureRow, ...]:
    table = schema.signature.c
    rows = connection.execute(
        select(table.id, table.scheme, table.key, table.title, table.crashes, table.why, table.by)
        .where(table.group_id == group_id)
        .order_by(table.crashes.desc(), table.id)
        .limit(200)
    ).all()
    frames: dict[int, list[str]] = {}
    for number, function in connection.execute(
        select(schema.frame.c.signature_id, schema.frame.c.function)
        .where(schema.frame.c.signature_id.in_([one.id for one in rows]))
        .order_by(schema.frame.c.signature_id, schema.frame.c.depth)
    ):
        frames.setdefault(number, []).append(function)
    return tuple(SignatureRow(**one._mapping, frames=tuple(frames.get(one.id, ()))) for one in rows)


def _hit(
    connection: Connection, group_id: int, counted: Table, thing: Table, kind: type[_S]
) -> tuple[_S, ...]:
    """The hosts or kernels that a group hit most, 200 of them."""
    names = kind.__struct_fields__
    return tuple(
        as_struct(one, kind)
        for one in connection.execute(
            select(*((counted if name in _COUNTED else thing).c[name] for name in names))
            .join(thing, thing.c.id == counted.c[f"{thing.name}_id"])
            .where(counted.c.group_id == group_id)
            .order_by(counted.c.crashes.desc(), thing.c[names[0]])
            .limit(200)
        )
    )


def _similar(connection: Connection, group_id: int) -> tuple[Similar, ...]:
    table = schema.likeness.c
    other = case((table.one_id == group_id, table.other_id), else_=table.one_id)
    rows = connection.execute(
        select(_G.id, _G.title, _G.state, _G.crashes, table.score, table.why)
        .join(schema.group, _G.id == other)
        .where(or_(table.one_id == group_id, table.other_id == group_id))
        .where(_G.merged_into.is_(None), _G.crashes > 0)
        .order_by(table.score.desc(), _G.id)
        .limit(10)
    )
    return tuple(
        Similar(
            group_id=one.id,
            title=one.title,
            state=GroupState(one.state),
            crashes=one.crashes,
            score=one.score,
            why=tuple(json.loads(one.why)),
        )
        for one in rows
    )


def _decisions(connection: Connection, group_id: int) -> tuple[Decision, ...]:
    table = schema.decision.c
    one, other = schema.crash.alias(), schema.crash.alias()
    rows = connection.execute(
        select(
            table.id,
            table.kind,
            one.c.id.label("one_crash"),
            other.c.id.label("other_crash"),
            table.why,
            table.by,
            table.at,
        )
        .join(one, one.c.event == table.one_event)
        .outerjoin(other, other.c.event == table.other_event)
        .where(or_(one.c.group_id == group_id, other.c.group_id == group_id))
        .order_by(table.at, table.id)
    )
    return tuple(as_struct(row_, Decision) for row_ in rows)
