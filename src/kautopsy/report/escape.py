"""What a dead kernel wrote is hostile: nothing of it reaches a terminal, a page or a text as code.

A task's comm, a log line or a module's name may hold escape sequences that retitle a terminal,
hide text or answer for the keyboard (``ESC ] 0 ; ...``, ``ESC [ 6 n``), C1 controls that some
terminals treat alike, and Unicode characters that reorder or hide the line they stand in. In a
page or a Markdown text it may hold tags and links; and it may be endless.
"""

from __future__ import annotations

import re

# C0 but tab and newline, DEL, C1, the soft hyphen, the bidirectional controls of Unicode (UAX #9),
# characters without width, the line and paragraph separators, surrogates, the byte order mark,
# noncharacters, and the tag characters that spell invisible ASCII.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)
# What Markdown takes for markup inside a line; ``_`` only at the edge of a word, and what makes
# GitHub's flavour see an address.
_MARKDOWN = re.compile(
    r"[\\`*\[\]|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=//)|(?<=www)\.", re.IGNORECASE
)
# What begins a heading, a list, a quotation, a rule or an underlined heading.
_MARKDOWN_START = re.compile(r"^(?:[#>=+-]|\d+(?=[.)]))")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
_HTML_CHARACTERS = re.compile("[&<>\"']")


def _spell(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def terminal(text: str) -> str:
    r"""``text`` with what a terminal would obey spelt out (``\x1b``); tab and newline stay."""
    return _UNSAFE.sub(_spell, text)


def one_line(text: str) -> str:
    r"""As :func:`terminal`, and newlines are spelt out too."""
    return terminal(text).replace("\n", "\\n")


def clip(text: str, limit: int) -> str:
    """At most about ``limit`` characters of ``text``, saying how many were left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text) - limit} more characters)"


def html(text: str) -> str:
    """``text`` for the content or a quoted attribute of an HTML element."""
    return _HTML_CHARACTERS.sub(lambda match: _HTML[match.group()], terminal(text))


def markdown(text: str) -> str:
    """``text`` as one line of Markdown prose, none of it taken for markup, a link or a tag."""
    line = " ".join(terminal(text).split()).replace("&", "&amp;")
    line = _MARKDOWN.sub(r"\\\g<0>", line).replace("<", "&lt;")
    return _MARKDOWN_START.sub(_markdown_start, line)


def _markdown_start(match: re.Match[str]) -> str:
    # A backslash before a digit is a backslash: escape the mark after it instead.
    return f"{match[0]}\\" if match[0].isdigit() else f"\\{match[0]}"


def markdown_code(text: str) -> str:
    """``text`` as a code span, on one line; fit for a table's cell too."""
    line = one_line(text).replace("\t", " ")
    if not line.strip():
        return "` `"
    # Inside a table GitHub takes every bar for a column's end, unless it is escaped.
    line = line.replace("|", "\\|")
    fence = "`" * (_longest_run(line) + 1)
    pad = " " if line[0] in "` " or line[-1] in "` " else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def markdown_block(text: str) -> str:
    """``text`` as a fenced block of code."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{terminal(text)}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
