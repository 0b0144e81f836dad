"""The NMI family: who takes an NMI, and what the kernel makes of one that nobody takes."""

from __future__ import annotations

from kautopsy.arming.check import Answer, Priority, check, passed, skipped, unseen, warned
from kautopsy.arming.remedies import edit_command_line, set_sysctls
from kautopsy.arming.sysctl import OLD_WATCHDOG, SWALLOWS, X86, age
from kautopsy.model.host import HostFacts


@check("nmi-conflict", Priority.LOST)
def nmi_conflict(facts: HostFacts) -> Answer:
    """Sources of NMIs that unknown_nmi_panic would take for the operator's.

    arch/x86/kernel/nmi.c: an NMI is unknown if no handler claims it; perf's can arrive late and go
    unclaimed while nmi_watchdog takes a counter, before 3.3. hpwdt panics on its own. Before 2.6.37
    unknown_nmi_panic and the old nmi_watchdog exclude each other.
    """
    if facts.machine not in X86:
        return skipped(f"no NMI of this kind on {facts.machine or 'this machine'}")
    unknown_nmi = facts.sysctl("kernel.unknown_nmi_panic")
    if unknown_nmi is None:
        return unseen(facts, "kernel.unknown_nmi_panic")
    modules = set(facts.modules or ())
    armed = unknown_nmi == "1" or facts.sysctl("kernel.panic_on_unrecovered_nmi") == "1"
    watchdog = facts.sysctl("kernel.nmi_watchdog")
    if not armed:
        return passed("unclaimed NMIs do not panic", f"unknown_nmi_panic = {unknown_nmi}")
    said = []
    kernel = age(facts.release)
    if watchdog not in (None, "0") and (0, 0, 0) < kernel < SWALLOWS:
        said.append(
            "on this old kernel nmi_watchdog and unknown_nmi_panic exclude each other"
            if kernel < OLD_WATCHDOG
            else "nmi_watchdog's counter can leave an NMI that nobody claims"
        )
    if "hpwdt" in modules:
        said.append("hpwdt takes the iLO's NMI and panics by itself")
    if "ghes" in modules or any("GHES" in line for line in facts.log or ()):
        said.append("firmware reports errors by NMI (GHES)")
    if "oprofile" in modules:
        said.append("oprofile uses NMIs")
    if any("Uhhuh" in line or "NMI received for unknown" in line for line in facts.log or ()):
        return warned(
            "this machine has had NMIs that nobody claims: unknown_nmi_panic will panic it",
            next(x for x in facts.log or () if "Uhhuh" in x or "NMI received" in x).strip(),
            set_sysctls("zz-nmi", {"kernel.unknown_nmi_panic": "0"}),
        )
    if said:
        return warned(
            "an NMI that no operator sent can panic this machine: " + "; ".join(said),
            f"unknown_nmi_panic = {unknown_nmi}, nmi_watchdog = {watchdog}",
            set_sysctls("zz-nmi", {"kernel.nmi_watchdog": "0"})
            if "nmi_watchdog" in said[0]
            else "watch -d -n 60 grep NMI: /proc/interrupts",
        )
    return passed(
        "an NMI from the operator panics, and nothing else sends any",
        "nmi_watchdog runs: since 3.3 the kernel swallows what its counter leaves behind"
        if watchdog not in (None, "0")
        else f"unknown_nmi_panic = {unknown_nmi}",
    )


@check("nmi-counts", Priority.LOST)
def nmi_counts(facts: HostFacts) -> Answer:
    """Two looks at /proc/interrupts: who counts up while nothing happens?"""
    if facts.nmi_counts is None:
        if facts.machine and facts.machine not in X86:
            return skipped(f"{facts.machine} does not count NMIs")
        return unseen(facts, "the NMI counters")
    first, second = facts.nmi_counts
    grown = [
        f"CPU {cpu} +{after - before}"
        for cpu, (before, after) in enumerate(zip(first, second, strict=False))
        if after > before
    ]
    rate = sum(second) - sum(first)
    evidence = f"{sum(second)} in all" + (f"; {', '.join(grown[:8])}" if grown else "")
    if rate > 10 * len(second):
        return warned(
            f"{rate} NMIs in a second or two: perf is running, or hardware is unwell",
            evidence,
            "ps -C perf,operf,oprofiled -o pid,args; ipmitool sel list last 20",
        )
    if grown:
        return passed("NMIs come at the pace of the hard-lockup detector", evidence)
    return passed("no NMIs while we looked", evidence)


@check("nmi-apic", Priority.LOST)
def nmi_apic(facts: HostFacts) -> Answer:
    """Without a local APIC neither the watchdog's NMIs nor an operator's reach a CPU."""
    if facts.machine not in X86:
        return skipped(f"no local APIC on {facts.machine or 'this machine'}")
    off = [w for w in facts.cmdline or () if w in ("nolapic", "noapic", "nosmp", "disableapic")]
    if off:
        return warned(
            "the interrupt controller that delivers NMIs is switched off",
            f"{' '.join(off)} in /proc/cmdline",
            edit_command_line(facts, drop=off)
            or f"remove {' '.join(off)} from the kernel's command line",
        )
    built = facts.option("X86_LOCAL_APIC")
    if built is None:
        return unseen(facts, "whether the kernel has X86_LOCAL_APIC")
    if not built:
        return warned("the kernel was built without X86_LOCAL_APIC: NMIs do not arrive")
    return passed("the kernel has the APIC that delivers NMIs")
