"""One bug, many reports: what may differ between them, and what may not."""

import msgspec
import pytest

from kautopsy.fingerprint import VERSION, fingerprint
from kautopsy.fingerprint.exact import significant
from kautopsy.model.crash import Crash, Frame, Kind, TextSpan, Trigger


def crash(kind: Kind, *functions: str, title: str = "", ip: str | None = None) -> Crash:
    """Frames are written ``f+0x10 [module]``, ``? f`` if unreliable and ``(f)`` if inlined."""
    return Crash(
        kind=kind,
        title=title or f"{kind} somewhere",
        frames=tuple(map(frame, functions)),
        instruction=frame(ip) if ip else None,
    )


def frame(text: str) -> Frame:
    reliable = not text.startswith("? ")
    name, _, module = text.removeprefix("? ").partition(" [")
    inline = name.startswith("(")
    name, _, offset = name.strip("()").partition("+")
    return Frame(
        function=name,
        offset=int(offset, 16) if offset else None,
        module=module.rstrip("]") or None,
        inline=inline,
        reliable=reliable,
    )


# A write through a NULL pointer on 6.1: the trace that the kernel prints, and what unwinding the
# panicking task's stack out of the dump gives (with and without the DWARF that shows inlining).
TEXT = crash(
    Kind.NULL_DEREFERENCE,
    "session_drop+0x20 [faults]",
    "session_close+0xad [faults]",
    "faults_write+0x56 [faults]",
    "proc_reg_write+0x56",
    "vfs_write+0xc7",
    "? f_dupfd+0x47",
    "ksys_write+0x6b",
    "do_syscall_64+0x5d",
    "? handle_mm_fault+0xdb",
    "entry_SYSCALL_64_after_hwframe+0x6e",
    ip="session_put+0x10 [faults]",
)
DUMP = crash(
    Kind.NULL_DEREFERENCE,
    "(__preempt_count_add)",
    "delay_tsc+0x33",
    "panic+0x2e9",
    "oops_end+0x18",
    "page_fault_oops+0x171",
    "exc_page_fault+0x7c",
    "asm_exc_page_fault+0x26",
    "(refcount_dec)",
    "session_put+0x10 [faults]",
    "session_drop+0x20 [faults]",
    "session_close+0xad [faults]",
    "faults_write+0x56 [faults]",
    "(pde_write)",
    "proc_reg_write+0x56",
    "vfs_write+0xc7",
    "ksys_write+0x6b",
    "(do_syscall_x64)",
    "do_syscall_64+0x5d",
    "entry_SYSCALL_64+0xa6",
)


def test_text_and_dump_of_one_oops_agree() -> None:
    assert fingerprint(TEXT).exact == fingerprint(DUMP).exact
    assert fingerprint(TEXT) == fingerprint(DUMP)


def test_the_faulting_function_may_stand_in_the_backtrace_too() -> None:
    # arm64 and riscv begin the trace with it, x86 does not.
    again = msgspec.structs.replace(TEXT, frames=(frame("session_put+0x10 [faults]"), *TEXT.frames))
    assert fingerprint(again) == fingerprint(TEXT)


def test_inline_frames_do_not_matter() -> None:
    shown = [f for f in DUMP.frames if not f.inline]
    assert fingerprint(msgspec.structs.replace(DUMP, frames=tuple(shown))) == fingerprint(DUMP)


def test_another_build_and_architecture_of_one_bug_agree() -> None:
    arm64 = crash(
        Kind.BAD_POINTER,
        "session_put.isra.0+0x1c [faults]",
        "session_drop.part.0+0x28 [faults]",
        "session_close+0xa8 [faults]",
        "faults_write+0x70 [faults]",
        "proc_reg_write+0xa4",
        "vfs_write+0xf8",
        "ksys_write+0x74",
        "__arm64_sys_write+0x24",
        "invoke_syscall.constprop.0+0x58",
        "el0_svc_common+0x44",
        "do_el0_svc+0x20",
        "el0_svc+0x30",
        "el0t_64_sync_handler+0x90",
        "el0t_64_sync+0x190",
        ip="session_put.isra.0+0x1c [faults]",
    )
    assert fingerprint(arm64).exact == fingerprint(TEXT).exact


@pytest.mark.parametrize(
    "other",
    [
        msgspec.structs.replace(TEXT, kind=Kind.WARNING),
        msgspec.structs.replace(TEXT, instruction=frame("session_get+0x10 [faults]")),
        msgspec.structs.replace(TEXT, frames=TEXT.frames[1:]),
    ],
    ids=["kind", "function", "caller"],
)
def test_another_bug_has_another_key(other: Crash) -> None:
    assert fingerprint(other).exact != fingerprint(TEXT).exact


def test_unreliable_frames_count_only_where_there_is_nothing_else() -> None:
    guess = crash(Kind.WARNING, "? bnx2_poll", "? tg3_poll", "? e1000_clean")
    assert [f.function for f in significant(guess)] == ["bnx2_poll", "tg3_poll", "e1000_clean"]
    sure = crash(Kind.WARNING, "? bnx2_poll", "tg3_poll", "? e1000_clean")
    assert [f.function for f in significant(sure)] == ["tg3_poll"]


def test_what_an_interrupt_hit_is_chance() -> None:
    poll = (
        "net_rx_action",
        "__do_softirq",
        "irq_exit_rcu",
        "common_interrupt",
        "asm_common_interrupt",
    )
    driver = ("rtl_rx [r8169]", "rtl_poll [r8169]", "__napi_poll")
    one = crash(Kind.BUG, *driver, *poll, "ext4_readpage", "do_page_cache_ra", ip="rtl_rx [r8169]")
    two = crash(Kind.BUG, *driver, *poll, "native_safe_halt", "do_idle", ip="rtl_rx [r8169]")
    assert fingerprint(one) == fingerprint(two)


def test_a_watchdog_points_at_whom_it_interrupted() -> None:
    victim = ("walk_forever [faults]", "sweep [faults]", "faults_write [faults]", "vfs_write")
    text = crash(Kind.SOFT_LOCKUP, *victim[1:], ip=victim[0])
    dump = crash(
        Kind.SOFT_LOCKUP,
        "crash_kexec", "panic", "watchdog_timer_fn.cold", "__hrtimer_run_queues",
        "hrtimer_interrupt", "__sysvec_apic_timer_interrupt", "sysvec_apic_timer_interrupt",
        "asm_sysvec_apic_timer_interrupt", *victim,
    )  # fmt: skip
    hard = crash(
        Kind.HARD_LOCKUP,
        "panic", "nmi_panic", "watchdog_overflow_callback.cold", "__perf_event_overflow",
        "handle_pmi_common", "intel_pmu_handle_irq", "perf_event_nmi_handler", "nmi_handle",
        "default_do_nmi", "exc_nmi", "end_repeat_nmi", *victim,
    )  # fmt: skip
    assert fingerprint(text).exact == fingerprint(dump).exact == fingerprint(hard).exact


def test_an_nmi_that_hit_the_idle_loop_hit_nobody() -> None:
    way = ("default_do_nmi", "exc_nmi", "end_repeat_nmi")
    idle = ("native_safe_halt", "do_idle", "secondary_startup_64_no_verify")
    text = crash(Kind.HARDWARE_NMI, "panic", "unknown_nmi_error", *way, *idle)
    deep = ("default_idle", "do_idle", "start_secondary", "secondary_startup_64")
    dump = crash(Kind.OPERATOR_NMI, "crash_kexec", "nmi_panic", "unknown_nmi_error", *way, *deep)
    assert fingerprint(text).exact == fingerprint(dump).exact


def test_sysrq_is_one_thing_in_every_kernel() -> None:
    # 2.6.32 writes to NULL, later kernels call panic(); from the keyboard it comes by an interrupt.
    old = crash(
        Kind.NULL_DEREFERENCE,
        "__handle_sysrq", "write_sysrq_trigger", "proc_reg_write", "vfs_write", "sys_write",
        "system_call_fastpath", ip="sysrq_handle_crash",
    )  # fmt: skip
    new = crash(
        Kind.OPERATOR_SYSRQ,
        "dump_stack_lvl", "panic", "sysrq_handle_crash", "__handle_sysrq.cold", "sysrq_filter",
        "input_handle_event", "atkbd_interrupt", "asm_common_interrupt", "default_idle",
    )  # fmt: skip
    assert fingerprint(old) == fingerprint(new)
    assert fingerprint(old).keys["class"] == "operator-sysrq"


def _changed(crash: Crash, **changes: object) -> Crash:
    def one(frame: Frame) -> Frame:
        own = {
            name: change(frame) if callable(change) else change for name, change in changes.items()
        }
        return msgspec.structs.replace(frame, **own)

    assert crash.instruction is not None
    return msgspec.structs.replace(
        crash, instruction=one(crash.instruction), frames=tuple(map(one, crash.frames))
    )


@pytest.mark.parametrize(
    "same",
    [
        _changed(TEXT, offset=lambda frame: (frame.offset or 0) + 0x40),
        _changed(TEXT, module=None),
        _changed(TEXT, address=0xFFFFFFFF81234567),
        _changed(TEXT, file="fs/session.c", line=7),
        *(
            _changed(TEXT, function=lambda frame, suffix=suffix: f"{frame.function}{suffix}")
            for suffix in (".isra.0", ".constprop.3", ".part.0.cold", ".cold", ".llvm.123456")
        ),
        msgspec.structs.replace(TEXT, cpu=7, release="6.12.1", tainted=("O",), title="else"),
        msgspec.structs.replace(TEXT, kind=Kind.USE_AFTER_FREE),
        # built with KASAN, which sees the access first
        crash(
            Kind.MEMORY_SAFETY,
            "dump_stack_lvl+0x45",
            "print_report+0x171",
            "kasan_report+0x111",
            "__asan_load8+0x54",
            "session_put+0x24 [faults]",
            *(f"{frame.function} [faults]" for frame in TEXT.frames if frame.reliable),
        ),
    ],
)
def test_what_differs_from_one_machine_and_build_to_the_next_does_not_count(same: Crash) -> None:
    assert fingerprint(same).exact == fingerprint(TEXT).exact


def test_of_few_frames_the_module_counts() -> None:
    """Every module may have an init_module() and a probe()."""
    one = crash(Kind.WARNING, "init_module+0x10 [one]", "do_one_initcall", "do_init_module")
    two = crash(Kind.WARNING, "init_module+0x10 [two]", "do_one_initcall", "do_init_module")
    assert fingerprint(one).exact != fingerprint(two).exact


def test_little_evidence_merges_little() -> None:
    # kfree() of a bad pointer with nothing but plumbing around it says nothing about who did it.
    def anonymous(release: str) -> Crash:
        bare = crash(Kind.SLAB_CORRUPTION, "kfree", "process_one_work", "kthread")
        return msgspec.structs.replace(bare, release=release)

    assert fingerprint(anonymous("6.1.0")).exact != fingerprint(anonymous("6.1.1")).exact
    assert fingerprint(anonymous("6.1.0")).exact == fingerprint(anonymous("6.1.0")).exact
    short = crash(Kind.WARNING, "foo_release", "__fput", "task_work_run")
    other = crash(Kind.WARNING, "foo_release", "sys_close")
    assert fingerprint(short).exact != fingerprint(other).exact


def test_few_frames_merge_within_a_kernels_series_alone() -> None:
    def short(release: str, *functions: str) -> str | None:
        one = crash(Kind.WARNING, "frob_check", *functions, "vfs_write", "ksys_write")
        return fingerprint(msgspec.structs.replace(one, release=release)).exact

    assert short("5.10.0-28-amd64") == short("5.10.103+")
    assert short("5.10.0-28-amd64") != short("6.1.0-18-amd64")
    many = ("frob_scan", "frob_tick", "frob_poll")
    assert short("5.10.0-28-amd64", *many) == short("6.1.0-18-amd64", *many)


def test_a_watchdog_that_was_printing_is_not_who_looped() -> None:
    """A slow console: the CPU that reports the stall was looked at in the serial driver."""

    def stall(*victim: str) -> str | None:
        printing = ("io_serial_in", "wait_for_xmitr", "serial8250_console_write", "console_unlock")
        tick = (
            "print_cpu_stall",
            "rcu_sched_clock_irq",
            "update_process_times",
            "hrtimer_interrupt",
        )
        entry = ("sysvec_apic_timer_interrupt", "asm_sysvec_apic_timer_interrupt")
        one = crash(Kind.RCU_STALL, *printing, *tick, *entry, *victim, ip="io_serial_in")
        return fingerprint(one).exact

    assert stall("pcm_copy", "pcm_write1", "pcm_oss_write", "vfs_write") != stall(
        "tun_alloc", "tun_get_user", "tun_chr_write_iter", "vfs_write"
    )


def test_fragments_without_a_frame_are_told_apart() -> None:
    def fragment(line: int, release: str | None = None) -> Crash:
        span = TextSpan(first_line=line, last_line=line)
        kind = Kind.WORKQUEUE_STALL
        return Crash(kind=kind, title="workqueue lockup", text=span, release=release)

    assert fingerprint(fragment(1)).exact != fingerprint(fragment(2)).exact
    one, two = fragment(1, "6.1.0"), fragment(2, "6.1.0")
    assert fingerprint(one).exact == fingerprint(two).exact


def test_two_sanitizers_do_not_mean_the_same() -> None:
    stack = ("strset_parse", "ethnl_default_parse", "ethnl_default_start", "genl_start")
    shift = crash(Kind.MEMORY_SAFETY, "__ubsan_handle_shift_out_of_bounds.cold", *stack)
    bounds = crash(Kind.MEMORY_SAFETY, "kasan_report", "__asan_load4", *stack)
    assert fingerprint(shift).exact != fingerprint(bounds).exact


def test_the_depth_of_a_recursion_is_chance() -> None:
    def recursing(times: int) -> Crash:
        return crash(Kind.STACK_OVERFLOW, *["walk"] * times, "start_walk", "foo_ioctl", ip="walk")

    assert fingerprint(recursing(3)) == fingerprint(recursing(200))


def test_nothing_at_all_still_has_a_key() -> None:
    empty = Crash(kind=Kind.UNKNOWN, title="", trigger=Trigger.PANIC)
    assert fingerprint(empty).version == VERSION
    assert fingerprint(empty).exact
    nameless = crash(Kind.EXEC_FAULT)
    assert fingerprint(msgspec.structs.replace(nameless, frames=(Frame(address=0),))).exact
