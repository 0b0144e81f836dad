"""The steps of a plan, as they are done: a file edited, a link made, a command run."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from kautopsy.host.host import Host
from kautopsy.model.plan import Step

Editor = Callable[[str | None], str]
"""Takes a file's text (None: there is none) and gives the wanted one.

Bytes that are no UTF-8 are surrogates: they survive.
"""


@dataclass(frozen=True)
class FileDeed:
    """A file gets other contents; with ``edit`` None it goes.

    :ivar before: its contents when the plan was made; None: there was none
    :ivar mode: of a new file
    :ivar settled: the contents are what was planned, or the deed is refused; False where an earlier
        step of the plan brings the file along
    """

    what: str
    path: str
    before: bytes | None
    edit: Editor | None
    mode: int = 0o644
    settled: bool = True

    def wanted(self, contents: bytes | None) -> bytes | None:
        """What it makes of ``contents``."""
        if self.edit is None:
            return None
        text = None if contents is None else contents.decode(errors="surrogateescape")
        return self.edit(text).encode(errors="surrogateescape")

    def step(self) -> Step:
        """As a user sees it."""
        return Step(
            what=self.what,
            file=self.path,
            diff=unified(self.path, self.before, self.wanted(self.before)),
            undo=f"remove {self.path}" if self.before is None else f"restore {self.path}",
        )


@dataclass(frozen=True)
class LinkDeed:
    """A symbolic link is made; with ``target`` None it goes."""

    what: str
    path: str
    before: str | None
    target: str | None

    def step(self) -> Step:
        """As a user sees it."""
        return Step(
            what=self.what,
            file=self.path,
            diff=_link_diff(self.path, self.before, self.target),
            undo=f"remove {self.path}"
            if self.before is None
            else f"restore the link {self.path} → {self.before}",
        )


@dataclass(frozen=True)
class CommandDeed:
    """A program of the distribution runs.

    :ivar touches: paths and patterns of the files it may change: kept before, restored by the undo
    :ivar undo: the command that takes back what is in no file
    :ivar renew: the command that makes ``touches`` anew where they have changed since (a kernel was
        installed) and old contents would be wrong
    :ivar always: ``renew`` is part of every undo
    :ivar verify: says what is wrong after it ran; "" if nothing is
    """

    what: str
    argv: tuple[str, ...]
    touches: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    renew: tuple[str, ...] = ()
    always: bool = False
    verify: Callable[[Host], str] | None = None
    timeout: float = 300.0

    def step(self) -> Step:
        """As a user sees it."""
        words = []
        if self.undo:
            words.append(shlex.join(self.undo))
        if self.touches:
            words.append(f"restore {', '.join(self.touches)}")
        if self.always:
            words.append(shlex.join(self.renew))
        return Step(
            what=self.what, command=self.argv, undo="; ".join(words) or "nothing to take back"
        )


Deed = FileDeed | LinkDeed | CommandDeed


@dataclass(frozen=True)
class Work:
    """A plan that can be done.

    :ivar notes: what was decided, and why
    :ivar manual: what is left to the operator
    :ivar reboot: it counts from the next boot on only
    :ivar crashkernel: what the next boot shall ask for
    :ivar sysctls: name → value, as ``sysctl_file`` shall set them
    :ivar known: False where nothing is touched, because nothing is known of the distribution
    """

    deeds: tuple[Deed, ...] = ()
    notes: tuple[str, ...] = ()
    manual: tuple[str, ...] = ()
    reboot: bool = False
    crashkernel: tuple[str, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    sysctl_file: str = ""
    known: bool = True


def unified(path: str, before: bytes | None, after: bytes | None) -> str:
    """A unified diff, as ``diff -u`` prints it; bytes that are no UTF-8 as ``\\xNN``."""
    name = path.lstrip("/")
    old, new = _lines(before), _lines(after)
    lines = difflib.unified_diff(
        old,
        new,
        "/dev/null" if before is None else f"a/{name}",
        "/dev/null" if after is None else f"b/{name}",
    )
    out = []
    for line in lines:
        out.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(out)


def _lines(contents: bytes | None) -> Sequence[str]:
    text = (contents or b"").decode(errors="backslashreplace")
    parts = text.split("\n")
    return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _link_diff(path: str, before: str | None, after: str | None) -> str:
    lines = [f"--- {'/dev/null' if before is None else 'a' + path}\n"]
    lines.append(f"+++ {'/dev/null' if after is None else 'b' + path}\n")
    lines += [f"-→ {before}\n"] * (before is not None) + [f"+→ {after}\n"] * (after is not None)
    return "".join(lines)
