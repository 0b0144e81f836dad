"""Is memory set aside for the capture kernel: asked for, given, enough?"""

from __future__ import annotations

from kautopsy.arming.bootloader.words import values_of
from kautopsy.arming.check import Answer, Priority, check, failed, passed, skipped, unseen, warned
from kautopsy.arming.distribution import family_of
from kautopsy.arming.distribution.family import major
from kautopsy.arming.distribution.redhat import RedHat
from kautopsy.arming.sizes import MIB, asked_for, mib
from kautopsy.arming.sizing import sizing
from kautopsy.model.host import HostFacts


def _fix(facts: HostFacts) -> str:
    size = sizing(facts).recommended // MIB
    return family_of(facts.os).set_crashkernel(facts, f"{size}M")


@check("crashkernel-asked", Priority.IMPOSSIBLE)
def crashkernel_asked(facts: HostFacts) -> Answer:
    """crashkernel= on the running kernel's command line."""
    if facts.cmdline is None:
        return unseen(facts, "the kernel's command line")
    values = values_of(facts.cmdline, "crashkernel")
    if values:
        return passed("this boot asked for memory", f"crashkernel={' crashkernel='.join(values)}")
    if facts.kexec.size:
        return passed("memory is reserved without being asked for", mib(facts.kexec.size))
    return failed(
        "the running kernel was not asked to reserve memory for a capture kernel",
        "no crashkernel= in /proc/cmdline",
        _fix(facts),
    )


@check("crashkernel-auto", Priority.IMPOSSIBLE)
def crashkernel_auto(facts: HostFacts) -> Answer:
    """``auto`` is a patch of el6, el7 and el8 kernels; others: "memory value expected", no byte."""
    places = [("/proc/cmdline", facts.cmdline or ())]
    if facts.boot:
        places.append((facts.boot.source, facts.boot.arguments))
    places += [(template.source, template.arguments) for template in facts.templates]
    found = [source for source, words in places if "auto" in values_of(words, "crashkernel")]
    if not found:
        return passed("nobody relies on crashkernel=auto")
    knows = (
        isinstance(family_of(facts.os), RedHat)
        and facts.os is not None
        and facts.os.id != "fedora"
        and 6 <= major(facts.os) <= 8
    )
    if not knows:
        return failed(
            "crashkernel=auto reserves nothing on this kernel",
            f"in {', '.join(found)}; only kernels of el6 to el8 know it",
            _fix(facts),
        )
    total = facts.memory.ram
    if total is not None and total < 2048 * MIB and not facts.kexec.size:
        return failed(
            "crashkernel=auto reserves nothing on a machine this small",
            f"{mib(total)} of memory, in {found[0]}",
            _fix(facts),
        )
    return passed("crashkernel=auto is known to this kernel", found[0])


@check("crashkernel-reserved", Priority.IMPOSSIBLE)
def crashkernel_reserved(facts: HostFacts) -> Answer:
    """What was asked for may not have been given: too fragmented, malformed, below no range."""
    size, iomem = facts.kexec.size, facts.kexec.iomem
    if facts.kexec.fadump:
        return passed("firmware-assisted dump is registered")
    if size is None:
        if facts.kexec.supported is False:
            return failed("nothing is reserved: the kernel cannot", fix="see kernel-support")
        return unseen(facts, "the reservation")
    if size == 0 or iomem == 0:
        asked = values_of(facts.cmdline or (), "crashkernel")
        told = [line for line in facts.log or () if "crash" in line.lower()]
        evidence = "/sys/kernel/kexec_crash_size is 0"
        if size:
            evidence = f"kexec_crash_size is {size}, but /proc/iomem has no Crash kernel"
        if told:
            evidence += f"; the kernel says: {told[-1].strip()}"
        return failed(
            f"crashkernel={asked[-1]} was asked for and nothing was reserved"
            if asked
            else "no memory is reserved for a capture kernel",
            evidence,
            _fix(facts),
        )
    return passed(f"{mib(size)} are reserved", f"/sys/kernel/kexec_crash_size = {size}")


@check("crashkernel-size", Priority.LOST)
def crashkernel_size(facts: HostFacts) -> Answer:
    """Too little lets the image load, and every tool say ready: the capture kernel then dies."""
    size, needs = facts.kexec.size, sizing(facts)
    if facts.kexec.fadump:
        return skipped("firmware-assisted dump needs no estimate")
    asked = False
    if not size and not facts.live and facts.boot and facts.memory.ram:
        size = asked_for(values_of(facts.boot.arguments, "crashkernel"), facts.memory.ram)
        asked = True
    if size is None:
        return unseen(facts, "how much is reserved")
    if size == 0:
        return failed("nothing is reserved", f"{needs.recommended // MIB}M are wanted", _fix(facts))
    have = f"{mib(size)} {'are asked for' if asked else 'are reserved'}"
    estimate = needs.estimate
    if estimate is not None and size < estimate:
        return failed(
            f"{have}, the capture kernel needs about {mib(estimate)}: it will run out of memory",
            needs.explained(),
            _fix(facts),
        )
    if facts.memory.kernel and estimate is None and size < facts.memory.kernel + 24 * MIB:
        return failed(
            f"{have}, the kernel alone takes {mib(facts.memory.kernel)}: it will run out of memory",
            fix=_fix(facts),
        )
    table = needs.table
    if table is not None and size < table:
        return warned(
            f"{have}, {mib(table)} are recommended for this machine",
            needs.explained() or "the initrd could not be seen: no estimate",
            _fix(facts),
        )
    if estimate is None and table is None:
        return warned(
            f"{have}; whether that is enough cannot be told without the capture initrd",
            fix="kautopsy drill HOST",
        )
    return passed(f"{have}, which is enough", needs.explained() or f"table: {mib(table or 0)}")


@check("crashkernel-adders", Priority.LOST)
def crashkernel_adders(facts: HostFacts) -> Answer:
    """Encrypted memory, 64 KiB pages, Mellanox cards and LUKS need more than tables say."""
    needs = sizing(facts)
    if not needs.adders:
        return passed("nothing here needs more memory than usual")
    words = ", ".join(f"{a.what} +{mib(a.count)} ({a.why})" for a in needs.adders)
    if facts.kexec.size is None:
        return unseen(facts, f"whether the reservation allows for {words}")
    least = max(needs.table or 0, needs.estimate or 0) + sum(a.count for a in needs.adders)
    if facts.kexec.size < least:
        return warned(
            f"{mib(facts.kexec.size)} may be too little here: {mib(least)} are wanted",
            words,
            _fix(facts),
        )
    return passed("the reservation allows for what is special here", words)
