"""Two crashes side by side: what differs, what is the same, and how alike they are."""

from __future__ import annotations

from difflib import SequenceMatcher

from sqlalchemy import Connection

from kautopsy.fingerprint.exact import fingerprint
from kautopsy.fingerprint.features import features
from kautopsy.fingerprint.names import normalise
from kautopsy.fingerprint.ranking import Known, Ranking
from kautopsy.fleet import schema
from kautopsy.fleet.nouns import CrashDiff, Difference, FrameRow
from kautopsy.fleet.queries import crashes
from kautopsy.model.crash import Crash, Frame
from kautopsy.model.errors import UnreadableError

_MOST_FRAMES = 64


def diff(connection: Connection, one_id: int, other_id: int) -> CrashDiff:
    """Two crashes compared.

    :raises UnreadableError: one does not exist (``no-such-crash``), or is not kept in full
        (``not-kept``)
    """
    one, other = (_document(connection, number) for number in (one_id, other_id))
    rows = [
        crashes.rows(connection, schema.crash.c.id == number, limit=1)[0]
        for number in (one_id, other_id)
    ]
    score, why = likeness(one, other)
    mine, others = set(one.modules), set(other.modules)
    return CrashDiff(
        one=rows[0],
        other=rows[1],
        fields=tuple(
            Difference(field=name, one=a, other=b, same=a == b)
            for name, a, b in _fields(one, other)
            if a or b
        ),
        frames=side_by_side(one.frames, other.frames),
        only_one=tuple(sorted(mine - others)),
        only_other=tuple(sorted(others - mine)),
        score=score,
        why=why,
    )


def likeness(one: Crash, other: Crash) -> tuple[float, tuple[str, ...]]:
    """How alike two crashes are, between 0 and 1, and what they share."""
    key = fingerprint(one).exact
    ranking = Ranking([Known("other", features(other), fingerprint(other).exact)])
    for match in ranking.nearest(features(one), 1, exact=key):
        return match.score, match.why
    return 0.0, ()


def side_by_side(one: tuple[Frame, ...], other: tuple[Frame, ...]) -> tuple[FrameRow, ...]:
    """Two backtraces, equal functions in one row."""
    mine = [frame.function or "?" for frame in one[:_MOST_FRAMES]]
    others = [frame.function or "?" for frame in other[:_MOST_FRAMES]]
    matcher = SequenceMatcher(
        None, [normalise(name) for name in mine], [normalise(name) for name in others], False
    )
    rows: list[FrameRow] = []
    for tag, a, b, c, d in matcher.get_opcodes():
        left, right = mine[a:b], others[c:d]
        for index in range(max(len(left), len(right))):
            rows.append(
                FrameRow(
                    one=left[index] if index < len(left) else "",
                    other=right[index] if index < len(right) else "",
                    same=tag == "equal",
                )
            )
    return tuple(rows)


def _document(connection: Connection, crash_id: int) -> Crash:
    document = crashes.crash_document(connection, crash_id)
    if document is None:
        raise UnreadableError(
            "its details were dropped: only exemplars are kept in full",
            thing=str(crash_id),
            slug="not-kept",
            hint="compare with an exemplar of its group",
        )
    return document


def _fields(one: Crash, other: Crash) -> list[tuple[str, str, str]]:
    def both(name: str, a: object, b: object) -> tuple[str, str, str]:
        return (name, "" if a is None else str(a), "" if b is None else str(b))

    return [
        both("kind", one.kind, other.kind),
        both("title", one.title, other.title),
        both("trigger", one.trigger, other.trigger),
        both("function", _function(one), _function(other)),
        both("task", one.task and one.task.comm, other.task and other.task.comm),
        both("cpu", one.cpu, other.cpu),
        both("kernel", one.release, other.release),
        both("hardware", one.hardware, other.hardware),
        both("taint", "".join(one.tainted), "".join(other.tainted)),
        both("uptime", one.uptime_seconds, other.uptime_seconds),
        both("corrupted", one.corrupted_reason, other.corrupted_reason),
        both("followed by", "; ".join(one.follow_ups), "; ".join(other.follow_ups)),
        both("fingerprint", fingerprint(one).exact, fingerprint(other).exact),
    ]


def _function(crash: Crash) -> str:
    return fingerprint(crash).keys.get("function", "")
