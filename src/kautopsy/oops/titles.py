"""Which function of a backtrace a title names.

A title is what people search for and what trackers file a crash under, so it names the function
where the trouble shows, one step nearer to the bug than the helpers that every caller shares. That
is less than a fingerprint skips (``kautopsy.fingerprint.generic`` also passes over lists, trees and
whole layers), because a title that names nobody helps nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from kautopsy.model.crash import Frame

MAX_TITLE = 120
"""Characters; mangled Rust names would fill a screen."""


@dataclass(frozen=True)
class Skip:
    """Functions that a title does not name, and why. A name matches in full."""

    why: str
    names: re.Pattern[str]


def _skip(why: str, *names: str) -> Skip:
    return Skip(why, re.compile("|".join(names)))


SKIPPED: tuple[Skip, ...] = (
    _skip(
        "prints the report, unwinds, panics",
        r"\w*dump_stack\w*|show_(?:stack|regs|trace)\w*|dump_(?:backtrace|trace)\w*"
        r"|unwind_backtrace",
        r"v?panic\w*|nmi_panic\w*|\w*panic|die|__die|die_\w+|oops_(?:begin|end|enter|exit)"
        r"|\w*check_panic_on_warn",
        r"print_\w*(?:bug|report|description|address\w*|deadlock|usage)\w*|print_report\w*"
        r"|save_stack\w*",
        r"arch_(?:local_irq|irqs|stack_walk)\w*|native_(?:irq|save_fl|restore_fl|read_msr"
        r"|write_msr)\w*|sched_show_task",
        r"\w*printk\w*|vprintk\w*|dev_(?:info|notice|warn|err|alert|crit|emerg|printk\w*"
        r"|vprintk\w*)|_dev_\w+",
        r"get_stack_info|stack_depot\w*|set_track\w*|stack_trace_\w+|console_unlock"
        r"|console_flush_all",
    ),
    _skip(
        "WARN(), BUG() and their traps: the caller complains",
        r"\w*warn_slowpath\w*|_*warn(?:_printk|_alloc\w*)?|report_bug|_*report_bug\w*|fixup_bug"
        r"|handle_bug|\w*bug_handler\w*",
        r"(?:do_)?invalid_op|\w*assfail|\w+_assertfail|\w*stack_chk_fail\w*|_*fortify\w*"
        r"|_*ubsan\w*|handle_overflow"
        r"|cfi_\w+|_*schedule_bug|bug_at",
        r"usercopy_\w+|_*check_heap_object|_*check_object_size|_*check_object|_*might_(?:fault"
        r"|sleep|resched)\w*|_*cant_\w+",
        r"_*debug_object\w*|debug_(?:print|check_no_obj)\w*|\w*_is_static_object|object_(?:err"
        r"|is_on_stack)|stub_timer",
        r"\w*program_check\w*|_exception\w*|do_(?:error_trap|trap|error|undefinstr"
        r"|PC_alignment\w*)|_*do_trap\w*|\w+_trap",
        r"(?:asm_)?exc_\w+|brk_handler|do_debug_exception|call_break_hook|el[01]h?_\w+"
        r"|el1_(?:dbg|sync|irq|da|undef)\w*",
        r"debug_smp_processor_id|check_preemption_disabled|_*this_cpu_preempt_check"
        r"|ref_tracker\w*|preempt_count_\w+",
        r"_*list_(?:add|del)\w*_(?:valid|report)\w*|refcount_warn_saturate|trace_hardirqs\w*"
        r"|restore_regs_\w+",
    ),
    _skip(
        "page faults: the way into the handler",
        r"(?:asm_|exc_|do_)?page_fault\w*|_*do_page_fault|no_context|_*bad_area\w*"
        r"|page_fault_oops|kernelmode_fixup_or_oops",
        r"_*do_(?:kernel|user)_fault|do_(?:translation_fault|tag_check_fault|tag_recovery"
        r"|alignment_fault|DataAbort|mem_abort|kernel_fault|bad_area|sect_fault)"
        r"|die_kernel_fault",
        r"show_fault_oops|async_page_fault|bad_page_fault|handle_page_fault"
        r"|do_general_protection|general_protection",
        r"arm_notify_die|kernel_page_fault|is_prefetch",
    ),
    _skip(
        "sanitizers: they watch the access of their caller",
        r"_*(?:kasan|asan|kmsan|msan|kcsan|tsan|hwasan|kfence|sanitizer)\w*|\w*kasan\w*"
        r"|\w*kmsan\w*|\w*kcsan\w*",
        r"check_memory_region\w*|memory_is_\w+|check_region\w*|read_word_at_a_time|kcov_\w+"
        r"|rcu_is_watching_\w*",
        r"(?:read|write)_once_\w*nocheck|instrument_\w+|addr_has_\w+|write_comp_data"
        r"|assign_\w+_report",
        r"kfence_\w+|_*csan_\w+|_*kcsan_\w+|end_report|start_report|report_(?:access|enabled)"
        r"|describe_\w+|address_is\w*",
    ),
    _skip(
        "lockdep and locks: they stand for whoever takes them",
        r"\w*lockdep\w*|\w*lock_(?:acquire|release|class)\w*|lock_(?:is_held|pin|unpin|set"
        r"|downgrade)\w*|reacquire_held_locks",
        r"check_(?:prev\w*|noncircular|deadlock|usage\w*|irq_usage|flags|wait_context|lock\w*"
        r"|chain\w*|path)|validate_chain|mark_\w+",
        r"find_usage\w*|add_\w*lock\w*|_*bfs|look_up_lock_class|register_lock_class|valid_state"
        r"|usage_\w+|match_held_lock",
        r"_*(?:raw_)?(?:spin|read|write)_(?:try|un)?lock\w*|_*raw_\w*(?:spin|read"
        r"|write)_\w*lock\w*|raw_spin_\w+",
        r"do_raw_\w+|rwlock_bug\w*|spin_(?:bug|dump)|debug_(?:spin|rwlock|write|read|mutex"
        r"|rt_mutex)\w*|_*mutex_(?:un|try)?lock\w*",
        r"_*mutex_\w*|_*ww_mutex_\w+|_*rt_mutex_\w+|rtlock_\w+|_*rt_spin_\w+|osq_(?:un)?lock"
        r"|mcs_\w+|pv_(?:wait|hash|kick|queued)\w*",
        r"_*pv_queued_\w*|_*queued_\w*|native_queued_\w+|virt_spin_lock|ticket_spin\w*"
        r"|arch_\w*(?:un)?lock\w*|owner_on_cpu",
        r"_*down(?:_(?:read|write|interruptible|killable|timeout|trylock|common)\w*)?"
        r"|_*up(?:_(?:read|write)\w*)?|rwsem_\w+",
        r"_*percpu_(?:down|up)_\w+|call_rwsem_\w+|_*seqprop\w*|read_seq\w*|write_seq\w*"
        r"|seqcount_\w+|lock_release\w*|held_lock\w*",
        r"rcu_(?:lock_acquire|lock_release|read_lock\w*|read_unlock\w*)|_*rcu_read_\w*lock\w*"
        r"|lockref_\w+|reiserfs_write_(?:un)?lock\w*|bit_spin_\w+|do_lock\w*_common",
        r"_*local_(?:bh|irq)_\w*|_*local_bh_\w+|_*might_lock\w*|_*lock_task_sighand"
        r"|trace_contention_\w+|lock_commit_crosslock",
        r"_*(?:arch_)?(?:raw_)?atomic\w*_(?:dec|inc|read|set|or|xor|and|add|sub|fetch|xchg"
        r"|cmpxchg|try)\w*|_*cmpxchg\w*|_*xchg\w*",
        r"(?:this|raw)_cpu_\w+|_*(?:set|clear|test|change|test_and_\w+|variable_test"
        r"|constant_test|arch_test)_bit\w*",
    ),
    _skip(
        "reference counts: the caller counts",
        r"_*refcount_(?:add|sub|inc|dec|set|read|warn)\w*|_*kref_(?:get|put)\w*",
    ),
    _skip(
        "waking and waiting: the caller owns the queue",
        r"_*wake_up\w*|finish_wait|swake_up\w*|complete_with_flags",
    ),
    _skip(
        "strings and copies: the caller gave the pointer",
        r"_*mem(?:cpy|cmp|set|chr|move|_cpy|chr_inv)\w*|_*str(?:r|n|ncase|case)?(?:cmp|cpy|cat"
        r"|str|chr|len|spn|lcpy|lcat|scpy\w*|ncpy|ncmp|nlen|nchr|nstr)\w*",
        r"\w*copy_(?:to|from|in)_user\w*|_*copy_user_\w+|_*(?:get|put)_user\w*|_*arch_copy_\w+"
        r"|_*raw_copy_\w+|rep_\w+",
        r"_*copy_(?:to|from)_iter\w*|_*clear_user\w*|csum_partial\w*|csum_and_copy\w*"
        r"|copy_page\w*|clear_page\w*|copyout|copyin",
        r"string|string_nocheck|pointer|number|format_decode|v?s?n?c?n?printf|vs?n?printf"
        r"|vscnprintf|scnprintf|kv?as?printf\w*",
        r"iov_iter_(?:fault|copy)\w*|_*copy_\w*mc\w*|memdup_user\w*|nla_\w+|_*kunmap_\w+"
        r"|find_(?:next|first|last)_(?:zero_)?bit\w*",
    ),
    _skip(
        "lists: the entry is its owner's",
        r"_*h?list_(?:add|del|replace|move|splice|empty|bl|nulls|entry|cut|first|last)\w*"
        r"|_*list_\w*valid\w*|_*list_(?:add|del)",
    ),
    _skip(
        "allocators: they die of what others did to the memory, and of what others ask for",
        r"_*k[mvzc]?[mzc]?alloc(?:_(?:trace|node|large|slab|order|reserve|array|noprof|track"
        r"|cache)\w*)?",
        r"_*kmem_cache_(?:z?alloc|free)\w*|_*kvm?z?alloc_(?:node|array)\w*|_*krealloc(?:_\w+)?",
        r"_*k?v?free(?:_(?:sensitive|const|bulk|sync|skb\w*))?|consume_skb|_*do_k[mc]alloc\w*"
        r"|_*do_kmalloc\w*|kmemdup\w*",
        r"_*slab_\w+|_*slub_\w+|___slab_alloc|allocate_slab|new_slab\w*|get_freepointer\w*",
        r"freelist_\w+|cache_(?:alloc|free|grow)\w*|qlist_\w+|qlink_\w+|mempool_alloc\w*",
        r"_*alloc_(?:frozen_)?pages?(?:_\w+)?|alloc_pages\w*|_*get_free_pages?\w*",
        r"get_page_from_freelist|_*v[mz]alloc(?:_(?:user|node|noprof|32|huge)\w*)?|prep_new_page",
        r"check_(?:bytes\w*|slab|pad\w*)|init_object|print_(?:trailer|section)|object_err",
        r"alloc_debug_processing|free_debug_processing|_*(?:re)?set_page_owner\w*|fs_reclaim_\w+",
        r"_*alloc_percpu\w*|pcpu_alloc\w*",
    ),
    _skip(
        "waiting for a completion: its owner freed it",
        r"_*wait_for_\w*completion\w*|_*wait_for_common\w*|do_wait_for_common|_*complete(?:_all)?",
    ),
    _skip(
        "buffers of the network: the caller asked for room that is not there",
        r"_*skb_(?:push|pull|put|trim|reserve|(?:over|under)_panic|panic)\w*|pskb_\w+",
    ),
    _skip(
        "formatting of lib/vsprintf.c: the caller gave the arguments",
        r"va_format|(?:widen|escaped|symbol|resource|mac_address|uuid|clock|device_node"
        r"|fwnode)_string",
        r"ip[46]?_\w*string\w*|ip[46]_addr_string|bitmap_\w*string|dentry_name|file_dentry_name"
        r"|hex_string",
    ),
    _skip(
        "queueing work: the caller owns it",
        r"insert_work|_*queue_(?:delayed_)?work\w*|stack_trace_consume\w*|arch_stack_walk\w*"
        r"|kasan_record\w*|unwind_\w+|_*unwind_start",
        r"deref_stack_reg|update_stack_state|kernel_fpu_begin\w*",
    ),
    _skip(
        "counts of a file system's objects: the caller dropped one too many",
        r"(?:drop|inc|clear|set)_nlink|fast_dput|dput\w*|_*iput",
    ),
    _skip(
        "walks over lists, hashes and checksums of data that the caller gave",
        r"klist_\w+|_*rb_\w+|print_hex_dump\w*|crc\w+|_*crc32\w*|hex_\w+|cleanup_srcu_struct"
        r"|_*srcu_\w+|check_init_srcu_struct",
    ),
    _skip(
        "compilers', tracers' and patchers' stubs",
        r"\w*_indirect_thunk_\w*|_*x86_\w*thunk\w*|retpoline\w*|perf_trace\w*"
        r"|trace_event_raw_\w+|_*trace_\w+|_*bpf_trace_\w+",
        r"_*fentry_*|mcount|ftrace_\w+|rust_begin_unwind|core::\w*|_*SC[KT]__\w+|srso_\w+"
        r"|asm_\w+|_*cond_resched\w*",
        r"bust_spinlocks|apic_timer_interrupt|ret_from_\w+|restore_all|error_entry"
        r"|common_interrupt\w*",
    ),
    _skip(
        "stopping timers, work and threads: the caller gave up something alive",
        r"_*(?:try_to_)?del_timer\w*|timer_delete\w*|_*timer_delete\w*|_*flush_work(?:queue)?"
        r"|_*cancel_\w*work\w*|try_to_grab_pending",
        r"_*drain_workqueue|destroy_workqueue|_*flush_workqueue\w*|kthread_stop\w*"
        r"|work_grab_pending|touch_work_lockdep_map|start_flush_work",
    ),
    _skip(
        "the driver model: drivers register through it",
        r"_*kobject_(?:add|del|put|get|release|cleanup|uevent\w*|init\w*|set_name\w*)\w*"
        r"|add_uevent_var|get_device_parent|kset_\w+",
        r"device_(?:add|del|unregister|destroy|register|create\w*|for_each_child\w*"
        r"|remove_file\w*)|_*unregister_client|sysfs_remove\w*",
        r"hwrng_unregister|i2c_del_adapter|tty_unregister_device|dpm_sysfs_\w+|sysfs_\w+"
        r"|kernfs_\w+|rollback_registered\w*|unregister_netdev\w*|netdev_\w*destructor",
        r"dummy_urb_enqueue|usb_(?:kill_\w*urbs?|control_msg|hcd_submit_urb|submit_urb"
        r"|start_wait_urb|bulk_msg|interrupt_msg|poison\w*)|usb_stor_msg_common",
        r"cdev_device_\w+|device_attach_\w+",
    ),
)

ALLOCATORS = re.compile(
    r"_*k[mvz]?[mzc]?alloc\w*|_*kmem_\w+|_*kv?m?z?alloc\w*|\w*vmalloc\w*|krealloc\w*"
    r"|_*k?v?free(?:_\w+)?|kfree\w*|vunmap\w*|"
    r"\w*slab\w*|slub_\w+|_*slub\w*|cache_(?:alloc|free|grow)\w*|\w*slob\w*|alloc_\w+|_*alloc\w*"
    r"|_*free_pages\w*|qlist_\w+|"
    r"qlink_\w+|_*get_free_pages?|kcalloc\w*|kzalloc\w*|_*do_kmalloc\w*|create_object"
    r"|kmemleak\w*|kmemdup\w*|kstrn?dup\w*|"
    r"idr_get\w*|list_lru_init\w*|pcpu_\w+|memdup\w*|strn?dup\w*|mempool\w*|mmap\w*|new_slab\w*"
    r"|_*do_kfree\w*|object_common"
)
"""Where memory is asked for and given back: for reports that blame whoever asked."""

_ARGUMENTS = re.compile(r"\([^()]*\)$")
_SUFFIX = re.compile(r"[.$].*")
_SYSCALL = re.compile(
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


@lru_cache(maxsize=65536)
def is_skipped(function: str) -> bool:
    """Whether a title would say nothing by naming ``function``."""
    return any(skip.names.fullmatch(function) for skip in SKIPPED)


def guilty(frames: Iterable[Frame], *patterns: re.Pattern[str]) -> str | None:
    """The first function that neither the table nor one of ``patterns`` (searched) passes over."""
    for frame in frames:
        if frame.function is None or frame.inline:
            continue
        name = plain(frame.function)
        if is_skipped(name) or any(pattern.search(name) for pattern in patterns):
            continue
        return name
    return None


def first_named(frames: Iterable[Frame]) -> str | None:
    """The first function with a name, whatever it is."""
    for frame in frames:
        if frame.function is not None and not frame.inline:
            return plain(frame.function)
    return None


_ANCHORS = re.compile(
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

_FAULTS = re.compile(
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


_HUNG_BUCKETS = {
    "rtnl_lock": "rtnl_lock",
    "synchronize_rcu": "synchronize_rcu",
    "synchronize_srcu": "synchronize_rcu",
    "synchronize_net": "synchronize_rcu",
    "synchronize_sched": "synchronize_rcu",
}
_WAITING = re.compile(
    r"sched|_lock|_slowlock|down|rwsem|completion|kthread|wait|synchronize|context_switch"
    r"|__switch_to|"
    r"cancel_delayed_work|rcu_barrier|flush_work|mutex|msleep|usleep"
)


_SLEEPING = re.compile(
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
        if not _WAITING.search(name) and not is_skipped(name) and not _ANCHORS.search(name):
            return name
    for name in names:
        if not _SLEEPING.fullmatch(name) and not is_skipped(name) and not _ANCHORS.search(name):
            return name
    for name in names:
        if not _WAITING.search(name) and not is_skipped(name):
            return name
    return None


_VOLATILE = (
    (re.compile(r"\b0x[0-9a-f]+\b|\b[0-9a-f]{16}\b|\b(?=[0-9a-f]*\d)[0-9a-f]{8}\b"), "ADDR"),
    (re.compile(r"\b[Cc][Pp][Uu][# ]?\d+"), "CPU"),
    (re.compile(r"(?<![\w.])\d{2,}(?![\w.])"), "NUM"),
    (re.compile(r":\d+(?=\b)"), ":LINE"),
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
