"""Functions that a title does not name, each group with its reason: data for :mod:`.titles`.

A title names the function where the trouble shows, one step nearer to the bug than the helpers
that every caller shares. That is less than a fingerprint skips (:mod:`kautopsy.fingerprint.generic`
also passes over trees and whole layers), because a title that names nobody helps nobody. A function
is here for what it *does*: it fails for what its caller handed it. Names match in full, so a group
says exactly whom it means: ``get_user`` copies for its caller, ``get_user_pages`` is a subsystem.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from kautopsy.model.lazy import lazy_pattern


@dataclass(frozen=True)
class Skip:
    """Functions that a title does not name, and why. A name matches in full."""

    why: str
    names: re.Pattern[str]


def _skip(why: str, *names: str) -> Skip:
    return Skip(why, lazy_pattern("|".join(names)))


HELPERS: tuple[Skip, ...] = (
    _skip(
        "prints the report, unwinds, panics",
        r"_*dump_stack\w*|show_(?:stack|regs|trace)\w*|dump_(?:backtrace|trace)\w*"
        r"|unwind_backtrace|walk_stack\w*|sched_show_task|print_tainted|get_taint",
        r"v?panic(?:_\w+)?|nmi_panic\w*|_*\w+_panic|die|__die|die_(?:addr|if_kernel|kernel_fault)"
        r"|oops_(?:begin|end|enter|exit)|check_panic_on_warn",
        r"print_\w*(?:bug|report|description|address\w*|deadlock|usage)\w*|print_report\w*",
        r"_*save_stack\w*|get_stack_info|stack_depot\w*|set_track\w*|stack_trace_\w+"
        r"|arch_stack_walk\w*|_*unwind_(?:start|next_frame|get_return_address\w*)"
        r"|deref_stack_reg|update_stack_state",
        r"\w*printk\w*|_*dev_(?:info|notice|warn|err|alert|crit|emerg|vprintk\w*)|_dev_\w+"
        r"|console_unlock|console_flush_all",
    ),
    _skip(
        "WARN(), BUG() and their traps: the caller complains",
        r"\w*warn_slowpath\w*|_*warn(?:_printk|_alloc\w*|_bogus\w*)?|_*report_bug\w*|fixup_bug"
        r"|handle_bug|\w*bug_handler\w*|_*schedule_bug|bug_at",
        r"(?:do_)?invalid_op|\w*assfail|\w*assertfail|\w*stack_chk_fail\w*|_*fortify\w*"
        r"|_*ubsan\w*|handle_overflow|cfi_\w+|report_cfi_\w+|handle_cfi_\w+",
        r"usercopy_\w+|_*check_heap_object|_*check_object_size|_*check_object|_*might_(?:fault"
        r"|sleep|resched)\w*|_*cant_(?:sleep|migrate)",
        r"_*debug_object\w*|debug_(?:print|check_no_obj)\w*|\w*_is_static_object|object_(?:err"
        r"|is_on_stack)|stub_timer",
        r"\w*program_check\w*|_exception\w*|do_(?:error_trap|trap\w*|error|undefinstr"
        r"|PC_alignment\w*)|_*do_trap\w*|\w+_trap",
        r"(?:asm_)?exc_\w+|brk_handler|do_debug_exception|call_break_hook|do_el1_\w+|el[01]h?_\w+"
        r"|el1t?_\w+",
        r"debug_smp_processor_id|check_preemption_disabled|_*this_cpu_preempt_check"
        r"|ref_tracker\w*|preempt_count_(?:add|sub)",
        r"_*list_(?:add|del)\w*_(?:valid|report)\w*|refcount_warn_saturate|restore_regs_\w+"
        r"|(?:trace|lockdep)_(?:hard|soft)irqs?\w*|_*(?:virt_to_)?phys_addr(?:_\w+)?",
    ),
    _skip(
        "page faults: the way into the handler",
        r"(?:asm_|exc_|do_|async_|trace_do_)?page_fault\w*|_*do_page_fault|no_context"
        r"|_*bad_area\w*|page_fault_oops|kernelmode_fixup_or_oops|is_prefetch",
        r"_*do_(?:kernel|user)_fault|do_(?:translation_fault|tag_check_fault|tag_recovery"
        r"|alignment_fault|DataAbort|mem_abort|bad_area|sect_fault)|die_kernel_fault",
        r"show_fault_oops|bad_page_fault|handle_page_fault|do_general_protection"
        r"|general_protection|arm_notify_die|kernel_page_fault",
    ),
    _skip(
        "sanitizers: they watch the access of their caller",
        r"\w*kasan\w*|\w*kmsan\w*|\w*kcsan\w*"
        r"|_*(?:asan|msan|tsan|hwasan|kfence|sanitizer|csan)\w*",
        r"check_memory_region\w*|memory_is_\w+|check_region\w*|read_word_at_a_time|kcov_\w+",
        r"(?:read|write)_once_\w*nocheck|instrument_\w+|addr_has_\w+|write_comp_data"
        r"|assign_\w+_report|rcu_is_watching_\w*",
        r"end_report|start_report|report_(?:access|enabled)|describe_\w+|address_is\w*",
    ),
    _skip(
        "lockdep: it stands for whoever takes the lock",
        r"\w*lockdep\w*|_*lock_(?:acquire|release|class|is_held|pin|unpin|set|downgrade)\w*"
        r"|(?:rcu|seqcount)_lock_(?:acquire|release)\w*|reacquire_held_locks|lock_commit_crosslock",
        r"check_(?:prev\w*|noncircular|deadlock|usage\w*|irq_usage|flags|wait_context|chain\w*"
        r"|path|lock_type\w*)|validate_chain|mark_(?:lock\w*|held_locks|usage)",
        r"find_usage\w*|add_(?:lock_to_list|chain_\w+)|_*bfs|look_up_lock_class"
        r"|register_lock_class|valid_state|usage_(?:match|skip|accumulate)\w*|\w*held_locks?",
    ),
    _skip(
        "locks: they stand for whoever takes them",
        # a subsystem's own wrappers too: btrfs_tree_read_lock, kvm_mmu_write_unlock
        r"(?:\w+_)?(?:spin|read|write|mutex)_(?:try|un)?lock\w*|_*raw_\w*(?:spin|read"
        r"|write)_\w*lock\w*|raw_spin_\w+|do_raw_\w+|do_lock\w*_common",
        r"rwlock_bug\w*|spin_(?:bug|dump)|debug_(?:spin|rwlock|write|read|mutex|rt_mutex)\w*",
        r"_*(?:rt_|ww_)?mutex_\w+|rtlock_\w+|_*rt_spin_\w+|osq_(?:un)?lock"
        r"|mcs_\w+|pv_(?:wait|hash|kick|queued)\w*|owner_on_cpu",
        r"_*pv_queued_\w*|_*(?:native_)?queued_(?:spin|read|write)\w+|virt_spin_lock"
        r"|ticket_spin\w*|arch_(?:spin|read|write)_\w*lock\w*",
        r"_*down(?:_(?:read|write|interruptible|killable|timeout|trylock|common)\w*)?"
        r"|_*up(?:_(?:read|write)\w*)?|rwsem_\w+|call_rwsem_\w+|_*percpu_(?:down|up)_\w+",
        r"_*seqprop\w*|read_seq\w*|write_seq\w*|seqcount_\w+",
        r"_*rcu_read_(?:un)?lock\w*|lockref_\w+|reiserfs_write_(?:un)?lock\w*",
        r"_*local_(?:bh|irq)_\w*|_*lock_task_sighand|trace_contention_\w+|(?:un)?lock_page"
        r"|arch_(?:local_irq|irqs)_\w+|native_(?:irq|save_fl|restore_fl)\w*",
        r"_*(?:arch_)?(?:raw_)?atomic\w*_(?:dec|inc|read|set|or|xor|and|add|sub|fetch|xchg"
        r"|cmpxchg|try)\w*|_*cmpxchg\w*|_*xchg\w*",
        r"(?:this|raw)_cpu_\w+|_*(?:set|clear|test|change|test_and_\w+|variable_test"
        r"|constant_test|arch_test)_bit\w*",
    ),
    _skip(
        "reference counts: the caller counts",
        r"_*refcount_(?:add|sub|inc|dec|set|read|warn)\w*|_*kref_(?:get|put)\w*"
        r"|(?:get|put)_device",
    ),
    _skip(
        "waking and waiting: the caller owns the queue, the completion",
        r"_*wake_up(?!_(?:new_task|if_idle|nohz|idle|all_idle))\w*|finish_wait|swake_up\w*"
        r"|complete_with_flags",
        r"_*wait_for_\w*completion\w*|_*wait_for_common\w*|do_wait_for_common|_*complete(?:_all)?",
    ),
    _skip(
        "strings and copies: the caller gave the pointer",
        r"_*mem(?:cpy|cmp|set|chr|move|_cpy|chr_inv)\w*|_*str(?:r|n|ncase|case)?(?:cmp|cpy|cat"
        r"|str|chr|len|spn|lcpy|lcat|scpy\w*|ncpy|ncmp|nlen|nchr|nstr|dup\w*)\w*",
        # a subsystem's own wrappers too: bpf_prog_array_copy_to_user
        r"(?:\w*_)?copy_(?:to|from|in)_user\w*|_*copy_user_\w+"
        r"|_*(?:get|put)_user(?:_(?:[1248]|no\w+|asm\w*|bad))?|_*arch_copy_(?:to|from)\w+",
        r"rep_(?:movs|stos)\w*|_*clear_user\w*|(?:clear|copy)_page(?:_(?:rep|erms|orig|mc|to_iter"
        r"|from_iter|regs|to_iter_\w+|from_iter_\w+))?|copy_folio_(?:to|from)_iter\w*",
        r"_*copy_(?:to|from)_iter\w*|csum_(?:and_copy|partial)\w*|copyout|copyin"
        r"|_*copy_\w*mc\w*|iov_iter_(?:fault|copy|zero)\w*|extract_(?:user|iter)_to_sg",
        r"memdup_user\w*|_*kunmap_\w+|find_(?:next|first|last)_(?:zero_)?bit\w*",
        r"nla_(?:memcpy|memcmp|put\w*|strcmp|strscpy|strlcpy|strdup|reserve\w*|append)",
    ),
    _skip(
        "registers of a device: the caller gave the address",
        r"_*(?:raw_)?(?:read|write)[bwlq](?:_relaxed)?|_*(?:io)?(?:read|write)(?:8|16|32|64)(?:be)?"
        r"|logic_(?:in|out)\w+|_*(?:in|out)s?[bwl]",
    ),
    _skip(
        "formatting of lib/vsprintf.c: the caller gave the arguments",
        r"string|string_nocheck|pointer|number|format_decode|v?s?n?c?n?printf|vs?n?printf"
        r"|vscnprintf|scnprintf|kv?as?printf\w*|va_format",
        r"(?:widen|escaped|symbol|resource|mac_address|uuid|clock|device_node|fwnode)_string",
        r"ip[46]?_\w*string\w*|ip[46]_addr_string|bitmap_\w*string|dentry_name|file_dentry_name"
        r"|hex_string",
    ),
    _skip(
        "lists: the entry is its owner's",
        r"_*h?list_(?:add|del|replace|move|splice|empty|bl|nulls|entry|cut|first|last)\w*"
        r"|_*list_\w*valid\w*|klist_\w+",
    ),
    _skip(
        "trees and tables: they walk what their owner put in",
        r"_*rb_(?:first|last|next|prev|erase|insert|replace|link|rotate|change_child)\w*",
        r"_*xas_\w+|_*ida_(?:free|alloc\w*|destroy)|_*rhashtable_lookup\w*|rht_\w+",
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
        r"_*alloc_(?:frozen_)?pages?(?:_\w+)?|_*get_free_pages?\w*|prepare_alloc_pages\w*",
        r"get_page_from_freelist|_*v[mz]alloc(?:_(?:user|node|noprof|32|huge)\w*)?|prep_new_page",
        r"check_(?:bytes\w*|slab|pad\w*)|init_object|print_(?:trailer|section)",
        r"alloc_debug_processing|free_debug_processing|_*(?:re)?set_page_owner\w*|fs_reclaim_\w+",
        r"_*alloc_percpu\w*|pcpu_alloc\w*",
    ),
    _skip(
        "the page cache: a file system asks it for its own pages",
        r"filemap_alloc_folio\w*|_*filemap_get_folio\w*|folio_alloc\w*|folio_unlock"
        r"|find_or_create_page|(?:do_)?read_cache_(?:page|folio)\w*|pagecache_get_page"
        r"|grab_cache_page\w*|find_(?:lock|get)_entries|truncate_inode_pages_range"
        r"|mark_buffer_dirty",
    ),
    _skip(
        "buffers of the network: the caller asked for room that is not there",
        r"_*skb_(?:push|pull|put|trim|reserve|(?:over|under)_panic|panic)\w*|pskb_(?!expand)\w+",
    ),
    _skip(
        "counts of a file system's objects: the caller dropped one too many",
        r"(?:drop|inc|clear|set)_nlink|fast_dput|dput|_*iput(?:_final)?|ihold",
    ),
    _skip(
        "checksums and dumps of data that the caller gave",
        r"print_hex_dump\w*|_*crc\w+|hex_dump\w*",
    ),
    _skip(
        "compilers', tracers' and patchers' stubs",
        r"\w*_indirect_thunk_\w*|_*x86_\w*thunk\w*|retpoline\w*|srso_\w+|_*SC[KT]__\w+",
        r"perf_trace\w*|trace_event_raw_\w+|_*traceiter_\w+|_*do_trace_\w+|_*bpf_trace_\w+"
        r"|trace_(?:kmalloc|kfree|call_bpf|event_buffer)\w*",
        r"_*fentry_*|mcount|ftrace_(?:call|caller|stub|regs_call\w*|graph_call\w*|ops_\w*func)"
        r"|rust_begin_unwind|core::\w*|asm_\w+|_*cond_resched\w*",
        r"bust_spinlocks|apic_timer_interrupt|ret_from_\w+|restore_all|error_entry"
        r"|common_interrupt\w*|kernel_fpu_begin\w*|native_(?:read|write)_msr\w*",
    ),
    _skip(
        "timers, work and threads: the caller queues, or gives up, what is not as it thinks",
        r"insert_work|_*queue_(?:delayed_)?work\w*|_*mod_timer\w*|add_timer\w*|lock_timer_base",
        r"_*(?:try_to_)?del_timer\w*|_*timer_(?:delete|shutdown)\w*|sk_stop_timer\w*",
        r"_*flush_work(?:queue)?|_*cancel_\w*work\w*|try_to_grab_pending|work_grab_pending"
        r"|_*drain_workqueue|destroy_workqueue|_*flush_workqueue\w*|touch_work_lockdep_map"
        r"|start_flush_work|kthread_stop\w*",
        r"cleanup_srcu_struct|check_init_srcu_struct|_*srcu_read_(?:un)?lock\w*",
    ),
    _skip(
        "the driver model: drivers register through it",
        r"_*kobject_\w+|add_uevent_var|get_device_parent|kset_\w+|devres_release_all",
        r"device_(?:add|del|unregister|destroy|register|release|create\w*|for_each_child\w*"
        r"|remove_file\w*)|cdev_device_\w+|device_attach_\w+|_*unregister_client",
        r"sysfs_(?:do_)?(?:create|remove|add|merge|unmerge|update|delete|warn_dup|rename|move)\w*"
        r"|dpm_sysfs_\w+|hwrng_unregister|i2c_del_adapter|tty_unregister_device",
        r"rollback_registered\w*|unregister_netdev(?:ice_(?:many|queue)\w*)?"
        r"|netdev_\w*destructor",
        r"dummy_urb_enqueue|usb_(?:kill_\w*urbs?|control_msg|hcd_submit_urb|submit_urb"
        r"|start_wait_urb|bulk_msg|interrupt_msg|poison\w*)|usb_stor_msg_common",
    ),
)

ALLOCATORS = lazy_pattern(
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


@lru_cache(maxsize=65536)
def is_helper(function: str) -> bool:
    """Whether a title would say nothing by naming ``function`` (in its plain spelling)."""
    return any(skip.names.fullmatch(function) for skip in HELPERS)
