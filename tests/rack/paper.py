"""A machine on paper: what it answers and what its console says are written down, nothing runs.

Only what reaches a machine is replaced (ssh, doctor's probe, the list of dumps); the session, the
drill, the guard, the record and the console's reader are the real ones.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kautopsy.capture.listing import Listing
from kautopsy.drill import session as sessions
from kautopsy.host.host import RunResult
from kautopsy.host.inventory import ConsoleSpec, Machine
from kautopsy.model.errors import UnreachableError
from kautopsy.model.readiness import DoctorDocument
from kautopsy.trigger.console.recording import Recording
from kautopsy.trigger.look import Look
from kautopsy.trigger.way import Ability, Effect, Whose

NODE = "rack-7"
UUID = "4c4c4544-0037-3010-8048-b7c04f4d3733"
PANIC = [
    "[   98.100000] Uhhuh. NMI received for unknown reason 21 on CPU 0.",
    "[   98.100300] Kernel panic - not syncing: NMI: Not continuing",
]
CAPTURE = [
    "[    0.000000] Linux version 6.1.0-50-amd64 (debian-kernel@lists.debian.org)",
    "[    0.000000] Command line: root=/dev/vda2 reset_devices nr_cpus=1 elfcorehdr=0x7f000000",
]
SAVING = ["Copying data                                      : [ 41.7 %] |           eta: 3s"]
SAVED = ["kdump-tools: saved vmcore in /var/crash/202611261000."]
RESTART = ["[    9.900000] reboot: Restarting system"]


def look(boot: str = "first", uptime: float = 500.0) -> Look:
    return Look(
        node=NODE, machine="x86_64", release="6.1.0-50-amd64", clock=int(time.time()), root=True,
        boot_id=boot, uptime=uptime, sysrq=1, unknown_nmi_panic=True,
        panic_on_unrecovered_nmi=False, panic_on_io_nmi=False, panic_timeout=10, loaded=True,
        serial=None, uuid=UUID, asset=None, hpwdt=False, sysrq_trigger=True, capturing=False,
    )  # fmt: skip


class _Host:
    name, live = "db", True

    def script(self, text: str, *arguments: str, timeout: float = 120.0) -> RunResult:
        return RunResult(0, b"", b"")

    def write(self, path: str, contents: bytes, *, mode: int | None = None) -> None:
        """Its own note of the drill: paper forgets it."""


@dataclass
class Console:
    """Says what it is told to; ``closed``: nobody holds it any more."""

    where: str = "paper"
    recording: Recording | None = None
    closed: bool = False
    typed: bytes = b""

    def start(self, recording: Recording) -> None:
        self.recording = recording

    def say(self, *lines: str) -> None:
        assert self.recording is not None
        self.recording.feed("".join(f"{line}\r\n" for line in lines).encode())

    def write(self, data: bytes) -> None:
        self.typed += data

    def send_break(self) -> None:
        self.typed += b"<BREAK>"

    def close(self) -> None:
        self.closed = True


@dataclass
class Paper:
    """``story``: what the console says once it fires; ``now``: what ssh answers."""

    console: Console = field(default_factory=Console)
    now: Look | None = field(default_factory=look)
    story: list[str] = field(default_factory=list)
    afterwards: Look | None = None
    fired: int = 0
    name: str = "paper"
    effect: Effect = Effect.NMI
    what: str = "an NMI on paper"

    def can(self) -> Ability:
        return Ability(True, "it is paper")

    def whose(self) -> Whose | None:
        return Whose(by="paper", uuid=UUID)

    def fire(self) -> str:
        self.fired += 1
        self.console.say(*self.story)
        if self.story:
            self.now = self.afterwards
        return "done"


@contextlib.contextmanager
def on_paper(
    patch: pytest.MonkeyPatch, paper: Paper, *, ways: bool = True, console: bool = True
) -> Iterator[Machine]:
    """The machine ``db``; with ``ways`` and ``console`` those are paper too."""

    def look_at(_host: object, *, timeout: float = 30.0) -> Look:
        if paper.now is None:
            raise UnreachableError("does not answer", thing="db", slug="no-answer")
        return paper.now

    patch.setattr(sessions, "open_host", lambda *_a, **_k: contextlib.nullcontext(_Host()))
    patch.setattr(sessions, "look_at", look_at)
    patch.setattr(sessions, "gather", lambda _host: None)
    patch.setattr(sessions, "examine", lambda _facts: DoctorDocument(ready=True, checks=()))
    patch.setattr(sessions, "list_captures", lambda _host, _more: Listing())
    patch.setattr(sessions, "_POLL", 0.05)
    patch.setattr(sessions, "_ON_CONSOLE", 0.05)
    if ways:
        patch.setattr(sessions, "pick", lambda *_a: paper)
    if console:
        patch.setattr(sessions, "open_console", lambda *_a: paper.console)
    yield Machine(name="db", nodename=NODE, uuid=UUID, console=ConsoleSpec(file="/paper"))


def state_folder(root: Path) -> Path:
    return root / "state" / "kautopsy"
