"""/etc/kdump.conf (``key value`` lines), edited losslessly."""

from __future__ import annotations

import re

# What names a target; kdumpctl refuses a file with two of them.
TARGETS = ("nfs", "nfs4", "net", "ssh", "raw", "ext2", "ext3", "ext4", "xfs", "btrfs", "minix")
_LINE = re.compile(r"^([ \t]*)(\w+)([ \t]+)([^#]*?)([ \t]*(?:#.*)?)$", re.DOTALL)


def set_option(text: str, key: str, value: str) -> str:
    """``text`` with ``key value``; behind a commented one, or at the end, if there was none."""
    lines = text.split("\n")
    places = [i for i, line in enumerate(lines) if _key(line) == key]
    if places:
        match = _LINE.match(lines[places[-1]])
        if match is None:
            lines[places[-1]] = f"{key} {value}"
        elif match[4] != value:
            lines[places[-1]] = f"{match[1]}{key}{match[3]}{value}{match[5]}"
        # A key that stands twice is an error for kdumpctl.
        for i in reversed(places[:-1]):
            del lines[i]
        return "\n".join(lines)
    comment = re.compile(rf"^[ \t]*#+[ \t]*{re.escape(key)}[ \t]")
    at = next((i for i in reversed(range(len(lines))) if comment.match(lines[i])), None)
    if at is not None:
        lines.insert(at + 1, f"{key} {value}")
        return "\n".join(lines)
    gap = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{gap}{key} {value}\n"


def comment_out(text: str, keys: tuple[str, ...]) -> str:
    """``text`` with the lines of ``keys`` made comments."""
    return "\n".join(f"#{line}" if _key(line) in keys else line for line in text.split("\n"))


def option(text: str, key: str) -> str | None:
    """The last value of a key; None if it is not there."""
    found = None
    for line in text.split("\n"):
        if _key(line) == key:
            match = _LINE.match(line)
            found = match[4].strip() if match else ""
    return found


def _key(line: str) -> str:
    words = line.split(None, 1)
    return "" if not words or words[0].startswith("#") else words[0]
