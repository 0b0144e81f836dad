"""One field for everything: functions, modules, hosts, titles."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from kautopsy.fleet import schema
from kautopsy.fleet.nouns import GroupFilter, SearchHit
from kautopsy.fleet.queries import groups


def search(connection: Connection, text: str, *, limit: int = 20) -> tuple[SearchHit, ...]:
    """What ``text`` names: groups first, then hosts, functions and modules, ``limit`` of each.

    A function or a module is found by a part of its name; ``count`` is the number of crashes (of a
    host, of a group), or of groups that have it in their stacks. ``kautopsy.fleet.queries.groups``
    lists those with ``GroupFilter(function=...)``.
    """
    text = text.strip()
    if not text:
        return ()
    hits: list[SearchHit] = []
    page = groups.ranked(connection, GroupFilter(text=text, all_states=True, limit=limit))
    for group in page.groups:
        detail = f"{group.state}, {group.hosts} hosts"
        hits.append(
            SearchHit(
                kind="group", id=group.id, name=group.title, detail=detail, count=group.crashes
            )
        )
    host = schema.host.c
    for name, model in connection.execute(
        select(host.name, host.model)
        .where(groups.contains(host.name, text) | groups.contains(host.model, text))
        .order_by(host.name)
        .limit(limit)
    ):
        count = connection.scalar(
            select(func.count())
            .select_from(schema.crash)
            .join(schema.host, host.id == schema.crash.c.host_id)
            .where(host.name == name)
        )
        hits.append(SearchHit(kind="host", id=None, name=name, detail=model, count=count or 0))
    for kind, column in (
        ("function", schema.frame.c.function),
        ("module", schema.frame.c.module),
    ):
        in_groups = func.count(schema.signature.c.group_id.distinct())
        for name, count in connection.execute(
            select(column, in_groups)
            .join(schema.signature, schema.signature.c.id == schema.frame.c.signature_id)
            .where(groups.contains(column, text), column != "")
            .group_by(column)
            .order_by(in_groups.desc(), column)
            .limit(limit)
        ):
            hits.append(SearchHit(kind=kind, id=None, name=name, detail="", count=count))
    return tuple(hits)
