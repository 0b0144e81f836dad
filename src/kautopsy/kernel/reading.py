"""Reading from a dump that may lack pages, types or symbols."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from drgn import BadDataError, FaultError, ObjectAbsentError, OutOfBoundsError

from kautopsy.model.base import Unreadable

_T = TypeVar("_T")

READ_ERRORS = (
    FaultError,  # a page that the dump does not hold
    LookupError,  # a symbol, type or member that this kernel has not
    AttributeError,  # a member of an object whose type is incomplete
    ObjectAbsentError,  # optimised out, or no debuginfo
    OutOfBoundsError,
    BadDataError,  # unwinding information that makes no sense
    ValueError,  # a string, enumerator or state that makes no sense: corrupt memory
    TypeError,  # an object whose type is not the one this kernel version should have
    ArithmeticError,  # an address or a size beyond 64 bits, or an object of size 0: the same
    NotImplementedError,
)
"""What reading a dead kernel can raise; anything else is a bug of ours."""


def reason(error: BaseException) -> str:
    """Why a read failed, for people."""
    if isinstance(error, FaultError):
        return f"page of {error.address:#x} is not in the dump"
    if isinstance(error, LookupError):
        return f"not known for this kernel, or lost: {error.args[0] if error.args else error}"[:200]
    return f"{type(error).__name__}: {error}"[:200]


def readable(read: Callable[[], _T]) -> _T | Unreadable:
    """``read()``, or why it cannot be read."""
    try:
        return read()
    except READ_ERRORS as error:
        return Unreadable(reason(error))


def known(value: _T | Unreadable, otherwise: _T) -> _T:
    """``value`` where it was read, else ``otherwise``."""
    return otherwise if isinstance(value, Unreadable) else value


def until_unreadable(rows: Iterator[_T]) -> Iterator[_T]:
    """``rows`` up to the first one that the dump cannot give: a list cut by a missing page."""
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except READ_ERRORS:
            return
        yield row


def text(raw: bytes) -> str:
    """Bytes of the dead kernel as text; what is no UTF-8 is kept visible (``\\xff``)."""
    return raw.decode(errors="backslashreplace")
