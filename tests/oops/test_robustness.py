"""Hostile and damaged logs: no exception, no quadratic time, flat memory."""

import io
import resource
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kautopsy.oops import read_crashes, read_text
from kautopsy.oops.body import MAX_FRAMES

_SNIPPETS = st.sampled_from(
    [
        "[    1.000000] ",
        "[    1.000000][  T1] ",
        "Jan  1 00:00:00 host kernel: ",
        "2017-04-08 03:34:51    ",
        "<4>",
        "> ",
        "BUG: KASAN: use-after-free in foo+0x1/0x2",
        "BUG: unable to handle kernel NULL pointer dereference at 0000",
        "IP: [<ffffffff81000000>] foo+0x1/0x2",
        "RIP: 0010:[<ffffffff81000000>] .c [<ffffffff81000000>]",
        "RIP: 0010:foo+0x1/0x2 [bar]",
        "Oops: 0000 [#1] SMP",
        "general protection fault: 0000 [#1]",
        "WARNING: CPU: 0 PID: 1 at a.c:1 foo+0x1/0x2",
        "WARNING: at a.c:1",
        "INFO: task a:1 blocked for more than 120 seconds.",
        "rcu: INFO: rcu_sched self-detected stall on CPU",
        "possible circular locking dependency detected",
        "WARNING: possible circular locking dependency detected",
        "a is trying to acquire lock:",
        "Kernel panic - not syncing: ",
        "Kernel panic - not syncing: Fatal exception",
        "Call Trace:",
        "Call trace:",
        "backtrace:",
        "Modules linked in: a b(O) c",
        " [<ffffffff81000000>] ? foo+0x1/0x2 [m]",
        " foo+0x1/0x2",
        " foo a.c:1 [inline]",
        "[<80132060>] (foo) from [<80132060>] (bar+0x1/0x2)",
        "CPU: 0 PID: 1 Comm: a Not tainted 5.0.0 #1",
        "Tainted: G      D",
        "RAX: 0000000000000000 RBX: 0000000000000000",
        "Code: 90 90 <0f> 0b",
        "---[ end trace 0 ]---",
        "MESSAGE",
        '{"MESSAGE": [1, 2, "x"]}',
        "Panic#1 Part2",
        "=3D=\n",
        "\n",
        "\x1b[31m",
        "\r\n",
        "[Hardware Error]: CPU 6: Machine Check Exception: 0 Bank 8: 88",
        "Uhhuh. NMI received for unknown reason 00 on CPU 10.",
        "UBSAN: x in a.c:1:2",
        "BUG: workqueue leaked lock or atomic",
        "Internal error: Oops: 5 [#1] ARM",
        "Booting the kernel.",
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(_SNIPPETS, st.text(max_size=12)), max_size=60).map("".join))
def test_no_text_makes_it_fail(text: str) -> None:
    for crash in read_text(text):
        assert crash.title
        assert crash.text is not None
        assert 1 <= crash.text.first_line <= crash.text.last_line


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=400), st.lists(_SNIPPETS, max_size=8))
def test_no_bytes_make_it_fail(noise: bytes, snippets: list[str]) -> None:
    raw = noise.join(snippet.encode() + b"\n" for snippet in snippets)
    list(read_crashes(io.BytesIO(raw)))


_HEAD = "BUG: unable to handle kernel NULL pointer dereference at 0000000000000008\n"
_LONG = {
    "one line of words": _HEAD + "a" * (1 << 20),
    "one line of frames": _HEAD + "Call Trace:\n" + " [<ffffffff81000000>] foo+0x1/0x2" * 30_000,
    "one line of brackets": _HEAD + "[" * (1 << 20),
    "one line of numbers": _HEAD + "0123456789abcdef " * 60_000,
    "one line of spaces": _HEAD + " " * (1 << 20) + "x",
    "one line of colons": _HEAD + "a:" * (1 << 19),
    "one line of stamps": _HEAD + "[    1.000000] " * 60_000,
    "one line of quotes": _HEAD + "> " * (1 << 19),
    "100,000 frames": _HEAD + "Call Trace:\n" + " foo+0x1/0x2\n" * 100_000,
    "20,000 guesses": _HEAD + "Call Trace:\n" + " ? foo+0x1/0x2\n" * 20_000,
    "20,000 stacks": _HEAD + "Call Trace:\n foo+0x1/0x2\n" * 20_000,
    "5,000 heads": _HEAD * 5_000,
    "50,000 modules": _HEAD + "Modules linked in: " + "mod_a(O) " * 50_000,
    "50,000 lines of modules": _HEAD + "Modules linked in:\n" + " mod_a mod_b\n" * 50_000,
    "5,000 callers": "".join(f"[    1.000000][T{n}] {_HEAD}" for n in range(5_000)),
    "100,000 lines of journal": _HEAD + "MESSAGE=x\n" * 100_000,
    "100,000 torn lines": _HEAD + "x [    1.000000] y\n" * 100_000,
    "5,000 lock chains": "WARNING: possible circular locking dependency detected\n"
    + "-> #1 (a){+.+.}:\n foo+0x1/0x2\n" * 5_000,
    "pstore parts": _HEAD + "".join(f"Panic#1 Part{n}\nx\n" for n in range(30_000)),
}


@pytest.mark.parametrize("text", _LONG.values(), ids=_LONG.keys())
def test_time_is_linear(text: str) -> None:
    """Seconds are generous for a shared machine: a quadratic pattern would take minutes."""
    started = time.process_time()
    crashes = read_text(text)
    assert crashes
    assert time.process_time() - started < 25


def test_frames_of_a_runaway_recursion_are_bounded() -> None:
    (crash,) = read_text(_LONG["100,000 frames"])
    assert len(crash.frames) == MAX_FRAMES


def test_memory_is_flat() -> None:
    class Endless(io.RawIOBase):
        """96 MiB of a quiet log, made as it is read, with a crash at its end."""

        left = 24

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            self.left -= 1
            if self.left < 0:
                return b""
            if self.left == 0:
                return _HEAD.encode()
            return b"[   12.345678] usb 1-1: all is well\n" * (4 << 20 >> 5)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    crashes = list(read_crashes(Endless()))  # type: ignore[arg-type]
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert len(crashes) == 1
    assert crashes[0].text is not None
    assert crashes[0].text.first_line == 23 * (4 << 20 >> 5) + 1
    assert grown < 100 << 10  # KiB
