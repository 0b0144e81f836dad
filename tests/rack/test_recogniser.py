"""Consoles of each distribution's kdump, line by line, and what they tell.

The samples are written down from the producers' own sources: kdump-utils' kdump.sh (dracut),
kexec-tools of RHEL 7, Debian's kdump-config, SUSE's kdump-save, the kernel's nmi.c and hpwdt.c.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from kautopsy.model.trigger import ConsoleEventKind as Kind
from kautopsy.trigger.console.recogniser import Recogniser
from kautopsy.trigger.console.recording import ConsoleLine, Recording
from kautopsy.trigger.console.watch import ConsoleWatch

_NMI = """\
[  812.300000] Uhhuh. NMI received for unknown reason 31 on CPU 3.
[  812.300001] Kernel panic - not syncing: NMI: Not continuing
"""
_SYSRQ = """\
[   98.000000] sysrq: Trigger a crash
[   98.000001] Kernel panic - not syncing: sysrq triggered crash
"""
_CAPTURE = """\
[    0.000000] Linux version 5.14.0-427.el9.x86_64 (mockbuild@x86-05.build.eng.rdu2.redhat.com)
[    0.000000] Command line: elfcorehdr=0x7d000000 BOOT_IMAGE=(hd0,gpt3)/vmlinuz ro irqpoll \
nr_cpus=1 reset_devices cgroup_disable=memory mce=off
"""
_BACK = """\
[    0.000000] Linux version 5.14.0-427.el9.x86_64 (mockbuild@x86-05.build.eng.rdu2.redhat.com)
[    0.000000] Command line: BOOT_IMAGE=(hd0,gpt3)/vmlinuz-5.14.0 root=/dev/sda3 ro crashkernel=1G
[    0.040000] Kernel command line: BOOT_IMAGE=(hd0,gpt3)/vmlinuz-5.14.0 root=/dev/sda3 ro
"""
_EL9 = """\
[    9.115233] kdump[561]: saving to /sysroot/var/crash/127.0.0.1-2026-11-26-09:14:03/
[    9.201311] kdump[566]: saving vmcore-dmesg.txt to /sysroot/var/crash/127.0.0.1-2026-11-26/
[    9.401311] kdump[572]: saving vmcore-dmesg.txt complete
[    9.402177] kdump[574]: saving vmcore
Checking for memory holes                         : [100.0 %] |
Excluding unnecessary pages                       : [100.0 %] \\
Copying data                                      : [  3.5 %] /                  eta: 27s
Copying data                                      : [ 64.0 %] -                  eta: 9s
Copying data                                      : [100.0 %] |                  eta: 0s
The dumpfile is saved to /sysroot/var/crash/127.0.0.1-2026-11-26-09:14:03/vmcore-incomplete.
makedumpfile Completed.
[   36.910544] kdump[601]: saving vmcore complete
[   36.913421] kdump[603]: saving the /run/initramfs/kexec-dmesg.log to /sysroot/var/crash/
[   37.910544] systemd-shutdown[1]: Rebooting.
[   37.990544] reboot: Restarting system
"""
_EL7 = """\
kdump: dump target is /dev/mapper/rhel-root
kdump: saving to /sysroot//var/crash/127.0.0.1-2026-11-26-10:44:31/
kdump: saving vmcore-dmesg.txt
kdump: saving vmcore-dmesg.txt complete
kdump: saving vmcore
Copying data                       : [ 52.1 %]
Copying data                       : [100.0 %]
kdump: saving vmcore complete
Rebooting.
"""
_DEBIAN = """\
[   10.512233] kdump-tools[235]: Starting kdump-tools:
[   10.601212] kdump-tools[241]: running makedumpfile --dump-dmesg /proc/vmcore /var/crash/dmesg.2
[   10.702177] kdump-tools[259]: kdump-tools: saved dmesg content in /var/crash/202611260914.
[   10.702180] kdump-tools[262]: running makedumpfile -F -c -d 31 /proc/vmcore | compress > /var/x
[   10.802180] kdump-tools[263]: Copying data   : [ 33.1 %] \\   eta: 2s
[   14.802180] kdump-tools[281]: kdump-tools: saved vmcore in /var/crash/202611260914.
[   15.002180] kdump-tools[290]: Rebooting.
"""
_SUSE = """\
Saved temporary README.txt
Saved dmesg
Copying data                                      : [ 71.0 %] /  eta: 4s
The dumpfile is saved to STDOUT.
makedumpfile Completed.
Saved vmcore
Saved final README.txt
"""


def _events(text: str) -> list[tuple[Kind, str]]:
    recogniser = Recogniser()
    return [
        (event.kind, event.detail)
        for number, line in enumerate(text.splitlines())
        for event in recogniser.read(ConsoleLine(float(number), line))
    ]


def _kinds(text: str) -> list[Kind]:
    return list(dict.fromkeys(kind for kind, _detail in _events(text)))


@pytest.mark.parametrize(
    "saved", [_EL9, _EL7, _DEBIAN, _SUSE], ids=["el9", "el7", "debian", "suse"]
)
@pytest.mark.parametrize("quiet", [False, True])
def test_the_whole_way_of_every_distribution(saved: str, quiet: bool) -> None:
    kinds = _kinds(_NMI + ("" if quiet else _CAPTURE) + saved + _BACK)
    story = [Kind.NMI_RECEIVED, Kind.PANIC, Kind.CAPTURE_BOOTED, Kind.SAVING, Kind.SAVED]
    assert kinds[: len(story)] == story
    assert kinds[-1] is Kind.BOOTED
    assert Kind.SAVE_FAILED not in kinds


def test_progress_is_told_in_percent_and_not_for_every_spin() -> None:
    recogniser = Recogniser()
    lines = [*_NMI.splitlines(), *_CAPTURE.splitlines()]
    lines += [f"Copying data    : [ {p / 10:4.1f} %] /  eta: 9s" for p in range(1001)]
    events = [e for line in lines for e in recogniser.read(ConsoleLine(0, line))]
    percents = [e.percent for e in events if e.percent is not None]
    assert percents == [float(p) for p in range(101)]


def test_what_is_no_panic() -> None:
    ignored = (
        "root@db:~# [  812.3] Uhhuh. NMI received for unknown reason 21 on CPU 0.\n"
        "[  812.3] Dazed and confused, but trying to continue\n"
    )
    assert _kinds(ignored) == [Kind.NMI_RECEIVED, Kind.NMI_IGNORED]
    assert _kinds("SeaBIOS (version 1.16.2)\n" + _BACK) == [Kind.FIRMWARE, Kind.BOOTED]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "Kernel panic - not syncing: An NMI occurred. Depending on your system the reason for"
            " the NMI is logged in any one of the following resources:",
            "An NMI occurred",
        ),
        ("Kernel panic - not syncing: NMI IOCK error: Not continuing", "NMI IOCK error"),
        ("Kernel panic - not syncing: Hard LOCKUP", "Hard LOCKUP"),
        ("BUG: unable to handle kernel NULL pointer dereference at           (null)", ""),
    ],
)
def test_every_kind_of_death(line: str, reason: str) -> None:
    details = [detail for kind, detail in _events(f"[  1.0] {line}\n") if kind is Kind.PANIC]
    assert len(details) == 1 and details[0].startswith(reason)


def test_hpwdts_own_panic_is_an_nmi() -> None:
    assert _kinds("[ 1.0] Kernel panic - not syncing: An NMI occurred. Depending on your") == [
        Kind.NMI_RECEIVED,
        Kind.PANIC,
    ]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("[ 4.1] Out of memory and no killable processes...", "ran out of memory"),
        (
            "[ 4.1] Kernel panic - not syncing: System is deadlocked on memory",
            "ran out of memory",
        ),
        ("kdump.sh[297]: kdump: saving vmcore failed, _exitcode:1", "saving vmcore failed"),
        ("[ 9.4] kdump[574]: saving vmcore failed, exitcode:1", "saving vmcore failed"),
        ("kdump: saving vmcore failed", "saving vmcore failed"),
        ("kdump-tools: failed to save vmcore in /var/crash/2026", "failed to save vmcore"),
        ("Error: Failed saving vmcore", "Failed saving vmcore"),
        ("write error: No space left on device", "target is full"),
        ("kdump: error: Dump target /dev/sdb1 is not mounted.", "Dump target /dev/sdb1"),
        ("[ 2.0] VFS: Unable to mount root fs on unknown-block(0,0)", "did not find its root"),
        (
            "[ 2.0] Kernel panic - not syncing: Attempted to kill init!",
            "capture kernel panicked itself: Attempted to kill init!",
        ),
    ],
)
def test_every_way_to_fail(words: str, reason: str) -> None:
    told = dict(reversed(_events(_NMI + _CAPTURE + words + "\n")))
    assert reason in told[Kind.SAVE_FAILED]


def test_a_failure_of_the_log_alone_is_none() -> None:
    words = "kdump: saving vmcore-dmesg.txt failed\nkdump: saving vmcore\n"
    kinds = _kinds(_NMI + _CAPTURE + words + "kdump: saving vmcore complete\n")
    assert Kind.SAVE_FAILED not in kinds and kinds[-1] is Kind.SAVED


def test_no_capture_kernel_took_over() -> None:
    text = _SYSRQ + "[   99.0] ---[ end Kernel panic - not syncing: sysrq triggered crash ]---\n"
    assert (Kind.SAVE_FAILED, "no capture kernel took over") in _events(text)


def test_words_before_a_death_are_no_capture() -> None:
    """A running system that restarts its kdump service says much the same."""
    assert Kind.CAPTURE_BOOTED not in _kinds("[ 9.0] kdump[12]: saving vmcore\n" + _BACK)


def test_a_prompt_has_no_line_break_and_is_told_once(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    watch = ConsoleWatch(recording)
    recording.feed(b"\x1b[2J\x1b[1;32mDebian\x1b[0m\r\n\r\ndb login: ")
    assert watch.wait({Kind.LOGIN}, 5) is not None
    assert watch.wait({Kind.LOGIN}, 1.5) is None
    recording.close()


def test_bytes_in_any_pieces_are_the_same_lines() -> None:
    data = (_NMI + _EL9).replace("\n", "\r\n").encode() + b"a\rb\rc\r\n"
    whole = Recording()
    whole.feed(data)
    expected = [line.text for line in whole.lines()]
    assert expected[-3:] == ["a", "b", "c"] and "" not in expected
    for size in (1, 2, 3, 7, 100):
        pieces = Recording()
        for at in range(0, len(data), size):
            pieces.feed(data[at : at + size])
        assert [line.text for line in pieces.lines()] == expected
    # What steers a terminal is no text.
    assert Recording().lines() == []


def test_events_of_one_batch_are_not_lost_to_the_next_wait() -> None:
    recording = Recording()
    watch = ConsoleWatch(recording)
    recording.feed((_NMI + _CAPTURE + _EL9).encode())
    for kind in (Kind.PANIC, Kind.CAPTURE_BOOTED, Kind.SAVED, Kind.REBOOTING):
        assert watch.wait({kind}, 1) is not None
    recording.end("the other side closed it")
    assert watch.wait({Kind.LOST}, 5) is not None
