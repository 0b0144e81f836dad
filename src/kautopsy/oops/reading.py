"""A region's bytes → lines: encodings, mail, the journal's forms, pstore's order."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from kautopsy.model.lazy import lazy_pattern
from kautopsy.oops.lines import Line
from kautopsy.oops.prefixes import clean
from kautopsy.oops.wrapped import unwrapped

LONGEST_LINE = 16 << 10
"""Characters of a line that are looked at; printk's own limit is 2,048 (PRINTK_MESSAGE_MAX)."""

# `- {"dt": …, "msg": …}`: LAVA's logs are YAML with a JSON object an item
_JOURNAL = lazy_pattern(r'^(?:MESSAGE(?:=|\r?$)|(?:- )?\{")', re.MULTILINE)
_JOURNAL_FIELD = lazy_pattern(r"(?:__?)?[A-Z][A-Z0-9_]{1,63}=")
_PSTORE_PART = lazy_pattern(
    r"[ \t]*(?:<\d>)?(?P<reason>Panic|Oops|Emergency|Restart|Halt|Poweroff|Shutdown"
    r"|Unknown)#(?P<count>\d+) Part(?P<part>\d+)\s*$"
)
# Quoted-printable text has no `=` but of its own; the journal's export form may end in `_PID=20`.
_BARE_EQUALS = lazy_pattern(r"=(?![0-9A-F]{2}|\r?$)", re.MULTILINE)
_QUOTED_PRINTABLE = lazy_pattern(r"=([0-9A-F]{2})")


def lines_of(data: bytes, first_line: int) -> Iterator[Line]:
    """The lines of ``data``, cleaned, in the order in which the kernel printed them."""
    text = data.decode("utf-8", "replace")
    raw = text.split("\n")
    if raw and not raw[-1]:
        raw.pop()
    numbered = [(first_line + i, line[:LONGEST_LINE]) for i, line in enumerate(raw)]
    if "=3D" in text or ("=20\n" in text and not _BARE_EQUALS.search(text)):
        numbered = _unquoted(numbered)
    numbered = unwrapped(numbered)
    if " Part" in text:
        numbered = _in_pstore_order(numbered)
    if ("MESSAGE" in text or '{"' in text) and _JOURNAL.search(text):
        yield from _journal(numbered)
    else:
        for number, line in numbered:
            yield from clean(line, number)


_MESSAGES = ("MESSAGE", "message", "log", "msg")
"""Where loggers put a line: the journal, fluentd and Vector, container runtimes, LAVA."""


def _journal(numbered: list[tuple[int, str]]) -> Iterator[Line]:
    """Lines of the journal's export and JSON forms; other lines as they are."""
    entry: dict[str, str] = {}
    first = 0
    binary = False
    for number, line in numbered:
        if line.startswith(("{", "- {")):
            record = _from_json(line.removeprefix("- "))
            if record is not None:
                yield from _entry(record, number)
                continue
        if binary:
            binary = False
            # a little-endian length of eight bytes stands before the text
            entry["MESSAGE"] = line[8:].lstrip("\0")
        elif line.rstrip("\r") == "MESSAGE":
            binary, first = True, number
        elif line.startswith("MESSAGE="):
            entry["MESSAGE"], first = line[8:], number
        elif "=" in line and _JOURNAL_FIELD.match(line):
            name, _, value = line.partition("=")
            entry[name] = value
        else:
            if "MESSAGE" in entry:
                yield from _entry(entry, first)
            if not entry or line.strip():  # else the end of an entry
                yield from clean(line, number)
            entry = {}
    if "MESSAGE" in entry:
        yield from _entry(entry, first)


def _entry(record: dict[str, str], number: int) -> Iterator[Line]:
    """The lines of one entry, with the clocks that the journal has for the kernel's."""
    by_kernel = record.get("_TRANSPORT", record.get("SYSLOG_IDENTIFIER")) == "kernel"
    micros = record.get("_SOURCE_MONOTONIC_TIMESTAMP", "") if by_kernel else ""
    since_epoch = record.get("__REALTIME_TIMESTAMP", "")
    stamp = None
    if since_epoch.isdecimal() and len(since_epoch) < 18:
        stamp = datetime.fromtimestamp(int(since_epoch) / 1e6, UTC).isoformat(timespec="seconds")
    text = next((record[name] for name in _MESSAGES if name in record), "")
    for part in text.rstrip("\n").split("\n"):
        for line in clean(part, number):
            time = line.time
            if time is None and micros.isdecimal() and len(micros) < 18:
                time = int(micros) / 1e6
            yield msgspec.structs.replace(
                line,
                time=time,
                stamp=line.stamp or stamp,
                host=line.host or record.get("_HOSTNAME"),
                by_kernel=line.by_kernel or by_kernel,
            )


def _from_json(line: str) -> dict[str, str] | None:
    """An entry's fields that are text; None where ``line`` is no entry."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    fields = {name: value for name, value in record.items() if isinstance(value, str)}
    message = record.get("MESSAGE")
    if isinstance(message, list):  # bytes that are not printable UTF-8
        try:
            fields["MESSAGE"] = bytes(message).decode("utf-8", "replace")
        except (TypeError, ValueError):
            return None
    return fields if any(name in fields for name in _MESSAGES) else None


def _unquoted(numbered: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Quoted-printable mail: soft line breaks joined, ``=XX`` decoded."""
    joined: list[tuple[int, str]] = []
    waiting = ""
    first = 0
    for number, line in numbered:
        line = line.rstrip("\r")
        if not waiting:
            first = number
        if line.endswith("=") and len(line) > 60 and len(waiting) < LONGEST_LINE:
            waiting += line[:-1]
            continue
        whole = _QUOTED_PRINTABLE.sub(lambda m: chr(int(m[1], 16)), waiting + line)
        joined.append((first, whole))
        waiting = ""
    if waiting:
        joined.append((first, waiting))
    return joined


def _in_pstore_order(numbered: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """pstore writes the end of the log into part 1: a record's highest part is its oldest."""
    sections: list[tuple[tuple[str, str, int] | None, list[tuple[int, str]]]] = [(None, [])]
    for number, line in numbered:
        part = _PSTORE_PART.match(line)
        if part is not None:
            sections.append(((part["reason"], part["count"], int(part["part"])), []))
        else:
            sections[-1][1].append((number, line))
    if len(sections) == 1:
        return numbered
    ordered = list(sections[0][1])
    index = 1
    while index < len(sections):
        stop = index
        while stop < len(sections) and _record(sections[stop]) == _record(sections[index]):
            stop += 1
        for _, lines in sorted(sections[index:stop], key=_age):
            ordered += lines
        index = stop
    return ordered


def _record(
    section: tuple[tuple[str, str, int] | None, list[tuple[int, str]]],
) -> tuple[str, str] | None:
    return section[0][:2] if section[0] else None


def _age(section: tuple[tuple[str, str, int] | None, list[tuple[int, str]]]) -> int:
    return -section[0][2] if section[0] else 0
