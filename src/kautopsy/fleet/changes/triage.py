"""What people say of groups and crashes.

A merge, a split and "not the same" are kept as decisions about two crashes' events, so that they
can be made again when groups are computed anew (:mod:`kautopsy.fleet.grouping.recompute`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, select, update

from kautopsy.fleet import schema
from kautopsy.fleet.changes import audit
from kautopsy.fleet.grouping import decide
from kautopsy.fleet.nouns import GroupState
from kautopsy.fleet.queries.groups import resolve
from kautopsy.fleet.upsert import insert_one
from kautopsy.model.errors import UnreadableError, UsageError

_G = schema.group.c
_LONGEST = 10_000


def set_state(
    connection: Connection,
    group_id: int,
    state: GroupState,
    *,
    by: str,
    fixed_in: str = "",
    ignored_until: float | None = None,
    address: str = "",
) -> None:
    """Say what is thought of a group.

    :param fixed_in: for ``fixed``: kernel releases, one a branch, with commas between
    :param ignored_until: for ``ignored``: seconds since 1970; None: for good
    :raises UsageError: ``fixed`` without a release, a time that is past
    """
    number = resolve(connection, group_id)
    if state is GroupState.FIXED and not fixed_in.strip(" ,"):
        raise UsageError("in which release?", thing="fixed_in", slug="no-release")
    if ignored_until is not None and ignored_until <= time.time():
        raise UsageError("is past", thing="ignored_until", slug="bad-time")
    connection.execute(
        update(schema.group)
        .where(_G.id == number)
        .values(
            state=state.value,
            fixed_in=fixed_in if state is GroupState.FIXED else "",
            ignored_until=ignored_until if state is GroupState.IGNORED else None,
            regressed_at=None,
        )
    )
    detail = state.value + (f" in {fixed_in}" if state is GroupState.FIXED else "")
    _audit(connection, by, "group-state", number, detail, address)


def set_owner(
    connection: Connection, group_id: int, owner: str, *, by: str, address: str = ""
) -> None:
    """Say who looks after a group; empty: nobody."""
    number = resolve(connection, group_id)
    owner = _text(owner, "owner", empty=True)
    connection.execute(update(schema.group).where(_G.id == number).values(owner=owner))
    _audit(connection, by, "group-owner", number, owner, address)


def add_note(
    connection: Connection,
    subject: str,
    subject_id: int | str,
    text: str,
    *,
    by: str,
    address: str = "",
) -> int:
    """Write something about a ``group``, a ``crash`` or a ``host`` (by name): the note's number.

    :raises UnreadableError: there is no such thing
    :raises UsageError: the text is empty or longer than 10,000 characters
    """
    number = _subject(connection, subject, subject_id)
    note_id = insert_one(
        connection,
        schema.note,
        subject=subject,
        subject_id=number,
        text=_text(text, "note"),
        by=by,
        at=time.time(),
    )
    audit.write(
        connection, who=by, action="note", subject=f"{subject} {subject_id}", address=address
    )
    return note_id


def add_link(
    connection: Connection,
    group_id: int,
    url: str,
    *,
    label: str = "",
    by: str,
    address: str = "",
) -> int:
    """Tie a group to a bug tracker or a commit: the link's number.

    :raises UsageError: the address is not of http or https
    """
    number = resolve(connection, group_id)
    url = _text(url, "url")
    if not url.startswith(("http://", "https://")) or any(c.isspace() for c in url):
        raise UsageError("is no address of the web", thing="url", slug="bad-url")
    link_id = insert_one(
        connection, schema.link, group_id=number, url=url, label=label, by=by, at=time.time()
    )
    _audit(connection, by, "group-link", number, url, address)
    return link_id


def remove_link(connection: Connection, link_id: int, *, by: str, address: str = "") -> None:
    """Take a link away.

    :raises UnreadableError: there is none (``no-such-link``)
    """
    table = schema.link
    found = connection.execute(select(table).where(table.c.id == link_id)).first()
    if found is None:
        raise UnreadableError("there is no such link", thing=str(link_id), slug="no-such-link")
    connection.execute(delete(table).where(table.c.id == link_id))
    _audit(connection, by, "group-unlink", found.group_id, found.url, address)


def merge(
    connection: Connection,
    group_id: int,
    into: int,
    *,
    by: str,
    why: str = "",
    address: str = "",
) -> int:
    """Two groups are one bug: the first goes into the second, whose number is returned.

    :raises UsageError: they are one already
    """
    one, other = resolve(connection, group_id), resolve(connection, into)
    if one == other:
        raise UsageError("is already part of it", thing=f"group {group_id}", slug="same-group")
    decide.merge(connection, one, other, by=by, why=_text(why, "why", empty=True))
    _audit(connection, by, "group-merge", other, f"group {one} went into it", address)
    return other


def split(
    connection: Connection,
    group_id: int,
    crash_ids: Sequence[int],
    *,
    by: str,
    why: str = "",
    address: str = "",
) -> int:
    """Take crashes out of a group into a new one, whose number is returned.

    :raises UsageError: none of them is in the group, or all are
    """
    number = resolve(connection, group_id)
    table = schema.crash.c
    inside = list(
        connection.scalars(
            select(table.id)
            .where(table.group_id == number, table.id.in_(list(crash_ids)[:10_000]))
            .order_by(table.at)
        )
    )
    if not inside:
        raise UsageError("none of these crashes is in it", thing=f"group {number}", slug="no-crash")
    if len(inside) == connection.scalar(
        select(func.count()).select_from(schema.crash).where(table.group_id == number)
    ):
        raise UsageError(
            "these are all of its crashes", thing=f"group {number}", slug="all-crashes"
        )
    new = decide.split(connection, number, inside, by=by, why=_text(why, "why", empty=True))
    _audit(connection, by, "group-split", number, f"{len(inside)} crashes to group {new}", address)
    return new


def not_the_same(
    connection: Connection,
    group_id: int,
    other_id: int,
    *,
    by: str,
    why: str = "",
    address: str = "",
) -> None:
    """Two groups are two bugs: they are never called probably the same again.

    What was merged by mistake is parted by :func:`part`.

    :raises UsageError: it is one group
    """
    one, other = resolve(connection, group_id), resolve(connection, other_id)
    if one == other:
        raise UsageError("is one group", thing=f"group {one}", slug="same-group")
    decide.different(connection, one, other, by=by, why=_text(why, "why", empty=True))
    _audit(connection, by, "group-different", one, f"from group {other}", address)


def part(
    connection: Connection,
    group_id: int,
    signature_id: int,
    *,
    by: str,
    why: str = "",
    address: str = "",
) -> int:
    """Take a signature with all its crashes out of a group: the new group's number.

    :raises UsageError: it is not in the group, or is all that is
    """
    number = resolve(connection, group_id)
    table = schema.signature.c
    inside = set(connection.scalars(select(table.id).where(table.group_id == number)))
    if signature_id not in inside or len(inside) == 1:
        raise UsageError(
            "is not one of several signatures of the group",
            thing=f"signature {signature_id}",
            slug="no-signature",
        )
    new = decide.part(connection, number, signature_id, by=by, why=_text(why, "why", empty=True))
    _audit(
        connection, by, "group-part", number, f"signature {signature_id} to group {new}", address
    )
    return new


def _subject(connection: Connection, subject: str, subject_id: int | str) -> int:
    if subject == "group":
        return resolve(connection, int(subject_id))
    columns = {
        "crash": (schema.crash.c.id, schema.crash.c.id),
        "host": (schema.host.c.id, schema.host.c.name),
    }
    if subject not in columns:
        raise UsageError("is neither group, crash nor host", thing=subject, slug="bad-subject")
    wanted, key = columns[subject]
    found = connection.scalar(select(wanted).where(key == subject_id))
    if found is None:
        raise UnreadableError(
            f"there is no such {subject}", thing=str(subject_id), slug=f"no-such-{subject}"
        )
    return int(found)


def _text(text: str, name: str, *, empty: bool = False) -> str:
    text = text.strip()
    if not text and not empty:
        raise UsageError("is empty", thing=name, slug="empty")
    if len(text) > _LONGEST:
        raise UsageError(f"is longer than {_LONGEST} characters", thing=name, slug="too-long")
    return text


def _audit(
    connection: Connection, by: str, action: str, number: int, detail: str, address: str
) -> None:
    audit.write(
        connection,
        who=by,
        action=action,
        subject=f"group {number}",
        detail=detail,
        address=address,
    )
