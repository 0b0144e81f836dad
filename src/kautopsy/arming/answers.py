"""What the probe answered, still as text."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass

from kautopsy.host.host import Host
from kautopsy.model.errors import UnreadableError
from kautopsy.model.host import FileStat

_BEGIN = "@kautopsy-probe 1"
_END = "@end"


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit status."""

    status: int
    text: str

    @property
    def lines(self) -> list[str]:
        """The lines that are not empty."""
        return [line for line in self.text.split("\n") if line.strip()]


@dataclass(frozen=True)
class Answers:
    """The sections of one answer.

    :ivar files: path → contents
    :ivar links: path → where the symbolic link points to
    """

    files: Mapping[str, str]
    links: Mapping[str, str]
    stats: Mapping[str, FileStat]
    said: Mapping[str, Said]
    denied: tuple[str, ...]

    def word(self, path: str) -> str | None:
        """A file's contents without the white space around; None if it was not there, or empty."""
        return self.files.get(path, "").strip() or None

    def number(self, path: str) -> int | None:
        """A file's contents as a number; None if it was not there, or is none."""
        return to_int(self.word(path))

    def line(self, name: str) -> str:
        """The first line that a command printed, if it succeeded."""
        said = self.said.get(name)
        return said.lines[0].strip() if said and said.status == 0 and said.lines else ""


def to_int(text: str | None) -> int | None:
    """``text`` as a decimal number, or None; what a tree holds may be as long as it likes."""
    text = (text or "").strip()
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) <= 20 else None


def script_text() -> str:
    """The probe: POSIX sh."""
    return importlib.resources.files("kautopsy.arming").joinpath("probe.sh").read_text()


def ask(host: Host) -> Answers:
    """Send the probe to ``host`` and take its answer.

    :raises UnreachableError: the machine does not answer
    :raises UnreadableError: it answers something else
    """
    done = host.script(script_text(), timeout=300.0)
    try:
        return parse(done.text)
    except UnreadableError as error:
        raise UnreadableError(
            f"{error.what}: {done.complaint}",
            thing=host.name,
            hint="the login shell must reach /bin/sh",
            slug="no-answer",
        ) from None


def parse(text: str) -> Answers:
    """Take apart what the probe printed; what a login shell printed around it is left out.

    :raises UnreadableError: it has no beginning or no end
    """
    lines = text.split("\n")
    try:
        begin = lines.index(_BEGIN)
        end = lines.index(_END, begin)
    except ValueError:
        raise UnreadableError("the probe's answer is not whole", slug="no-answer") from None
    files: dict[str, str] = {}
    links: dict[str, str] = {}
    stats: dict[str, FileStat] = {}
    said: dict[str, Said] = {}
    denied: list[str] = []
    at = begin + 1
    while at < end:
        head = lines[at]
        at += 1
        if not head.startswith("@"):
            continue
        body: list[str] = []
        while at < end and not lines[at].startswith("@"):
            if lines[at].startswith("|"):
                body.append(lines[at][1:])
            at += 1
        contents = "\n".join(body)
        match head.split(" ", 1):
            case ["@file", path]:
                files[path] = contents
            case ["@link", path]:
                links[path] = contents.strip()
            case ["@denied", path]:
                denied.append(path)
            case ["@stat", rest]:
                mtime, size, path = [*rest.split(" ", 2), "", ""][:3]
                stats[path] = FileStat(path=path, mtime=to_int(mtime) or 0, size=to_int(size) or 0)
            case ["@said", rest]:
                status, _, name = rest.partition(" ")
                failed = to_int(status)
                said[name] = Said(1 if failed is None else failed, contents)
    return Answers(files, links, stats, said, tuple(denied))
