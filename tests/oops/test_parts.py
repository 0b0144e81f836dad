"""Registers, taint, code bytes, regions, triggers, titles."""

import io

import pytest

from kautopsy.model.crash import Frame, Kind
from kautopsy.oops import read_crashes, read_text
from kautopsy.oops.code import Machine, disassemble, machine_of
from kautopsy.oops.look import look, recognise
from kautopsy.oops.registers import registers_in
from kautopsy.oops.scan import CHUNK, regions
from kautopsy.oops.taint import in_words, taint_in
from kautopsy.oops.titles import cut, guilty, hung, plain, recursion, stable, stall
from kautopsy.oops.triggers import LITERALS


@pytest.mark.parametrize(
    ("text", "known"),
    [
        (
            "RAX: 0000000000000010 RBX: ffff88003c33de18 RCX: 0000000000000000",
            {"rax": 0x10, "rbx": 0xFFFF88003C33DE18, "rcx": 0},
        ),
        ("RSP: 0018:ffffb2c2c0d3fd58 EFLAGS: 00010202", {"rsp": 0xFFFFB2C2C0D3FD58}),
        ("EAX: f6884240 EBX: f339dc00", {"eax": 0xF6884240, "ebx": 0xF339DC00}),
        ("r7 : df912310  r6 : df912140", {"r7": 0xDF912310, "r6": 0xDF912140}),
        ("x2 : 0000000000000000 x1 : ffff0000c1d58000", {"x2": 0, "x1": 0xFFFF0000C1D58000}),
        ("GPR04: 0000000000000001 00000000000000a0", {"r4": 1, "r5": 0xA0}),
        ("$ 4   : 82b4a000 8091e8f8 00000010 00000000", {"$4": 0x82B4A000, "$5": 0x8091E8F8}),
        ("DAR: 0000000000000010", {"dar": 0x10}),
    ],
)
def test_registers(text: str, known: dict[str, int]) -> None:
    found: dict[str, int] = {}
    assert registers_in(text, found)
    assert known.items() <= found.items()


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("Pid: 1, comm: sh Tainted: GF          ---------------    2.6.32 #1", ("F",)),
        ("Comm: x Tainted: GF  M    W  -----  2.6.32-358 #1", ("F", "M", "W")),
        ("Tainted: PF   B   WC O 3.10.4-100.fc18", ("P", "F", "B", "W", "C", "O")),
        ("Tainted: G      D    OE 4.0.0", ("D", "O", "E")),
        ("Tainted: [L]=SOFTLOCKUP, [W]=WARN", ("L", "W")),
        ("comm: swapper Not tainted 3.0.0", ()),
        ("nothing of it", None),
    ],
)
def test_taint(text: str, letters: tuple[str, ...] | None) -> None:
    assert taint_in(text) == letters


def test_taint_in_words() -> None:
    assert in_words(("W",)) == ["W: a warning was given before"]


def test_code_of_x86_is_decoded_around_the_mark() -> None:
    pytest.importorskip("capstone")
    # ud2 after a call, as WARN_ON() compiles to: the marked instruction must be met exactly
    found = disassemble("e8 26 02 fc ff <0f> 0b 48 85 db", Machine("x86_64"))
    assert [step.text for step in found if step.marked] == ["ud2"]
    assert found[-1].text == "test rbx, rbx"


def test_code_of_arm64_is_words() -> None:
    pytest.importorskip("capstone")
    # d503201f is NOP, d65f03c0 RET (Arm ARM C6.2)
    found = disassemble("d503201f (d65f03c0)", Machine("aarch64"))
    assert [(step.text, step.marked) for step in found] == [("nop", False), ("ret", True)]


def test_machine_of_registers() -> None:
    assert machine_of({"rax": 1, "rsp": 2}) == Machine("x86_64")
    assert machine_of({"x29": 1}) == Machine("aarch64")
    assert machine_of({}) is None


def test_a_trigger_across_two_chunks_is_seen() -> None:
    head = b"BUG: unable to handle kernel NULL pointer dereference at 0000\n"
    quiet = b"all is well, says this line of forty-odd\n"
    for cut_at in (1, 5, 20):
        padding = quiet * (CHUNK // len(quiet))
        padding += b"x" * (CHUNK - len(padding) - cut_at - 1) + b"\n"
        raw = padding + head + quiet * 10
        (region,) = regions(io.BytesIO(raw))
        assert head in region.data
        before = raw[: raw.index(region.data)]
        assert region.first_line == before.count(b"\n") + 1


def test_line_numbers_count_from_the_files_start() -> None:
    quiet = b"[    1.000000] usb 1-1: all is well\n" * 50_000
    head = b"[    2.000000] BUG: unable to handle kernel NULL pointer dereference at 0000\n"
    first, second = read_crashes(io.BytesIO(quiet + head + quiet + head))
    assert first.text is not None
    assert second.text is not None
    assert (first.text.first_line, second.text.first_line) == (50_001, 100_002)


@pytest.mark.parametrize(
    "text",
    [
        "BUG: KASAN: slab-out-of-bounds in f+0x1/0x2",
        "WARNING: fs/dcache.c:829 at fast_dput+0x334/0x430, CPU#0: a/1",
        "Unable to handle kernel access to user memory outside uaccess routines",
        "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 0-... }",
        "[ INFO: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected ]",
        "kernel stack overflow (double-fault): 0000 [#1]",
        "Oops - undefined instruction: 0 [#1] SMP",
        "addressing exception: 0005 ilc:2 [#1] SMP",
        "SError Interrupt on CPU0, code 0xbf000002 -- SError",
        "trusty: panic (caller 0xffff): DEBUG ASSERT FAILED at (a.c:1): x",
        "INFO: Possible timer handling issue",
        "watchdog: CPU5: Watchdog detected hard LOCKUP on cpu 5",
        "unreferenced object 0xffff888100000000 (size 64):",
    ],
)
def test_the_fast_scan_sees_what_families_know(text: str) -> None:
    """A line that a family would take must hold a literal of the fast scan."""
    assert any(literal in (text + "\n").encode() for literal in LITERALS)


def test_families_and_cases_are_seen_by_the_fast_scan() -> None:
    from pathlib import Path

    from kautopsy.oops.prefixes import clean

    for path in (Path(__file__).parent / "cases").glob("*.txt"):
        for raw in path.read_text().partition("\n\n")[2].split("\n"):
            for line in clean(raw, 1):
                if recognise(line.text, look(line.text)) is not None:
                    assert any(literal in raw.encode() + b"\n" for literal in LITERALS), raw


def _frames(*names: str) -> list[Frame]:
    return [Frame(function=name, offset=1, size=2) for name in names]


def test_titles_pass_over_helpers() -> None:
    assert guilty(_frames("dump_stack", "__list_del_entry_valid", "queue_drop")) == "queue_drop"
    assert guilty(_frames("memcpy", "foo.isra.3")) == "foo"
    assert plain("__x64_sys_read") == plain("SyS_read") == "sys_read"


def test_a_recursion_is_named_by_where_it_was_entered() -> None:
    def entered(*names: str) -> str | None:
        frame = recursion(_frames(*names))
        return frame.function if frame is not None else None

    outside = ("open_tree", "vfs_write", "ksys_write")
    assert entered("memset", *["walk"] * 6, *outside) == "walk"
    # The circle of two was entered through "visit", wherever the stack ended.
    assert entered(*["walk", "visit"] * 6, *outside) == "visit"
    assert entered("visit", *["walk", "visit"] * 6, *outside) == "visit"
    # Twice is no recursion, and in a circle through dispatchers nobody is more to blame.
    assert entered("walk", "walk", *outside) is None
    assert entered(*["notify", "call_chain", "event", "change", "update"] * 9, *outside) is None


def test_stalls_are_named_below_the_dispatcher() -> None:
    frames = _frames("inner", "looper", "process_one_work", "worker_thread")
    assert stall(frames) == "looper"
    assert stall(_frames("x", "smp_call_function_many", "y")) == "smp_call_function"


def test_hung_tasks_are_named_by_who_waits() -> None:
    assert hung(_frames("__schedule", "schedule", "io_schedule", "get_block")) == "get_block"
    assert hung(_frames("schedule", "__mutex_lock", "rtnl_lock", "dev_ioctl")) == "rtnl_lock"
    assert hung(_frames("schedule", "label_wait_free")) == "label_wait_free"


def test_titles_hold_nothing_that_changes() -> None:
    assert stable("at ffff880100000000 on CPU#3 pid 4711") == "at ADDR on CPU pid NUM"
    assert len(cut("x" * 400)) == 120


def test_a_known_text_has_a_fingerprint() -> None:
    (crash,) = read_text("BUG: unable to handle kernel NULL pointer dereference at 0000\n")
    assert crash.kind is Kind.NULL_DEREFERENCE
    assert crash.fingerprint is not None


def test_rust_and_cpp_names_are_read() -> None:
    # The v0 scheme is RFC 2603's, C++'s the Itanium ABI's.
    rust = "_RNvXCsktjF9JQNZ8U_5rnullNtB2_13NullBlkModuleNtCs1234_6kernel6Module4init"
    assert plain(rust) == "<rnull::NullBlkModule as kernel::Module>::init"
    assert plain("_ZN4core9panicking5panic17h0123456789abcdefE") == "core::panicking::panic"
    assert plain("_Z8takeTurniii") == "takeTurn"
    assert plain("_Runtime") == "_Runtime"


_FRAMES = """\
[   50.000300] CPU: 1 PID: 77 Comm: peerd Not tainted 5.10.0 #1
[   50.000400] Call Trace:
[   50.000500]  dump_stack+0x4a/0x80
{}[   50.001500]  peer_ioctl+0x90/0x150
[   50.001600]  do_syscall_64+0x3c/0x90
[   50.001700] RIP: 0033:0x459c97
[   50.001800] Code: 00 66 90 b8 58 00 00 00 0f 05 <48> 3d 01 f0 ff ff
[   50.001900] RSP: 002b:00007ffd984b5b18 EFLAGS: 00000246 ORIG_RAX: 0000000000000010
[   50.002000] RAX: ffffffffffffffda RBX: 0000000000000000 RCX: 0000000000459c97
"""


def test_registers_and_code_of_user_space_are_not_the_crashs() -> None:
    head = "[   50.000100] BUG: KASAN: use-after-free in peer_name+0xac/0xc3\n"
    head += "[   50.000200] Read of size 8 at addr ffff888104a0b008 by task peerd/77\n"
    (crash,) = read_text(head + _FRAMES.format("[   50.001400]  peer_name+0xac/0xc3\n"))
    assert crash.registers == {}
    assert crash.code is None


def test_registers_of_a_trap_in_the_middle_of_a_backtrace_are_whole() -> None:
    """A warning that panics prints the panic's backtrace, with the trap's registers inside."""
    head = "[   50.000100] WARNING: CPU: 1 PID: 77 at drivers/peer.c:12 peer_name+0xac/0xc3\n"
    head += "[   50.000200] Kernel panic - not syncing: panic_on_warn set ...\n"
    trap = (
        "[   50.000600]  panic+0x107/0x2e9\n"
        "[   50.000700]  __warn+0x9b/0xd0\n"
        "[   50.000800]  asm_exc_invalid_op+0x12/0x20\n"
        "[   50.000900] RIP: 0010:peer_name+0xac/0xc3\n"
        "[   50.001000] Code: 41 29 d5 e9 1c fd ff ff <0f> 0b e9 10\n"
        "[   50.001100] RSP: 0018:ffffc90000007be0 EFLAGS: 00010046\n"
        "[   50.001200] RAX: 0000000000000001 RBX: 0000000000000002 RCX: 0000000000000003\n"
        "[   50.001300] RDX: 0000000000000004 RSI: 0000000000000005 RDI: 0000000000000006\n"
    )
    (crash,) = read_text(head + _FRAMES.format(trap))
    assert crash.registers["rax"] == 1
    assert crash.registers["rdi"] == 6
    assert crash.registers["rsp"] == 0xFFFFC90000007BE0
    assert crash.code == "41 29 d5 e9 1c fd ff ff <0f> 0b e9 10"


def test_what_arms_frames_saved_are_no_registers() -> None:
    lines = [
        "WARNING: inconsistent lock state",
        "Backtrace: ",
        "[<80de0078>] (dump_backtrace) from [<80de0574>] (show_stack+0x28/0x2c)",
        " r9:60000193 r8:ffffffff r7:00000000 r6:00000080 r5:8101acf4 r4:00000000",
        "[<80de054c>] (show_stack) from [<80de7c10>] (dump_stack+0x154/0x1a8)",
    ]
    (crash,) = read_text("".join(f"[   60.000000] {line}\n" for line in lines))
    assert crash.registers == {}
