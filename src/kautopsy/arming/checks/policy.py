"""Which events panic the machine, and what happens if capture fails."""

from __future__ import annotations

from kautopsy.arming.bootloader.words import has_word, values_of
from kautopsy.arming.check import Answer, Priority, check, passed, skipped, unseen, warned
from kautopsy.arming.distribution import family_of
from kautopsy.arming.remedies import set_sysctls
from kautopsy.arming.sysctl import TRIGGERS
from kautopsy.model.host import HostFacts

_TRIGGERS = (
    "panic_on_oops",
    "hardlockup_panic",
    "softlockup_panic",
    "unknown_nmi_panic",
    "panic_on_unrecovered_nmi",
    "panic_on_io_nmi",
    "hung_task_panic",
)
# kernel/panic.c clears panic_on_warn itself when it panics; the word on the line sets it again.
_LEAKS = (
    "softlockup_panic", "hung_task_panic", "panic_on_warn", "unknown_nmi_panic", "hugepages",
    "mem", "memmap", "slub_debug", "kasan", "nohz_full", "isolcpus", "log_buf_len",
)  # fmt: skip


@check("panic-timeout", Priority.LOST)
def panic_timeout(facts: HostFacts) -> Answer:
    """kernel.panic counts only where kdump did not take over: 0 hangs the machine for ever."""
    value = facts.sysctl("kernel.panic")
    if value is None:
        return unseen(facts, "kernel.panic")
    if value == "0":
        return warned(
            "a panic that is not captured leaves the machine hanging",
            "kernel.panic = 0",
            set_sysctls("90-panic", {"kernel.panic": "10"}),
        )
    return passed("a panic that is not captured ends in a reboot", f"kernel.panic = {value}")


@check("trigger-armed", Priority.LOST)
def trigger_armed(facts: HostFacts) -> Answer:
    """Without a sysctl that panics, a hang stays a hang, and most oopses kill one task only."""
    seen = {name: facts.sysctl(f"kernel.{name}") for name in _TRIGGERS}
    if all(value is None for value in seen.values()):
        return unseen(facts, "what panics this machine")
    armed = [name for name, value in seen.items() if value not in (None, "0")]
    if armed:
        return passed("panics on: " + ", ".join(armed))
    return warned(
        "neither an oops nor a lockup nor an NMI panics this machine",
        ", ".join(f"{name}={value}" for name, value in seen.items() if value is not None),
        set_sysctls("90-panic-on", {"kernel.panic_on_oops": "1", "kernel.softlockup_panic": "1"}),
    )


@check("dangerous-policy", Priority.LOST)
def dangerous_policy(facts: HostFacts) -> Answer:
    """What panics healthy machines: any warning; a task that waits long for a slow disk."""
    found, fixes = [], {}
    if facts.sysctl("kernel.panic_on_warn") == "1":
        found.append("kernel.panic_on_warn = 1: any WARN() ends the machine")
        fixes["kernel.panic_on_warn"] = "0"
    timeout = facts.sysctl("kernel.hung_task_timeout_secs") or ""
    if facts.sysctl("kernel.hung_task_panic") not in (None, "0"):
        if timeout.isdecimal() and 0 < int(timeout[:9]) < 300:
            found.append(f"kernel.hung_task_panic with {timeout} s: a slow backup ends the machine")
            fixes["kernel.hung_task_timeout_secs"] = "600"
        if timeout == "0":
            found.append("kernel.hung_task_panic never comes: hung_task_timeout_secs = 0")
            fixes["kernel.hung_task_timeout_secs"] = "600"
    if facts.sysctl("kernel.watchdog_thresh") == "0" and (
        facts.sysctl("kernel.softlockup_panic") == "1"
    ):
        found.append("kernel.softlockup_panic never comes: watchdog_thresh = 0")
        fixes["kernel.watchdog_thresh"] = "10"
    if facts.sysctl("kernel.panic_on_warn") is None and not timeout:
        return unseen(facts, "the panic policy")
    if found:
        return warned("; ".join(found), fix=set_sysctls("zz-policy", fixes))
    return passed("nothing panics a healthy machine")


@check("post-notifiers", Priority.LOST)
def post_notifiers(facts: HostFacts) -> Answer:
    """crash_kexec_post_notifiers runs foreign code in a dead kernel before the dump."""
    if facts.post_notifiers is None:
        return unseen(facts, "crash_kexec_post_notifiers")
    if facts.post_notifiers:
        return warned(
            "panic notifiers run before the capture kernel starts: one that hangs costs the dump",
            "crash_kexec_post_notifiers = Y",
            "echo N > /sys/module/kernel/parameters/crash_kexec_post_notifiers",
        )
    return passed("the capture kernel starts before anything else")


@check("policy-leak", Priority.LOST)
def policy_leak(facts: HostFacts) -> Answer:
    """The capture kernel inherits the command line, but for what the distribution takes away."""
    if facts.settings.base:
        line: tuple[str, ...] = tuple(facts.settings.base.split())
        source = facts.settings.source
    elif facts.cmdline is not None:
        line, source = facts.cmdline, "/proc/cmdline"
    else:
        return unseen(facts, "what the capture kernel inherits")
    if not facts.settings.source:
        return skipped("no kdump configuration says what the capture kernel is told")
    removed = set(facts.settings.removed)
    leaks = [name for name in _LEAKS if name not in removed and _harmful(line, name)]
    if "panic" in values_of(line, "oops"):
        leaks.append("oops=panic")
    if leaks:
        return warned(
            f"the capture kernel inherits {', '.join(leaks)}",
            f"from {source}",
            family_of(facts.os).drop_capture_words(facts, [w.split("=")[0] for w in leaks]),
        )
    return passed("nothing harmful reaches the capture kernel's command line")


@check("capture-sysctls", Priority.LOST)
def capture_sysctls(facts: HostFacts) -> Answer:
    """Where the capture kernel boots the machine's own root, sysctl.d panics it as well."""
    if not facts.settings.source:
        return skipped("no kdump configuration says what the capture kernel runs")
    if not facts.settings.sysctls:
        return passed("the machine's sysctls do not reach the capture kernel")
    seen = {name: facts.sysctl(name) for name in TRIGGERS}
    if all(value is None for value in seen.values()):
        return unseen(facts, "what panics this machine")
    armed = [f"{name} = {value}" for name, value in seen.items() if value not in (None, "0")]
    if armed:
        return warned(
            "what panics this machine panics its capture kernel too, in the middle of saving",
            f"{', '.join(armed)}; sysctl.d is applied there",
            family_of(facts.os).keep_sysctls_out(),
        )
    return passed("nothing in the machine's sysctls panics the capture kernel")


def _harmful(line: tuple[str, ...], name: str) -> bool:
    values = values_of(line, name)
    return any(value != "0" for value in values) or (not values and has_word(line, name))
