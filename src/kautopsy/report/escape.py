"""What a dead kernel wrote is hostile: nothing of it reaches a terminal unescaped.

A task's comm, a log line or a module's name may hold escape sequences that retitle a terminal,
hide text or answer for the keyboard (``ESC ] 0 ; ...``, ``ESC [ 6 n``), C1 controls that some
terminals treat alike, and Unicode characters that reorder the line they stand in.
"""

from __future__ import annotations

import re

# C0 but tab and newline, DEL, C1, and the bidirectional controls of Unicode (UAX #9).
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def _spell(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def terminal(text: str) -> str:
    r"""``text`` with what a terminal would obey spelt out (``\x1b``); tab and newline stay."""
    return _UNSAFE.sub(_spell, text)


def one_line(text: str) -> str:
    r"""As :func:`terminal`, and newlines are spelt out too."""
    return terminal(text).replace("\n", "\\n")
