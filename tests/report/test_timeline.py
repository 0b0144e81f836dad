"""The log as a story: times, weights and the line of the crash."""

import msgspec
import pytest

from kautopsy.model.base import Unreadable
from kautopsy.model.crash import TextSpan
from kautopsy.report.timeline import Weight, timeline

from .samples import deadlock, from_log


def _told(*lines: str, crash: bool = True) -> "list[tuple[float | None, str, int]]":
    report = msgspec.structs.replace(deadlock(), log=lines)
    if not crash:
        report = msgspec.structs.replace(report, crash=None)
    return [(m.time, m.text, int(m.weight)) for m in timeline(report).moments]


@pytest.mark.parametrize(
    ("line", "time", "text"),
    [
        ("[    1.204417] EXT4-fs (vda1): mounted", 1.204417, "EXT4-fs (vda1): mounted"),
        ("<4>[12345.678901][  T113]  do_exit+0x5e6/0x8d0", 12345.678901, " do_exit+0x5e6/0x8d0"),
        ("2017-04-08 03:34:51    [29201246.115165] x", 29201246.115165, "x"),
        ("Nov 23 10:22:00 db kernel: [   17.250000] [C1] y", 17.25, "y"),
        ("no time at all [not.1]", None, "no time at all [not.1]"),
    ],
)
def test_times_as_kernels_and_daemons_write_them(line: str, time: float, text: str) -> None:
    assert _told(line) == [(time, text, 0)]


def test_lines_of_one_record_share_its_time() -> None:
    assert _told("[    2.000000] first\nsecond", "third") == [
        (2.0, "first", 0), (2.0, "second", 0), (None, "third", 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("Kernel panic - not syncing: Fatal exception", Weight.FATAL),
        ("---[ end Kernel panic - not syncing: Fatal exception ]---", Weight.PLAIN),
        ("BUG: kernel NULL pointer dereference, address: 0000000000000010", Weight.FATAL),
        ("watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [cat:88]", Weight.TROUBLE),
        ("INFO: task kworker/1:2:77 blocked for more than 120 seconds.", Weight.TROUBLE),
        ("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", Weight.TROUBLE),
        ("blk_update_request: I/O error, dev sda, sector 2048", Weight.TROUBLE),
        ("systemd[1]: Started Session 1 of user root.", Weight.PLAIN),
    ],
)
def test_weights(text: str, weight: Weight) -> None:
    assert [int(weight)] == [w for _time, _text, w in _told(f"[    1.000000] {text}")]


def test_the_crash_is_the_panic_and_not_its_end_mark() -> None:
    story = timeline(deadlock())
    assert story.crash is not None
    assert story.moments[story.crash].text == ("Kernel panic - not syncing: sysrq triggered crash")
    assert story.crash_time == 431.121180


def test_the_crash_of_a_log_is_where_its_text_stands() -> None:
    report = from_log()
    assert report.crash is not None
    span = TextSpan(first_line=105, last_line=117)
    crash = msgspec.structs.replace(report.crash, text=span)
    story = timeline(msgspec.structs.replace(report, crash=crash, log_start=101))
    # Line 105 is the fifth of those from line 101 on, and tells of a hung task.
    assert story.crash == 4


def test_window_ends_with_the_crash() -> None:
    lines = [f"[{i * 100:5d}.000000] line" for i in range(30)]
    report = msgspec.structs.replace(
        deadlock(), log=(*lines, "[ 2950.000000] Kernel panic - not syncing: x")
    )
    times = [m.time for m in timeline(report).window()]
    assert times == [2400.0, 2500.0, 2600.0, 2700.0, 2800.0, 2900.0, 2950.0]


def test_of_too_many_notable_lines_the_first_and_the_last_remain() -> None:
    report = msgspec.structs.replace(
        deadlock(), log=tuple(f"[{i:5d}.000000] WARNING: {i}" for i in range(100))
    )
    kept = [m.index for m in timeline(report).notable(9)]
    assert kept == [0, 1, 2, 94, 95, 96, 97, 98, 99]


def test_no_log_no_story() -> None:
    report = msgspec.structs.replace(deadlock(), log=Unreadable("gone"))
    assert timeline(report).moments == ()
    assert timeline(report).crash_time is None
