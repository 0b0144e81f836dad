"""What triagers do."""

from __future__ import annotations

from typing import Any

from kautopsy.fleet import changes
from kautopsy.fleet.nouns import GroupState, Role
from kautopsy.model.base import Noun
from kautopsy.web.api.operation import Call, Done, Operation, number


class State(Noun, frozen=True, kw_only=True):
    """``fixed_in``: releases, with commas between; ``ignored_until``: seconds since 1970."""

    state: GroupState
    fixed_in: str = ""
    ignored_until: float | None = None


class Owner(Noun, frozen=True, kw_only=True):
    """Empty: nobody."""

    owner: str


class Text(Noun, frozen=True, kw_only=True):
    """A note."""

    text: str


class Address(Noun, frozen=True, kw_only=True):
    """Of a bug tracker's page, of a commit."""

    url: str
    label: str = ""


class Other(Noun, frozen=True, kw_only=True):
    """Another group, and why."""

    group: int
    why: str = ""


class Crashes(Noun, frozen=True, kw_only=True):
    """Crashes of the group, and why."""

    crashes: tuple[int, ...]
    why: str = ""


def _who(call: Call) -> dict[str, Any]:
    return {"by": call.context.name, "address": call.context.address}


def _group(call: Call) -> int:
    return call.context.number("group")


def _write(call: Call) -> Any:
    return call.context.database.write()


def _state(call: Call) -> Done:
    said = call.read(State)
    with _write(call) as connection:
        changes.triage.set_state(
            connection,
            _group(call),
            said.state,
            fixed_in=said.fixed_in,
            ignored_until=said.ignored_until,
            **_who(call),
        )
    return Done(id=_group(call))


def _owner(call: Call) -> Done:
    said = call.read(Owner)
    with _write(call) as connection:
        changes.triage.set_owner(connection, _group(call), said.owner, **_who(call))
    return Done(id=_group(call))


def _note(call: Call, subject: str, subject_id: int | str) -> Done:
    said = call.read(Text)
    with _write(call) as connection:
        return Done(
            id=changes.triage.add_note(connection, subject, subject_id, said.text, **_who(call))
        )


def _link(call: Call) -> Done:
    said = call.read(Address)
    with _write(call) as connection:
        return Done(
            id=changes.triage.add_link(
                connection, _group(call), said.url, label=said.label[:200], **_who(call)
            )
        )


def _merge(call: Call) -> Done:
    said = call.read(Other)
    with _write(call) as connection:
        into = number(said.group, "group")
        return Done(
            id=changes.triage.merge(connection, _group(call), into, why=said.why, **_who(call))
        )


def _different(call: Call) -> Done:
    said = call.read(Other)
    with _write(call) as connection:
        changes.triage.not_the_same(
            connection, _group(call), number(said.group, "group"), why=said.why, **_who(call)
        )
    return Done(id=_group(call))


def _split(call: Call) -> Done:
    said = call.read(Crashes)
    with _write(call) as connection:
        return Done(
            id=changes.triage.split(
                connection, _group(call), said.crashes, why=said.why, **_who(call)
            )
        )


def _triage(path: str, doc: str, body: type[Noun], run: Any) -> Operation:
    return Operation("POST", path, doc, Done, run, role=Role.TRIAGER, body=body)


OPERATIONS = (
    _triage("/groups/{group}/state", "Say what is thought of it.", State, _state),
    _triage("/groups/{group}/owner", "Say who looks after it.", Owner, _owner),
    _triage(
        "/groups/{group}/notes", "Write a note.", Text,
        lambda call: _note(call, "group", _group(call)),
    ),
    _triage(
        "/crashes/{crash}/notes", "Write a note.", Text,
        lambda call: _note(call, "crash", call.context.number("crash")),
    ),
    _triage("/groups/{group}/links", "Tie it to an address.", Address, _link),
    _triage("/groups/{group}/merge", "It is the same bug as another: goes into it.", Other, _merge),
    _triage("/groups/{group}/different", "It is not the same bug as another.", Other, _different),
    _triage("/groups/{group}/split", "Some crashes are another bug.", Crashes, _split),
)  # fmt: skip
