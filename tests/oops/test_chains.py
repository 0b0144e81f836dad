"""What a kernel says in several messages is one crash; what a boot follows on purpose is none."""

import pytest

from kautopsy.model.crash import Kind
from kautopsy.oops import read_text

_ATOMIC = """\
[   75.726516][ T8444] BUG: scheduling while atomic: worker/8444/0x00000002
[   75.734225][ T8444] no locks held by worker/8444.
[   75.740182][ T8444] Modules linked in:
[   75.744168][ T8444] Preemption disabled at:
[   75.744175][ T8444] [<ffffffff812aa3e4>] frob_claim_vector_unit+0x64/0x260
[   75.755491][ T8444] Kernel panic - not syncing: scheduling while atomic
[   75.762311][ T8444] CPU: 1 PID: 8444 Comm: worker Not tainted 5.13.0-rc6 #0
[   75.781401][ T8444] Call Trace:
[   75.784670][ T8444]  dump_stack+0x141/0x1d7
[   75.788994][ T8444]  panic+0x306/0x73d
[   75.812611][ T8444]  __schedule_bug.cold+0x10c/0x143
[   75.817935][ T8444]  __schedule+0x19df/0x23e0
[   75.834439][ T8444]  schedule+0xcf/0x270
[   75.838618][ T8444]  frob_wait_for_reply+0x14d/0x290
[   75.844397][ T8444]  frob_ioctl+0x5/0x40
"""


def test_where_preemption_was_disabled_is_no_backtrace() -> None:
    (crash,) = read_text(_ATOMIC)
    assert crash.kind is Kind.ATOMIC_SLEEP
    assert crash.title.endswith("in frob_wait_for_reply")
    assert crash.follow_ups == ("Kernel panic - not syncing: scheduling while atomic",)
    assert "frob_claim_vector_unit" not in [frame.function for frame in crash.frames]


def test_a_boot_after_power_down_is_expected() -> None:
    said = "[ 1000.000000] {}\nDecompressing Linux... done, booting the kernel.\n"
    for farewell in ("reboot: Power down", "reboot: System halted", "reboot: Restarting system"):
        assert read_text(said.format(farewell)) == []
    assert len(read_text(said.format("eth0: link up"))) == 1


_FIRMWARE = (
    "SeaBIOS (version rel-1.16.2-0-gea1b7a0733-prebuilt.qemu.org)",
    "U-Boot SPL 2021.01+dfsg-5 (May 23 2021 - 00:00:00 +0000)",
    "U-Boot 2023.10-rc4 (Sep 05 2023 - 12:00:00 +0200)",
    "NOTICE:  BL1: v2.9(release):v2.9.0",
    "OpenSBI v1.3",
    'BdsDxe: loading Boot0001 "UEFI QEMU HARDDISK" from PciRoot(0x0)',
    "  Version 2.20.1275. Copyright (C) 2021 American Megatrends, Inc.",
    "                             GNU GRUB  version 2.06-13",
    "Welcome to GRUB!",
    "EFI stub: Booting Linux Kernel...",
)
_RESET = """\
[ 1000.000000] eth0: link up
{}
[    0.000000] Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org)
[    0.000000] Command line: BOOT_IMAGE=/boot/vmlinuz root=/dev/sda1 panic=10
[    1.000000] Freeing unused kernel memory: 2344K
"""


@pytest.mark.parametrize("banner", _FIRMWARE, ids=lambda banner: banner.strip()[:16])
def test_a_machine_that_resets_without_a_word_is_reported_once(banner: str) -> None:
    decompressor = "Decompressing Linux... Parsing ELF... done.\nBooting the kernel."
    (reset,) = read_text(_RESET.format(f"{banner}\n{decompressor}"))
    assert reset.title == "unexpected kernel reboot"
    assert reset.text is not None
    assert reset.text.first_line == 2
    assert read_text(_RESET.split("\n", 1)[1].format(banner)) == []  # the first boot of a console
    for farewell in (
        "[ 1000.100000] reboot: Restarting system",
        "[  OK  ] Reached target Shutdown.",
        "The system is going down NOW!",
        "[ 1000.100000] sysrq: Resetting",
        "[ 1000.100000] PM: suspend entry (deep)",
        "[ 1000.100000] Kernel panic - not syncing: No working init found.",
    ):
        titles = [crash.title for crash in read_text(_RESET.format(f"{farewell}\n{banner}"))]
        assert "unexpected kernel reboot" not in titles, farewell


def test_a_reset_in_the_middle_of_a_line_is_one() -> None:
    (reset,) = read_text(_RESET.format("[ 1001.000000] eth0: liSeaBIOS (version 1.8.2)"))
    assert reset.title == "unexpected kernel reboot"


def test_boots_without_the_firmware_between_are_no_resets() -> None:
    """A kernel's log does not tell how it went down: init and the loggers do."""
    assert read_text(_RESET.replace("{}\n", "")) == []
    assert read_text(_RESET.format("[    0.000000] efi: EFI v2.80 by American Megatrends")) == []


def test_a_reset_after_a_crash_is_the_crashs() -> None:
    oops = (
        "[ 1000.100000] PANIC: double fault, error_code: 0x0\n[ 1000.100001] CSeaBIOS (version 1.8)"
    )
    (crash,) = read_text(_RESET.format(oops))
    assert crash.kind is Kind.DOUBLE_FAULT


_LOST = """\
[   10.000000] ------------[ cut here ]------------
[   10.000000] WARNING: CPU: 0 PID: 77 at drivers/frob/frob.c:345 frob_exit+0x84/0x104
[   10.000000] CPU: 0 PID: 77 Comm: kworker/u10:2 Not tainted 4.17.0-rc1+ #11
[   10.000000] [<8011218c>] (unwind_backtrace) from [<8010e300>] (show_stack+0x18/0x1c)
[   10.000000] [<8010e300>] (show_stack) from [<80b12478>] (dump_stack+0xa0/0xc0)
[   10.000000] [<80b12478>] (dump_stack) from [<8013479c>] (warn_slowpath_fmt+0x0/0x5c)
[   10.000000] [<8013479c>] (warn_slowpath_fmt) from {}
[   10.000000] ---[ end trace 0000000000000000 ]---
"""


def test_a_backtrace_that_ends_among_the_reporters_is_not_trusted() -> None:
    (lost,) = read_text(_LOST.format("[<ffffffff>] (0xffffffff)"))
    assert lost.corrupted
    (whole,) = read_text(_LOST.format("[<80b00000>] (frob_exit+0x84/0x104)"))
    assert not whole.corrupted


def test_a_journal_whose_fields_end_in_twenty_is_no_mail() -> None:
    entry = "__CURSOR=s=1\n_TRANSPORT=kernel\n_PID=20\n"
    entry += "_SOURCE_MONOTONIC_TIMESTAMP=5000000\nMESSAGE={}\n"
    lines = ["BUG: kernel NULL pointer dereference, address: 0000000000000010", "Call Trace:"]
    lines += [" frob_start+0x12/0x40 [frob]", " vfs_write+0x10/0x20", "---[ end trace 0 ]---"]
    (crash,) = read_text("\n".join(entry.format(line) for line in lines))
    assert crash.uptime_seconds == 5.0
    assert [frame.function for frame in crash.frames] == ["frob_start", "vfs_write"]


def test_the_span_of_a_pstore_record_covers_all_its_parts() -> None:
    older = ["BUG: kernel NULL pointer dereference, address: 0000000000000010", "Call Trace:"]
    newer = [" frob_start+0x12/0x40 [frob]", " vfs_write+0x10/0x20", "---[ end trace 0 ]---"]
    text = "\n".join(["Oops#1 Part1", *newer, "Oops#1 Part2", *older, ""])
    (crash,) = read_text(text)
    assert [frame.function for frame in crash.frames] == ["frob_start", "vfs_write"]
    assert crash.text is not None
    assert (crash.text.first_line, crash.text.last_line) == (2, 7)
