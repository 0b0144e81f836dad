"""A log that a screen or a mailer wrapped says what it said before."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from kautopsy.model.crash import Crash
from kautopsy.oops import read_text
from kautopsy.oops.wrapped import unwrapped

_CASES = Path(__file__).parent / "cases"
_STAMPED = (
    "general-protection",
    "hung-task",
    "ppc64-bad-area",
    "riscv-page-fault",
    "slab-corruption",
    "warn-4.x",
)


def _screen(line: str, width: int) -> list[str]:
    return [line[at : at + width] for at in range(0, len(line), width)] or [""]


def _copied(line: str, width: int) -> list[str]:
    return [piece.rstrip() for piece in _screen(line, width)]


def _mailed(line: str, width: int) -> list[str]:
    pieces = textwrap.wrap(
        line, width, drop_whitespace=True, break_long_words=False, break_on_hyphens=False
    )
    return [" " * (len(line) - len(line.lstrip())) + pieces[0], *pieces[1:]] if pieces else [""]


def _told(crash: Crash) -> tuple[object, ...]:
    frames = [(f.function, f.offset, f.module, f.reliable) for f in crash.frames]
    return (crash.kind, crash.title, crash.titles, frames, crash.modules, crash.release,
            crash.tainted, crash.hardware, crash.task, crash.registers, crash.corrupted,
            crash.fingerprint)  # fmt: skip


@pytest.mark.parametrize("name", _STAMPED)
@pytest.mark.parametrize(
    ("wrap", "width"),
    [(_screen, 80), (_screen, 72), (_screen, 100), (_copied, 80), (_mailed, 72), (_mailed, 78)],
    ids=lambda value: getattr(value, "__name__", str(value)).strip("_"),
)
def test_wrapping_changes_nothing(
    name: str, wrap: Callable[[str, int], list[str]], width: int
) -> None:
    log = (_CASES / f"{name}.txt").read_text().split("\n\n", 1)[1]
    wrapped = "\n".join(piece for line in log.split("\n") for piece in wrap(line, width))
    assert wrapped != log or width == 100
    assert [_told(crash) for crash in read_text(wrapped)] == [_told(c) for c in read_text(log)]


def test_marks_of_quoting_stand_between_the_pieces() -> None:
    lines = [
        "> [   12.345678] CPU: 1 PID: 4242 Comm: worker Tainted: G        W  O",
        "> 6.1.0-18-amd64 #1  Debian 6.1.76-1",
        "> [   12.345679] Hardware name: Frobnicator Systems FS-2000/X10-ABC, BIOS",
        "> 2.0a 12/31/2016",
        "> [   12.345680] Call Trace:",
    ]
    joined = [line for _, line in unwrapped(list(enumerate(lines, 1)))]
    assert joined[0].endswith("W  O 6.1.0-18-amd64 #1  Debian 6.1.76-1")
    assert joined[1].endswith("BIOS 2.0a 12/31/2016")
    assert len(joined) == 3


def test_programs_on_the_console_are_left_alone() -> None:
    lines = [
        "[   12.345678] frob 0000:00:1f.6 eth0: NIC Link is Up 1000 Mbps Full Duplex, Flow Rx",
        "debian login: root",
        "[   13.000000] frob: short",
        "Last login: Thu Nov 26 17:00:00",
        "[   13.000001] frob: short too",
    ]
    numbered = list(enumerate(lines, 1))
    assert unwrapped(numbered) == numbered
