"""What all nouns share: frozen structs, versioned JSON in and out, and values that are missing."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from kautopsy.model.errors import UnreadableError


class Noun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Base of every value that crosses a room's door.

    Unknown fields are ignored when reading, because a newer kautopsy may have added some: names are
    added, never renamed.
    """


class Unreadable(msgspec.Struct, frozen=True):
    """A value that is missing, and why: ``Unreadable("page excluded by makedumpfile")``.

    In JSON it is ``{"unreadable": "the reason"}`` in the value's place.
    """

    unreadable: str

    def __str__(self) -> str:
        return f"unreadable: {self.unreadable}"


_N = TypeVar("_N", bound=msgspec.Struct)


def to_json(value: msgspec.Struct, *, indent: int = 2) -> str:
    """``value`` as JSON text; ``indent=0`` gives one line."""
    raw = msgspec.json.encode(value)
    if indent:
        raw = msgspec.json.format(raw, indent=indent)
    return raw.decode()


def from_json(text: str | bytes, kind: type[_N]) -> _N:
    """The reverse of :func:`to_json`.

    :raises UnreadableError: ``text`` is not JSON, or not a ``kind``
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableError(
            f"not a {kind.__name__} document: {error}", slug="bad-document"
        ) from error


def json_schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of ``kind``, generated from its types."""
    return msgspec.json.schema(kind)
