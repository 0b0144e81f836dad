"""Functions that say nothing about a bug, each with the reason: data for who looks for a culprit.

Fingerprints and the culprits of dumps go by this one table. Titles of console text skip a little
less (:mod:`kautopsy.oops.titles`): a title may well name the list helper that complained.
:func:`is_generic` is the question to ask; :func:`role` tells the kinds of answer apart. A rule is
here because of what the function *does* in a kernel (it reports, it enters, it dispatches, it
serves every caller alike), never because of one log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from kautopsy.fingerprint.names import normalise
from kautopsy.model.lazy import lazy_pattern


class Role(StrEnum):
    """Why a function is generic."""

    REPORTER = "reporter"
    """Runs because something already went wrong: prints, unwinds, panics, kexecs."""
    FAULT_ENTRY = "fault-entry"
    """The processor's way from a faulting instruction to the reporters: ends a run of them."""
    INTERRUPT_ENTRY = "interrupt-entry"
    """The processor's way into an interrupt: what lies beyond was merely interrupted."""
    OBSERVER = "observer"
    """A watchdog that looks at others: the bug is in whom it looked at."""
    BOTTOM = "bottom"
    """The outermost frames: entry from user space, start of a thread, the idle loop."""
    DISPATCH = "dispatch"
    """Passes on to whoever was asked for: generic halves of system calls, work, softirqs."""
    HELPER = "helper"
    """Serves every caller alike and fails for what its caller did."""


@dataclass(frozen=True)
class Rule:
    """Names (a regular expression that must match in full) of one role, and why."""

    role: Role
    why: str
    names: re.Pattern[str]


def _rule(role: Role, why: str, *names: str) -> Rule:
    return Rule(role, why, lazy_pattern("|".join(names)))


RULES: tuple[Rule, ...] = (
    _rule(
        Role.REPORTER,
        "the way from panic() into the crash kernel or the halt",
        r"(?:arch_)?(?:__)?crash_kexec\w*|machine_kexec\w*|relocate_kernel|kexec_should_crash",
        r"crash_(?:setup_regs|save_cpu|smp_send_stop|nmi_callback)|native_machine_\w+",
        r"v?panic(?:_\w+)?|nmi_panic(?:_\w+)?|__panic|check_panic_on_warn|rust_panic",
        r"emergency_restart|machine_(?:restart|halt|emergency_restart)|mcheck_panic|mce_panic",
        r"kmsg_dump\w*|pstore_dump|notify_die",
    ),
    _rule(
        Role.REPORTER,
        "prints an oops or a backtrace",
        r"dump_stack(?:_\w+)?|__dump_stack|show_(?:stack|regs|trace|backtrace)\w*|dump_backtrace",
        r"unwind_backtrace|dump_trace|save_stack\w*|stack_trace_save\w*|arch_stack_walk\w*",
        r"sched_show_task|show_trace_log_lvl|print_context_stack\w*|kasan_save_\w+|set_track\w*",
        r"oops_(?:begin|end|enter|exit)|die(?:_\w+)?|__die(?:_\w+)?|do_oops\w*|rewind_stack\w*",
        r"page_fault_oops|no_context|__?bad_area\w*|bad_area\w*|die_kernel_fault|__do_kernel_fault",
        r"do_kernel_fault|show_fault_oops|kernelmode_fixup_or_oops|fixup_exception|bust_spinlocks",
        r"print_modules|print_oops_end_marker|make_task_dead|arm_notify_die|die_if_kernel",
    ),
    _rule(
        Role.REPORTER,
        "assertions of OpenZFS and Lustre, which print and stop the thread",
        r"spl_(?:panic|dumpstack|debug_\w+)|v?cmn_err|zfs_panic_recover|lbug_with_loc"
        r"|libcfs_(?:debug_dumpstack|call_trace)",
    ),
    _rule(
        Role.REPORTER,
        "WARN() and BUG(): the caller is who complained",
        r"__?warn(?:_\w+)?|warn_slowpath_\w+|report_bug|__report_bug|handle_bug|fixup_bug",
        r"bug_handler|arm64_bug_handler|call_bug_handler|bug_at|__bug|usercopy_abort",
        r"ubsan_epilogue|__ubsan_handle_\w+|handle_overflow|__stack_chk_fail|__fortify_panic",
        r"fortify_panic|__fortify_report|report_cfi_failure|handle_cfi_failure|__cfi_check_fail",
        r"stackleak_\w+|__might_sleep|__?might_(?:fault|resched)|__cant_sleep|__cant_migrate",
        r"check_preemption_disabled|debug_smp_processor_id|__schedule_bug|object_err",
        r"__this_cpu_preempt_check|assfail|invalid_op|debug_print_object|__list_\w+_report",
        r"refcount_warn_saturate|___might_sleep|print_tainted|lockdep_rcu_suspicious",
    ),
    _rule(
        Role.REPORTER,
        "sanitizers report on behalf of the access they watch",
        r"(?:__)?kasan_\w+|__asan_\w+|__hwasan_\w+|check_memory_region\w*|memory_is_\w+",
        r"print_address_description\w*|print_report\w*|describe_\w+|end_report|start_report",
        r"(?:__)?k[mc]san_\w+|__tsan_\w+|__msan_\w+|kfence_\w+|__kfence_\w+|addr_has_\w+",
        r"check_region\w*|__sanitizer_cov_\w+|write_comp_data|sancov_\w+|complete_report_info",
        r"check_kcov_mode|report_invalid_free\w*|kcov_\w+|instrument_\w+|address_is_\w+",
        r"qlink_\w+|qlist_\w+|quarantine_\w+|(?:un)?poison_(?:slab|range|object|shadow|element)\w*",
    ),
    _rule(
        Role.REPORTER,
        "lockdep reports on behalf of whoever takes the lock",
        r"print_\w*(?:bug|deadlock|usage|unlock|inversion|circular|imbalance|freed|nested)\w*",
        r"(?:__)?lock_(?:acquire|release|acquired|contended|is_held\w*|pin\w*|unpin\w*)\w*",
        r"lock_acquire\w*|check_(?:prevs?_add|deadlock|noncircular|usage\w*|irq_usage|wait_context)",
        r"validate_chain|mark_lock\w*|mark_held_locks|mark_usage|valid_state|register_lock_class",
        r"look_up_lock_class|lockdep_\w+|trace_hardirqs_\w+|trace_softirqs_\w+",
        r"assign_lock_key|__lock_\w*acquire\w*|__bfs|graph_lock|find_usage_\w+|add_chain_\w+",
        r"debug_(?:check_no_locks|show_\w+|locks_\w+|rt_mutex_\w+|mutex_\w+|spin_\w+)\w*",
        r"spin_dump|spin_bug|rwlock_bug|check_lock_\w+|reacquire_held_locks|find_held_lock",
        r"match_held_lock|rcu_lockdep_\w+|print_\w+_backtrace",
    ),
    _rule(
        Role.FAULT_ENTRY,
        "exception vectors and their C handlers",
        r"(?:asm_)?exc_(?!nmi)\w+|do_(?:page_fault|trap\w*|error_trap|general_protection)",
        r"do_(?:invalid_op|divide_error|double_fault|stack_segment|int3|debug|alignment_check)",
        r"__do_page_fault|do_user_addr_fault|do_kern_addr_fault|handle_page_fault|do_bounds",
        r"spurious_\w*fault|page_fault|async_page_fault|general_protection|invalid_op|error_entry",
        r"error_(?:exit|code|return|sti)|double_fault|divide_error|stack_segment|trap_init\w*",
        r"trace_(?:do_)?page_fault|trace_page_fault|int3|debug|segment_not_present",
        r"do_mem_abort|do_translation_fault|el[01]h?_(?:sync|da|ia|dbg|undef|inv)\w*|el1_abort",
        r"el1_(?:dbg|undef|brk64|bti|fpac)|brk_handler|do_debug_exception|do_undefinstr|do_undef\w*",
        r"el1t_64_\w+|el[01]h?_64_sync\w*|call_undef_hook|early_brk64|do_el1_\w+|do_brk64",
        r"do_DataAbort|do_PrefetchAbort|__dabt_svc|__pabt_svc|__und_svc\w*|__dabt_usr|do_bad_area",
        r"data_access_common\w*|handle_exception|do_trap_\w+|ret_from_exception|pgm_check_handler",
        r"__do_pgm_check|do_dat_exception|do_protection_exception|program_check_\w+|do_bpt\w*",
        r"machine_check_\w+|do_machine_check|instruction_access_\w+|bad_page_fault|data_storage\w*",
        r"asm_do_page_fault|handle_reserved|do_ade|handle_tlb\w+|tlb_do_page_fault_\d",
        r"idtentry\w*|xen\w*idtentry\w*|hard_page_fault|illegal_op|do_no_pf",
    ),
    _rule(
        Role.INTERRUPT_ENTRY,
        "interrupt vectors, their C handlers and the end of an interrupt",
        r"(?:asm_|__)?(?:sysvec|common_interrupt|asm_common_interrupt)\w*|call_irq_handler",
        r"ret_from_intr|irq_entries_start|do_IRQ|handle_irq|(?:smp_)?apic_timer_interrupt",
        r"(?:smp_|trace_)?\w*(?:call_function|reschedule|irq_work|thermal|threshold)\w*_interrupt",
        r"smp_\w+_interrupt|call_function\w*_interrupt|reschedule_interrupt|irq_work_interrupt",
        r"call_softirq|irq_exit(?:_rcu)?|__irq_exit\w*|invoke_softirq|run_on_irqstack\w*",
        r"do_softirq_own_stack|__run_on_irqstack|call_on_irqstack|irq_enter\w*",
        r"el[01]h?_(?:64_|32_)?(?:irq|fiq)\w*|el1_interrupt|__el1_irq|gic_handle_irq|__irq_svc",
        r"__irq_usr|asm_do_IRQ|handle_IRQ|__handle_domain_irq|generic_handle_domain_irq|do_irq",
        r"handle_domain_irq|call_on_irq_stack|(?:do_)?riscv_intc_\w+|do_ext_(?:irq|interrupt)",
        r"hardware_interrupt_common\w*|timer_interrupt|decrementer_common\w*|__do_irq|do_IRQ_\w+",
        r"do_idle_int|ext_int_handler|io_int_handler|except_vec_vi\w*|plat_irq_dispatch|hv_\w*intr",
        r"xen_(?:evtchn_do_upcall|do_hypervisor_callback|hvm_callback_vector)|__xen_evtchn\w*",
        r"xen_pv_evtchn_do_upcall|exc_xen_hypervisor_callback|handle_cpu_irq|do_arch_irq\w*",
    ),
    _rule(
        Role.INTERRUPT_ENTRY,
        "the way into an NMI",
        r"(?:asm_)?exc_nmi\w*|(?:default_)?do_nmi|end_repeat_nmi|first_nmi|repeat_nmi|nmi",
        r"nmi_(?:handle\w*|restore|stack\w*|cpu_backtrace\w*)|ret_from_nmi|default_do_nmi",
        r"arch_trigger_\w+|nmi_trigger_\w+|system_reset_\w+|pseudo_nmi\w*|do_unrecoverable_nmi",
    ),
    _rule(
        Role.OBSERVER,
        "lockup, stall, hang and NMI watchdogs report on what they interrupted or looked at",
        r"watchdog(?:_(?:timer_fn|overflow\w*|nmi\w*|hardlockup\w*|check\w*))?|is_softlockup|softlockup_\w+|hardlockup_\w+|touch_\w*watchdog\w*",
        r"check_hung_\w+|hung_task_\w+|rcu_check_callbacks|rcu_sched_clock_irq|rcu_pending",
        r"print_(?:cpu_stall|other_cpu_stall)\w*|check_cpu_stall|rcu_dump_cpu_stacks\w*",
        r"rcu_gp_(?:kthread|fqs\w*)|rcu_\w*stall\w*|__rcu_pending|wq_watchdog_\w+|show_(?:pwq|workqueue)\w*|perf_event_nmi\w*",
        r"intel_pmu_handle_irq|__?perf_event_overflow|x86_pmu_\w+|perf_event_overflow\w*",
        r"hpwdt_(?:pretimeout|nmi\w*)|unknown_nmi_\w+|unknown_nmi|pci_serr_error|io_check_error",
        r"mem_parity_error|ghes_\w+|ipmi_wdog_\w+|kgdb_\w+|mce_\w+",
        r"do_machine_check\w*|machine_check_poll|dump_cpu_task|trigger_\w+_backtrace\w*",
    ),
    _rule(
        Role.OBSERVER,
        "the clock tick that lets watchdogs run",
        r"(?:__)?hrtimer_(?:run_queues|interrupt)\w*|__run_hrtimer|tick_\w+|update_process_times",
        r"local_apic_timer_interrupt|(?:__)?sysvec_apic_timer_interrupt|scheduler_tick|sched_tick",
        r"arch_timer_handler_\w+|handle_percpu_devid_irq|timer_handler|generic_handle_irq\w*",
        r"riscv_timer_interrupt|clock_comparator_work|do_timer|handle_percpu_irq",
    ),
    _rule(
        Role.BOTTOM,
        "entry from user space",
        r"entry_\w+|do_syscall\w*|system_call\w*|sysenter_\w+|ret_fast_syscall|el0\w*|invoke_syscall",
        r"__sys_trace_return|tracesys\w*|int_ret_from_sys_call|do_fast_syscall_32|ia32_\w+call\w*",
        r"__do_fast_syscall_32|do_int80_\w+|x64_sys_call|ia32_sys_call|x32_sys_call|stub_(?:execve\w*|clone|fork)",
        r"do_el0_svc\w*|ret_to_user|ret_from_syscall|system_call_\w+|syscall_\w+|auditsys|sysret_\w+",
        r"__do_syscall|handle_sys(?:64|call)?|ret_to_user_from_irq|no_syscall_entry\w*|cstar_dispatch",
    ),
    _rule(
        Role.BOTTOM,
        "start of threads and of the kernel, and the idle loop",
        r"ret_from_(?:fork|kernel_thread)\w*|kthread|kernel_thread\w*|child_rip|start_kernel",
        r"(?:x86_64_)?start_(?:reservations|kernel\w*|secondary)|secondary_start\w*|rest_init",
        r"common_startup_64|secondary_startup_\w+|cpu_(?:startup_entry|idle\w*)|do_idle|cpuidle_(?:enter\w*|idle_call)",
        r"(?:default|native|acpi|intel|mwait|poll|arch_cpu|amd_e400|c1e)_idle\w*|default_idle_call",
        r"call_cpuidle|native_safe_halt|arch_safe_halt|safe_halt|acpi_(?:safe_halt|idle_\w+|processor_ffh_cstate_enter)",
        r"__primary_switched|__secondary_switched|secondary_start_kernel|arch_call_rest_init",
        r"kernel_init(?:_freeable)?|do_one_initcall|do_initcall\w*|do_basic_setup|menu_select|kthreadd",
        r"smpboot_thread_fn|run_ksoftirqd|cpu_stopper_thread|start_here_common|kernel_thread_helper",
        r"pv_native_safe_halt|x86_64_start_kernel|early_idt_handler\w*|repair_env_string",
    ),
    _rule(
        Role.DISPATCH,
        "dispatch of work, soft interrupts, interrupts and timers to whoever asked for them",
        r"(?:rescuer|worker)_thread|process_(?:one_work|scheduled_works)|run_workqueue|task_work_run",
        r"(?:__|___)?do_softirq\w*|handle_softirqs|do_softirq\w*|__local_bh_enable\w*",
        r"tasklet_action\w*|tasklet_\w*action\w*|run_timer_\w+|__run_timers?\w*|expire_timers",
        r"call_timer_fn|rcu_(?:core\w*|do_batch|process_callbacks|cpu_kthread)|__rcu_process_callbacks",
        r"invoke_rcu_\w+|handle_irq_event\w*|__handle_irq_event\w*|handle_(?:edge|level|fasteoi)_irq",
        r"handle_simple_irq|flush_smp_call_function_\w*|__?flush_smp_call_\w+|csd_\w+",
        r"generic_smp_call_function_\w+|exit_to_user_mode\w*|prepare_exit_to_usermode|do_notify_resume",
        r"syscall_exit_to_\w+|exit_to_usermode_loop|irqentry_\w+|tracehook_\w+|resume_user_mode_work",
        r"syscall_return_slowpath|get_signal\w*|do_signal|arch_do_signal\w*|work_resched",
        r"__exit_to_user_mode_\w+|retint_\w+",
    ),
    _rule(
        Role.DISPATCH,
        "the generic way of a system call down to a file's, socket's or device's own operation",
        r"sys_(?:read|write|readv|writev|pread64|pwrite64|preadv2?|pwritev2?|ioctl|sendfile\w*)",
        r"sys_(?:send|recv|sendto|recvfrom|sendmsg|recvmsg|sendmmsg|recvmmsg|socketcall|close)",
        r"compat_sys_(?:ioctl|sendmsg|recvmsg|readv|writev|socketcall|sendmmsg|recvmmsg)",
        r"(?:k|__)?sys_(?:sendto|recvfrom|sendmsg|recvmsg|sendmmsg|recvmmsg|setsockopt|getsockopt)",
        r"_*sys_(?:setsockopt|getsockopt|connect|bind|socket)|ksys_(?:read|write|ioctl|p\w+64)",
        r"_*(?:vfs|new_sync|do_sync|__vfs)_(?:read|write|ioctl)|do_iter_\w+|do_loop_readv_\w+",
        r"do_(?:readv|writev|preadv|pwritev)\w*|vfs_(?:readv|writev|iter_\w+)|call_(?:read|write)_iter",
        r"do_vfs_ioctl|file_ioctl|vfs_ioctl|(?:proc_reg|proc_sys|__?vfs_fs)_(?:read|write|ioctl)\w*",
        r"_*_sys_(?:sendmsg|recvmsg)|sock_(?:sendmsg|recvmsg|write_iter|read_iter|ioctl|do_ioctl)\w*",
        r"sock_sendmsg_nosec|sock_recvmsg_nosec|__sock_(?:sendmsg|recvmsg|release)|sock_close",
        r"__fput|____fput|fput|delayed_fput|flush_delayed_fput|do_exit|do_group_exit|exit_files",
        r"put_files_struct|close_files|filp_close|close_fd|sys_exit(?:_group)?|do_filp_open|path_openat",
        r"sys_(?:open|openat|openat2|creat)|do_sys_open\w*|do_dentry_open|vfs_open|__fput_sync",
    ),
    _rule(
        Role.DISPATCH,
        "the operator's SysRq: all of it but the handler that was asked for",
        r"__handle_sysrq|handle_sysrq|write_sysrq_trigger|sysrq_filter|__sysrq_\w+|sysrq_do_\w+",
    ),
    _rule(
        Role.HELPER,
        "memory allocators: they die of what others did to the memory",
        r"_*k[mzc]alloc\w*|_*kfree\w*|_*kmem_cache_\w+|_*kv?free\w*|_*kv[mz]?alloc\w*|krealloc\w*",
        r"_*slab_\w+|_*slub?_\w+|cache_(?:alloc\w*|free\w*|grow\w*|flusharray)|new_slab\w*|__slab_\w+",
        r"allocate_slab|deactivate_slab|get_freepointer\w*|free_(?:debug_processing|block|pages\w*)",
        r"_*get_free_pages?\w*|_*alloc_pages?\w*|_*free_(?:page|pages|one_page)\w*|get_page_from_\w+",
        r"prep_new_page|post_alloc_hook|rmqueue\w*|_*vmalloc\w*|_*vfree\w*|free_unref_page\w*",
        r"check_(?:slab|object|bytes\w*)|on_freelist|alloc_debug_processing|_*do_k[mc]alloc\w*",
        r"_*put_page\w*|_*folio_put\w*|release_pages|krealloc_\w+|memdup_user\w*|kmemdup\w*|kstrdup\w*",
        r"memcg_\w*slab\w*|do_slab_free|cache_reap|drain_\w*freelist\w*|_*percpu_alloc|pcpu_alloc\w*",
        r"init_object|trace_k[mf]\w+|kmemleak_\w+|create_object\w*|fault_create_\w+|should_fail\w*",
        r"fail_dump|__should_failslab|debug_check_no_obj_freed|debug_object_\w+|__debug_\w+",
        r"_*alloc_percpu\w*|free_percpu|__free_slab|discard_slab|bad_page\w*|free_pcppages_\w+|free_pcp_\w+|___cache_free",
    ),
    _rule(
        Role.HELPER,
        "locks: they hang or die for whoever takes them",
        r"_*(?:raw_)?(?:spin|read|write)_(?:un)?(?:try)?(?:lock|unlock)\w*|_*raw_\w*lock\w*",
        r"do_raw_\w*lock\w*|_*(?:native_)?queued_\w*lock\w*|native_queued_\w+|pv_\w*(?:lock|kick|wait)\w*",
        r"_*mutex_\w*lock\w*|_*mutex_(?:spin|optimistic)\w*|_*rt_mutex_\w+|_*ww_mutex_\w+|osq_lock",
        r"rwsem_\w+|_*(?:down|up)(?:_(?:read|write|interruptible|killable|timeout|trylock))\w*|_*down|_*up",
        r"call_rwsem_\w+|__rwsem_\w+|_*percpu_(?:down|up)_\w+|_*percpu_\w*rwsem\w*|arch_(?:spin|read|write)_\w*lock\w*",
        r"rwlock_\w+|ticket_\w*lock\w*|rtlock_\w+|seqcount_\w+|read_seqbegin\w*|seqprop_\w+",
        r"lock_sock(?:_nested|_fast)?|__lock_sock|release_sock|bh_(?:un)?lock_sock\w*|lockref_\w+",
        r"bit_spin_\w+|hlist_bl_\w*lock|_*bit_(?:un)?lock\w*|_*local_lock\w*|rcu_read_\w*lock\w*",
        r"rtnl_(?:un|try)?lock\w*|cpus_read_\w*lock|rcu_lock_\w+|fs_reclaim_\w+|genl_(?:un)?lock",
        r"atomic_dec_and_mutex_lock|_atomic_dec_and_\w*lock\w*|refcount_dec_and_\w*lock\w*|pfn_lock",
    ),
    _rule(
        Role.HELPER,
        "waiting: the caller chose for what",
        r"_*schedule(?:_\w+)?|preempt_schedule\w*|io_schedule\w*|_*cond_resched\w*|context_switch",
        r"_*wait_(?:for_)?(?:common|completion\w*|on_bit\w*|event\w*|woken)|do_wait_for_common",
        r"out_of_line_wait_on_bit\w*|bit_wait\w*|_*wait_on_bit\w*|_*wait_rcu_gp|_*synchronize_\w+",
        r"_*flush_(?:delayed_|rcu_)?work\w*|_*flush_workqueue|_*cancel_\w*work\w*|drain_workqueue|finish_wait",
        r"prepare_to_wait\w*|finish_task_switch\w*|_*switch_to\w*|yield|_*msleep\w*|usleep_range\w*",
        r"__sched_text_start|rcu_barrier\w*|_*wait_for_common\w*|wait_woken|schedule_hrtimeout\w*",
        r"_*wake_up\w*|try_to_wake_up|ttwu_\w+|complete(?:_all)?|swake_up\w*|autoremove_wake_function",
        r"default_wake_function|do_wait_intr\w*|_*queue_(?:delayed_)?work\w*|insert_work|add_timer\w*",
        r"_*mod_(?:timer|delayed_work)\w*|_*del_timer\w*|_*timer_delete\w*|_*try_to_del_timer\w*",
        r"_*timer_shutdown\w*|del_singleshot_timer_sync|_*hrtimer_(?:try_to_)?cancel\w*",
        r"tasklet_(?:kill|disable|unlock_\w*wait)\w*|irq_work_sync",
        r"lock_timer_base|_*call_rcu\w*|kthread_stop|kthread_park|_*delay|delay_\w+|__const_udelay",
        r"__udelay|read_poll_\w+|cpu_relax|rep_nop",
    ),
    _rule(
        Role.HELPER,
        "finding a page or a buffer and waiting for it: who locked or writes it is elsewhere",
        r"_*folio_(?:wait_\w+|(?:try|un)?lock\w*)|_*(?:try|un)?lock_page\w*|_*wait_on_page\w*",
        r"wait_for_stable_page|migration_entry_wait\w*|(?:pmd|pud)_migration_entry_wait\w*",
        r"_*(?:un|try)?lock_buffer\w*|_*wait_on_buffer\w*|_*inode_wait_for_writeback",
        r"_*filemap_get_(?:folio|pages)\w*|filemap_update_page|pagecache_get_page|find_lock_page\w*",
    ),
    _rule(
        Role.HELPER,
        "lists, trees, bitmaps, counters: they walk what others built",
        r"_*h?list_\w+|_*rb_\w+|rb_(?:first|last|next|prev|erase|insert_color)|_*rht_\w+|rhashtable_\w+",
        r"_*rhashtable_\w+|_*xa_\w+|_*xas_\w+|_*radix_tree_\w+|_*idr_\w+|_*ida_\w+|mas_\w+|mt_(?:find|dump|validate)\w*",
        r"_*find_(?:first|next|last)\w*bit\w*|_*bitmap_\w+|_*(?:test|set|clear|change)_bit\w*|klist_\w+",
        r"test_and_\w+_bit\w*|_*llist_\w+|plist_\w+|_*kref_\w+|_*refcount_\w+|_*percpu_ref_\w+",
        r"_*(?:arch_|raw_)?atomic\w*_(?:read|set|add|sub|inc|dec|or|and|xchg|cmpxchg|try\w*|fetch\w*)\w*",
        r"_*kobject_(?:get|put)\w*|kobject_(?:release|cleanup)|percpu_counter_\w+|_*this_cpu_\w+",
        r"_*(?:READ|WRITE)_ONCE\w*|_*read_once\w*|_*write_once\w*|arch_(?:static|test|set|clear)_\w+",
        r"arch_(?:irqs|local)_\w+|_*local_(?:irq|bh)_\w+|static_\w*branch\w*|get_current|arch_stack_\w+",
        r"constant_test_bit|variable_test_bit|_*cmpxchg\w*|_*xchg\w*|rcu_(?:dereference|is_watching)\w*",
        r"timerqueue_\w+|interval_tree_\w+|sort\w*|bsearch|hash_(?:ptr|32|64|long)\w*|_*jhash\w*|wait_queue_\w+",
        r"add_wait_queue\w*|remove_wait_queue|waitqueue_active|get_device|put_device",
        r"_*(?:raw_|atomic_|blocking_|srcu_)?notifier_call_chain",
    ),
    _rule(
        Role.HELPER,
        "strings, copies and checksums: the caller gave the pointer",
        r"_*mem(?:cpy|set|move|cmp|chr|scan|zero)\w*|_*str(?:n?cpy|l?cat|n?cmp|n?len|chr|scpy|case|str|spn|sep|lcpy|snip|pbrk)\w*|_*(?:arch_)?copy_(?:to|from|in)_\w+",
        r"_*(?:raw_)?copy_(?:to|from)_\w+|_*clear_user\w*|copy_user_\w+|_*copy_user\w*|_*get_user\w*",
        r"_*put_user\w*|copyin|copyout|rep_\w+|_*iov_iter_\w+|_*copy_\w*iter\w*|csum_\w+|_*crc\w+",
        r"rep_movs\w*|rep_stos\w*|(?:v|sn|vsn|s|vs|k|vk|kv)?as?printf|v?scnprintf|vs?n?printf",
        r"_*vsnprintf|snprintf|sprintf|string(?:_nocheck)?|format_decode|pointer|number|_*printk\w*",
        r"v?printk\w*|_printk|dev_vprintk_emit|dev_printk_emit|_dev_\w+|_*dynamic_\w+|netdev_printk",
        r"__?check_(?:object|heap_object|heap|page_span)\w*|_*check_object_size|usercopy_warn",
        r"clear_page\w*|copy_page(?!_range)\w*|clear_huge_page|kmap\w*|_*kunmap\w*|console_\w+",
        r"__?memcpy_\w+|memchr_inv|hex_\w+|sg_(?:next|miter_\w+|copy_\w+)|fault_in_\w+|iterate_and_advance\w*",
    ),
    _rule(
        Role.HELPER,
        "buffers of the network: they belong to whoever fills and frees them",
        r"_*(?:alloc|napi_alloc|netdev_alloc|build|consume|dev_kfree|pskb_copy)_skb\w*|_*pskb_\w+",
        r"_*skb_(?:put|push|pull|trim|clone|copy|queue|dequeue|release|panic|over|under|unlink)\w*",
        r"_*skb_(?:get|expand|cow|realloc|linearize|checksum)\w*|sock_(?:wmalloc|[wre]free)",
        r"nla_(?:memcpy|put|get|parse|validate|strlcpy|strscpy)\w*|scatterwalk_\w+",
        r"sock_alloc_send_\w+|sk_prot_alloc",
    ),
    _rule(
        Role.HELPER,
        "thunks: compilers' and patchers' stubs",
        r"__x86_(?:indirect|return)_thunk\w*|_*x86_\w*thunk\w*|retbleed_\w+|__fentry__|mcount",
        r"ftrace_(?:call\w*|stub|regs_call\w*|graph_\w+|ops_\w*func)|optprobe_\w+|__SCT__\w+|__SCK__\w+|zen_untrain_ret|srso_\w+|___pv_\w+|thunk_\w+",
        r"_*sanitizer_\w+|trampoline\w*|0x[0-9a-f]+|bpf_dispatcher_\w+|__kcfi_\w+|arch_ftrace_\w+",
    ),
)


_LONGEST = 512
"""KSYM_NAME_LEN since 6.1 (128 before): what is longer is no kernel's, and would only take time."""


@lru_cache(maxsize=65536)
def role(function: str) -> Role | None:
    """Why ``function`` (in any spelling) is generic; None if it is not."""
    name = normalise(function)
    if len(name) > _LONGEST:
        return None
    for rule in RULES:
        if rule.names.fullmatch(name):
            return rule.role
    return None


def is_generic(function: str) -> bool:
    """Whether ``function`` says nothing about who is to blame.

    Fingerprints skip such frames, and culprits of dumps are looked for beyond them. Where *every*
    frame is generic the first one that is not a :attr:`Role.REPORTER` is the best there is.
    """
    return role(function) is not None
