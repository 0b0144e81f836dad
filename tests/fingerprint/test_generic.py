import pytest

from kautopsy.fingerprint.generic import RULES, Role, is_generic, role


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("panic", Role.REPORTER),
        ("__crash_kexec", Role.REPORTER),
        ("oops_end", Role.REPORTER),
        ("warn_slowpath_fmt", Role.REPORTER),
        ("dump_stack_lvl", Role.REPORTER),
        ("kasan_report.cold.7", Role.REPORTER),
        ("__asan_load8", Role.REPORTER),
        ("asm_exc_page_fault", Role.FAULT_ENTRY),
        ("do_invalid_op", Role.FAULT_ENTRY),
        ("el1h_64_sync_handler", Role.FAULT_ENTRY),
        ("asm_sysvec_apic_timer_interrupt", Role.INTERRUPT_ENTRY),
        ("apic_timer_interrupt", Role.INTERRUPT_ENTRY),
        ("end_repeat_nmi", Role.INTERRUPT_ENTRY),
        ("asm_exc_nmi", Role.INTERRUPT_ENTRY),
        ("el1h_64_irq", Role.INTERRUPT_ENTRY),
        ("watchdog_timer_fn", Role.OBSERVER),
        ("check_hung_uninterruptible_tasks", Role.OBSERVER),
        ("rcu_gp_kthread", Role.OBSERVER),
        ("entry_SYSCALL_64_after_hwframe", Role.BOTTOM),
        ("system_call_fastpath", Role.BOTTOM),
        ("ret_from_fork_asm", Role.BOTTOM),
        ("default_idle_call", Role.BOTTOM),
        ("ksys_write", Role.DISPATCH),
        ("__x64_sys_ioctl", Role.DISPATCH),
        ("process_one_work", Role.DISPATCH),
        ("__handle_sysrq", Role.DISPATCH),
        ("kmem_cache_alloc_node_trace", Role.HELPER),
        ("kfree", Role.HELPER),
        ("_raw_spin_lock_irqsave", Role.HELPER),
        ("__mutex_lock.constprop.0", Role.HELPER),
        ("__list_del_entry_valid", Role.HELPER),
        ("memcpy_erms", Role.HELPER),
        ("vsnprintf", Role.HELPER),
        ("folio_wait_bit_common", Role.HELPER),
        ("__folio_lock_killable", Role.HELPER),
        ("__lock_page", Role.HELPER),
        ("wait_on_page_bit_common", Role.HELPER),
        ("__wait_on_buffer", Role.HELPER),
        ("__timer_delete_sync", Role.HELPER),
        ("hrtimer_try_to_cancel", Role.HELPER),
        ("tasklet_unlock_spin_wait", Role.HELPER),
        ("__synchronize_srcu", Role.HELPER),
        ("__synchronize_hardirq", Role.HELPER),
    ],
)
def test_plumbing_is_known_for_what_it_is(function: str, expected: Role) -> None:
    assert role(function) is expected


# Functions that real bugs were fixed in and whose names look like those of plumbing.
@pytest.mark.parametrize(
    "function",
    [
        "sysrq_handle_crash",
        "bio_endio",
        "stub_probe",  # usbip
        "sg_ioctl",  # the SCSI generic driver
        "hash_ipport4_add",  # ipset
        "stripe_add_to_batch_list",  # md raid5
        "stream_open",
        "watchdog_open",  # the watchdog device's node
        "notify_change",
        "reiserfs_write_lock",
        "ext4_mb_complex_scan_group",
        "tcp_write_xmit",
        "blk_done_softirq",
        "netoops",
        "drm_mode_setcrtc",
        "dev_ioctl",
        "copy_process",
        "exit_mmap",
        "nvme_queue_rq",
        "filemap_read",
        "folio_mark_dirty",
    ],
)
def test_those_who_may_be_guilty_are_not_generic(function: str) -> None:
    assert not is_generic(function)


def test_every_rule_has_a_reason() -> None:
    assert all(len(rule.why.split()) >= 3 for rule in RULES)


def test_no_rule_is_slow() -> None:
    # Nested quantifiers over the same characters would take exponential time on such a name.
    name = "_" * 200 + "lock_" * 200 + "!"
    assert not any(rule.names.fullmatch(name) for rule in RULES)
