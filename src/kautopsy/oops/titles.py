"""Which function of a backtrace a title names.

A title is what people search for and what trackers file a crash under, so it names the function
where the trouble shows, one step nearer to the bug than the helpers that every caller shares. That
is less than a fingerprint skips (``kautopsy.fingerprint.generic`` also passes over lists, trees and
whole layers), because a title that names nobody helps nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from kautopsy.model.crash import Frame
from kautopsy.model.lazy import lazy_pattern
from kautopsy.oops.helpers import is_helper

MAX_TITLE = 120
"""Characters; mangled Rust names would fill a screen."""


_ARGUMENTS = lazy_pattern(r"\([^()]*\)$")
_SUFFIX = lazy_pattern(r"[.$].*")
_SYSCALL = lazy_pattern(
    r"^(?:__(?:x64|ia32|x32|arm64|riscv|s390x?|powerpc|loongarch)_(?:compat_)?sys_|__(?:do"
    r"|se)_(?:compat_)?sys_|(?:compat_)?SYSC_|"
    r"(?:compat_)?SyS_|C_SYSC_)"
)


def plain(function: str) -> str:
    """``function`` without what a compiler added (``.isra.6``, ``.cold``) and ppc64's first dot.

    A system call has one name, ``sys_read``, whatever wrapper of which architecture and age it was.
    """
    if function.startswith(("_R", "_Z")):
        return demangled(function)
    name = _SUFFIX.sub("", function.lstrip("."))
    return _SYSCALL.sub("sys_", name) if "sys_" in name or "SY" in name or "SyS" in name else name


@lru_cache(maxsize=4096)
def demangled(function: str) -> str:
    """A Rust (v0 or legacy) or C++ symbol as its source names it, without arguments.

    ``function`` itself where it is none, or was cut off (symbols have 512 characters at most,
    KSYM_NAME_LEN).
    """
    import demangle

    try:
        name = demangle.demangle(function[:512])
    except (demangle.DemanglingError, RecursionError):
        return function
    return _ARGUMENTS.sub("", name)


def guilty(frames: Iterable[Frame], *patterns: re.Pattern[str]) -> str | None:
    """The first function that neither the table nor one of ``patterns`` (searched) passes over."""
    for frame in frames:
        if frame.function is None or frame.inline:
            continue
        name = plain(frame.function)
        if is_helper(name) or any(pattern.search(name) for pattern in patterns):
            continue
        return name
    return None


def first_named(frames: Iterable[Frame]) -> str | None:
    """The first function with a name, whatever it is."""
    for frame in frames:
        if frame.function is not None and not frame.inline:
            return plain(frame.function)
    return None


_ANCHORS = lazy_pattern(
    r"process_one_work|process_scheduled_works|do_syscall_|do_fast_syscall_|do_int80_syscall"
    r"|sysenter_dispatch|tracesys_phase2|sysenter_do_call|"
    r"system_call|entry_SYSCALL|entry_SYSENTER|entry_INT80|el0_svc|invoke_syscall|ret_fast_syscall|"
    r"x64_sys_call|ia32_sys_call|netif_receive_skb|tasklet_\w*action|do_softirq|handle_softirqs"
    r"|call_softirq|call_timer_fn|run_timers|"
    r"run_timer_softirq|hrtimer_run|run_ksoftirqd|smpboot_thread_fn|^kthread$|start_secondary"
    r"|cpu_startup_entry|"
    r"ret_from_fork|rest_init|start_kernel|"
    r"vfs_write|vfs_read|vfs_iter_read|vfs_iter_write|do_iter_read|do_iter_write|call_read_iter"
    r"|call_write_iter|new_sync_read|"
    r"new_sync_write|do_iter_readv_writev|vfs_ioctl|blkdev_driver_ioctl|blkdev_ioctl|call_mmap"
    r"|mmap_region|do_mmap|"
    r"do_dentry_open|vfs_open|^sock_sendmsg|^__sock_sendmsg|^sock_recvmsg|^sock_release"
    r"|^__sock_release|^sock_write_iter|"
    r"^__sys_setsockopt|^do_sock_setsockopt|^kernel_setsockopt|sock_common_setsockopt"
    r"|^__sys_listen|kernel_listen|sk_common_release|"
    r"^sock_mmap|^__sys_accept|kernel_accept|^sock_do_ioctl|^sock_ioctl|^compat_sock_ioctl"
    r"|^nfnetlink_rcv_msg|^rtnetlink_rcv_msg|"
    r"^netlink_dump|^_*k?sys_(?:socketpair|connect|ioctl)$|compat_ioctl"
    r"|__fput|task_work_run|exit_to_usermode|exit_to_user_mode|"
    r"secondary_startup"
)
"""Where generic code hands over to who was asked: system call, work, interrupt, file operation."""

_FAULTS = lazy_pattern(
    r"__do_fault|handle_mm_fault|do_page_fault|^page_fault$|^exc_page_fault|^asm_exc_page_fault"
    r"|do_user_addr_fault"
)
"""Page faults hand over too, but most happen on behalf of a system call further out."""


def stall(frames: Sequence[Frame], *patterns: re.Pattern[str]) -> str | None:
    """Who loops: the function just below the dispatcher.

    A watchdog meets a looping CPU anywhere in the loop, so that the innermost function differs from
    one report to the next; what was *called* to do the work does not.
    """
    previous: str | None = None
    fault: str | None = None
    for frame in frames:
        if frame.function is None or frame.inline:
            continue
        name = plain(frame.function)
        if name.startswith("smp_call_function"):
            return "smp_call_function"  # waits for other CPUs, which hang for a reason of theirs
        if any(pattern.search(name) for pattern in patterns):
            continue
        if previous is not None:
            if _ANCHORS.search(name):
                return previous
            if _FAULTS.search(name):
                fault = fault or previous
        previous = name
    return fault


_LONGEST_CIRCLE = 3
_TURNS = 5


def recursion(frames: Sequence[Frame]) -> Frame | None:
    """Where a recursion of one function, or of two or three that call each other, was entered.

    That is the outermost frame of the circle, which does not depend on where in it the stack ended.
    A longer circle goes through dispatchers (notifier chains, file operations), and none of its
    functions is more to blame than who began it.
    """
    own = [frame for frame in frames if frame.function and frame.reliable and not frame.inline]
    names = [plain(frame.function or "") for frame in own]
    for length in range(1, _LONGEST_CIRCLE + 1):
        run = 0
        for at in range(length, len(names)):
            run = run + 1 if names[at] == names[at - length] else 0
            goes_on = at + 1 < len(names) and names[at + 1] == names[at + 1 - length]
            if run >= _TURNS * length and not goes_on:
                return own[at]
    return None


_HUNG_BUCKETS = {
    "rtnl_lock": "rtnl_lock",
    "synchronize_rcu": "synchronize_rcu",
    "synchronize_srcu": "synchronize_rcu",
    "synchronize_net": "synchronize_rcu",
    "synchronize_sched": "synchronize_rcu",
}
_WAITING = lazy_pattern(
    r"sched|_lock|_slowlock|down|rwsem|completion|kthread|wait|synchronize|context_switch"
    r"|__switch_to|"
    r"cancel_delayed_work|rcu_barrier|flush_work|mutex|msleep|usleep"
)


_SLEEPING = lazy_pattern(
    r"_*(?:io_)?schedule\w*|context_switch|__switch_to\w*|_*wait_\w+|do_wait\w*|io_schedule\w*"
    r"|bit_wait\w*|msleep\w*|"
    r"schedule_\w+|rwsem_\w+|rcu_barrier\w*|synchronize_\w+|kthread\w*"
)


def hung(frames: Sequence[Frame]) -> str | None:
    """What a hung task waits in: whoever called the waiting.

    Waits for RCU and for the network's big lock hang all over the kernel for one cause; each is a
    name of its own.
    """
    names = [plain(f.function) for f in frames if f.function is not None and not f.inline]
    for name in names:
        for start, bucket in _HUNG_BUCKETS.items():
            if name.lstrip("_").startswith(start):
                return bucket
    for name in names:
        if not _WAITING.search(name) and not is_helper(name):
            return name
    for name in names:
        if not _SLEEPING.fullmatch(name) and not is_helper(name) and not _ANCHORS.search(name):
            return name
    for name in names:
        if not _WAITING.search(name) and not is_helper(name):
            return name
    return None


_VOLATILE = (
    (
        lazy_pattern(
            r"(?<!exitcode=)\b0x[0-9a-f]+\b|\b[0-9a-f]{16}\b|\b(?=[0-9a-f]*\d)[0-9a-f]{8}\b"
        ),
        "ADDR",
    ),
    (lazy_pattern(r"\b[Cc][Pp][Uu][# ]?\d+"), "CPU"),
    (lazy_pattern(r"(?<![\w.])\d{2,}(?![\w.])"), "NUM"),
    (lazy_pattern(r":\d+(?=\b)"), ":LINE"),
)


def stable(text: str) -> str:
    """``text`` without addresses and numbers, which change from one crash to the next."""
    for pattern, word in _VOLATILE:
        text = pattern.sub(word, text)
    return " ".join(text.split())


def cut(title: str) -> str:
    """At most :data:`MAX_TITLE` characters."""
    title = " ".join(title.split())
    return title if len(title) <= MAX_TITLE else title[: MAX_TITLE - 1] + "…"
