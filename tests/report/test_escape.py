"""Nothing that a dead kernel wrote reaches a terminal as a command."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kautopsy.report.escape import clip, html, markdown, one_line, terminal


@pytest.mark.parametrize(
    ("hostile", "spelt"),
    [
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\rb", r"a\x0db"),
        ("\u202eevil", r"\u202eevil"),
        ("in\u200bvisible\ufeff", r"in\u200bvisible\ufeff"),
        ("tag\U000e0041", r"tag\U000e0041"),
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


def test_html_is_text_in_content_and_in_attributes() -> None:
    assert html("<a b='c' d=\"e\">&\0") == r"&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;\x00"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("sysrq_handle_crash+0x1a/0x20 (pid 1)!", "sysrq_handle_crash+0x1a/0x20 (pid 1)!"),
        ("_start_ *b* [x](y)", r"\_start\_ \*b\* \[x\](y)"),
        ("# no heading", r"\# no heading"),
        ("1. no list", r"1\. no list"),
        ("a|b <i> &amp;", r"a\|b &lt;i> &amp;amp;"),
        ("see http://x.y, www.x.y", r"see http\://x.y, www\.x.y"),
        ("two\nlines", "two lines"),
    ],
)
def test_markdown_prose_stays_readable(text: str, escaped: str) -> None:
    assert markdown(text) == escaped


def test_clip_says_what_it_left_out() -> None:
    assert clip("abc", 3) == "abc"
    assert clip("abcdef", 3) == "abc… (3 more characters)"
