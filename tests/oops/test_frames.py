"""Lines of backtraces and of instruction pointers, one of every form."""

import pytest

from kautopsy.oops.frames import frames_in
from kautopsy.oops.instruction import instruction_in


@pytest.mark.parametrize(
    ("text", "function", "offset", "size", "module", "address", "reliable"),
    [
        (" vfs_read+0x91/0x150", "vfs_read", 0x91, 0x150, None, None, True),
        (" ? vfs_read+0x91/0x150", "vfs_read", 0x91, 0x150, None, None, False),
        (" [<ffffffff81188c38>] f+0xb8/0x130", "f", 0xB8, 0x130, None, 0xFFFFFFFF81188C38, True),
        ("[<c0150558>] ? f+0xb8/0x130 [m]", "f", 0xB8, 0x130, "m", 0xC0150558, False),
        (" [] netoops+0x125/0x2a0", "netoops", 0x125, 0x2A0, None, None, True),
        ("<#MC>  [] ? panic+0xd6/0x1d0", "panic", 0xD6, 0x1D0, None, None, False),
        ("<>  [] ? menu_select+0xee/0x370", "menu_select", 0xEE, 0x370, None, None, False),
        (" <<EOE>>  [<c0150558>] idle+0x1f/0xc0", "idle", 0x1F, 0xC0, None, 0xC0150558, True),
        ("[<c0150558>] :ext3:f+0x5/0x10", "f", 5, 0x10, "ext3", 0xC0150558, True),
        (
            "[c000000010f930b0] [c000000008068df8] .eeh_check+0x278/0x390 (unreliable)",
            ".eeh_check",
            0x278,
            0x390,
            None,
            0xC000000008068DF8,
            False,
        ),
        ("([<000003ff8086d036>] f+0x36/0x1000 [m])", "f", 0x36, 0x1000, "m", 0x3FF8086D036, True),
        (
            " baz+0x101/0x200 [beep b31b29679ab712c360bddd861f655ab24898b4db]",
            "baz",
            0x101,
            0x200,
            "beep",
            None,
            True,
        ),
        (" init_inode.isra.6+0x11/0x47", "init_inode.isra.6", 0x11, 0x47, None, None, True),
        (" __switch_to+0x2b0/0x6e0 (T)", "__switch_to", 0x2B0, 0x6E0, None, None, True),
    ],
)
def test_frame(
    text: str,
    function: str,
    offset: int,
    size: int,
    module: str | None,
    address: int | None,
    reliable: bool,
) -> None:
    (frame,) = frames_in(text)
    assert (frame.function, frame.offset, frame.size) == (function, offset, size)
    assert (frame.module, frame.address, frame.reliable) == (module, address, reliable)


def test_symbolised_frames() -> None:
    (frame,) = frames_in(" foo+0x1c/0x30 fs/foo.c:123 [inline]")
    assert (frame.file, frame.line, frame.inline) == ("fs/foo.c", 123, True)
    (frame,) = frames_in(" do_read fs/read.c:7 [inline]")
    assert (frame.function, frame.line, frame.inline) == ("do_read", 7, True)
    (frame,) = frames_in(" ? kthread (kernel/kthread.c:292 (discriminator 3)) ")
    assert (frame.function, frame.file, frame.reliable) == ("kthread", "kernel/kthread.c", False)


def test_arm_names_callee_and_caller() -> None:
    callee, caller = frames_in("[<8028bd5c>] (dup_fd) from [<80132060>] (copy+0x58c/0x1844)")
    assert (callee.function, callee.address) == ("dup_fd", 0x8028BD5C)
    assert (caller.function, caller.offset, caller.size) == ("copy", 0x58C, 0x1844)
    callee, caller = frames_in(" unwind_backtrace from show_stack+0x10/0x14")
    assert (callee.function, caller.function) == ("unwind_backtrace", "show_stack")


def test_bare_addresses_and_many_on_a_line() -> None:
    (frame,) = frames_in(" 0xffffffffa06a4368")
    assert (frame.function, frame.address) == (None, 0xFFFFFFFFA06A4368)
    two = frames_in(" [<c0404c2b>] f+0x1a/0x2f  [<c04056bf>] g+0x8/0x9")
    assert [frame.function for frame in two] == ["f", "g"]


@pytest.mark.parametrize(
    "text",
    [
        "usb 1-1: new high-speed USB device number 2",
        " ffff8801ce46f9a0 ffffffff81d90469 ffff8801ce46fc80",
        "caller is __this_cpu_preempt_check+0x1c/0x20",
        "RAX: 0000000000000000 RBX: 0000000000000001",
        "the sum is 3+0x4/0x5 of what foo+0x1 says, more or less",
        "",
    ],
)
def test_what_is_no_frame(text: str) -> None:
    assert frames_in(text) == []


@pytest.mark.parametrize(
    ("text", "function", "address", "user"),
    [
        (
            "RIP: 0010:[<ffffffff8213c531>]  [<ffffffff8213c531>] init_inode.isra.6+0x11/0x470",
            "init_inode.isra.6",
            0xFFFFFFFF8213C531,
            False,
        ),
        ("RIP: 0010:format_decode+0x10f/0x560", "format_decode", None, False),
        ("RIP: free_page+0x6/0xa0 RSP: ffffb9258055bc98", "free_page", None, False),
        ("RIP: 0010:0x0", None, 0, False),
        ("RIP: 0033:0x4512c9", None, 0x4512C9, True),
        ("RIP: 0010:[]  [] netoops+0x125/0x2a0", "netoops", None, False),
        ("IP: [<f88dec25>] :radeon:ring+0x90/0x302", "ring", 0xF88DEC25, False),
        ("EIP is at ring+0x90/0x302 [radeon]", "ring", None, False),
        ("EIP: fill_node+0x473/0x980", "fill_node", None, False),
        ("PC is at dup_fd+0x154/0x39c", "dup_fd", None, False),
        ("pc : dup_fd+0x154/0x39c", "dup_fd", None, False),
        ("NIP [c008000002a10124] poll+0x4c/0xa0 [s]", "poll", 0xC008000002A10124, False),
        ("epc : ring_exit+0x44c/0xbc0", "ring_exit", None, False),
        ("epc   : 80512a3c xmit+0x5c/0x1a0", "xmit", 0x80512A3C, False),
        (
            "Krnl PSW : 0704f00180000000 000003ff8086d03a (oops_init+0x3a/0x1000 [m])",
            "oops_init",
            0x3FF8086D03A,
            False,
        ),
    ],
)
def test_instruction(text: str, function: str | None, address: int | None, user: bool) -> None:
    found = instruction_in(text)
    assert found is not None
    assert (found.frame.function, found.frame.address, found.user) == (function, address, user)


@pytest.mark.parametrize(
    "text", ["TCP: request_sock_TCP: Possible SYN flooding", "IP: Routing cache", "eth0: IP up"]
)
def test_prose_is_no_instruction(text: str) -> None:
    assert instruction_in(text) is None
