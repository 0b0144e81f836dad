"""Nothing that a dead kernel wrote reaches a terminal as a command."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kautopsy.report.escape import one_line, terminal


@pytest.mark.parametrize(
    ("hostile", "spelt"),
    [
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\rb", r"a\x0db"),
        ("\u202eevil", r"\u202eevil"),
        ("tab\tis fine", "tab\tis fine"),
        ("kworker/0:1H-kblockd", "kworker/0:1H-kblockd"),
        ("Grüße", "Grüße"),
    ],
)
def test_spelling(hostile: str, spelt: str) -> None:
    assert terminal(hostile) == spelt


@given(st.text())
def test_one_line_is_one_printable_line(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert not any((ord(c) < 0x20 and c != "\t") or 0x7F <= ord(c) < 0xA0 for c in line)
    line.encode()
