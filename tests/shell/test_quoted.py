"""Strings and characters as gdb writes them; expected by hand from gdb's printing rules."""

import pytest

from kautopsy.shell.values import quoted


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"sh" + bytes(14), r'"sh' + r"\000" * 13 + '"'),
        (b"", '""'),
        (b"\0", '""'),
        (b'a"b\\\n\x1b', r'"a\"b\\\n\033"'),
        (b"\xff\x80", r'"\377\200"'),
        (b"full", '"full"'),
    ],
)
def test_quoted(raw: bytes, expected: str) -> None:
    assert quoted(raw) == expected


def test_cut_strings_say_so() -> None:
    assert quoted(b"abc", cut=True) == '"abc"...'
