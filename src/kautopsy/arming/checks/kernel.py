"""Can this kernel start another one at all?"""

from __future__ import annotations

from kautopsy.arming.check import Answer, Priority, check, failed, passed, skipped, unseen, warned
from kautopsy.arming.distribution import family_of
from kautopsy.model.host import HostFacts


@check("own-kernel", Priority.IMPOSSIBLE)
def own_kernel(facts: HostFacts) -> Answer:
    """A container shares its host's kernel: the host is the one to ask."""
    if facts.container is None:
        return unseen(facts, "whether this is a container")
    if facts.container:
        return failed(
            f"this is a container ({facts.container}): its kernel belongs to the host",
            fix="kautopsy doctor THE-HOST",
        )
    return passed("the machine has its own kernel")


@check("kernel-support", Priority.IMPOSSIBLE)
def kernel_support(facts: HostFacts) -> Answer:
    """CONFIG_KEXEC or KEXEC_FILE to load it, CRASH_DUMP and PROC_VMCORE to be it."""
    missing = [name for name in ("CRASH_DUMP", "PROC_VMCORE") if facts.option(name) is False]
    if facts.option("KEXEC") is False and facts.option("KEXEC_FILE") is False:
        missing.insert(0, "KEXEC")
    fix = "boot the distribution's own kernel"
    if facts.kexec.supported is False:
        return failed(
            "this kernel cannot load a capture kernel",
            "/sys/kernel/kexec_crash_loaded does not exist"
            + (f"; not built with {', '.join(missing)}" if missing else ""),
            fix,
        )
    if missing:
        return failed(f"the kernel was built without {', '.join(missing)}", facts.release, fix)
    if facts.kexec.supported is None and facts.config is None:
        return unseen(facts, "the kernel's support for kexec")
    if facts.option("RELOCATABLE") is False and facts.machine == "x86_64":
        return warned(
            "the kernel is not relocatable: it cannot capture its own crash",
            "CONFIG_RELOCATABLE is not set",
            "boot the distribution's own kernel",
        )
    return passed("the kernel supports kexec and crash dumps", facts.release)


@check("kexec-disabled", Priority.IMPOSSIBLE)
def kexec_disabled(facts: HostFacts) -> Answer:
    """kernel.kexec_load_disabled is a latch: it must be set after the image was loaded."""
    value = facts.sysctl("kernel.kexec_load_disabled")
    limit = facts.sysctl("kernel.kexec_load_limit_panic")
    shut = "kexec_load_disabled is 1" if value == "1" else ""
    if limit == "0":
        shut = shut or "kexec_load_limit_panic is 0"
    if shut and not facts.kexec.loaded:
        return failed(
            "loading a capture kernel is forbidden until the next boot",
            f"kernel.{shut}",
            "sed -i '/kexec_load/s/^/#/' $(grep -rls kexec_load /etc/sysctl.d /etc/sysctl.conf)"
            " && reboot",
        )
    if shut:
        return warned(
            "the image is loaded and can no longer be replaced (new kernel, hotplug)",
            f"kernel.{shut}",
        )
    if value is None:
        return (
            unseen(facts, "kernel.kexec_load_disabled")
            if not facts.live
            else skipped("this kernel has no kernel.kexec_load_disabled")
        )
    return passed("kexec may load images", f"kernel.kexec_load_disabled = {value}")


@check("lockdown", Priority.IMPOSSIBLE)
def lockdown(facts: HostFacts) -> Answer:
    """Locked down, only kexec_file_load(2) with a signed image works (security/lockdown)."""
    mode, secure = facts.kexec.lockdown, facts.kexec.secure_boot
    if mode is None and any("Kernel is locked down" in line for line in facts.log or ()):
        mode = "integrity"  # at least; securityfs is not mounted
    locked = mode in ("integrity", "confidentiality")
    evidence = ", ".join(
        [f"lockdown: {mode}"] * (mode is not None)
        + [f"Secure Boot: {'on' if secure else 'off'}"] * (secure is not None)
    )
    if mode is None and secure is None:
        return unseen(facts, "lockdown and Secure Boot")
    if (locked or secure) and facts.kexec.loaded is False:
        if facts.option("KEXEC_FILE") is False:
            return failed(
                "the kernel is locked down and has no kexec_file_load",
                evidence,
                "boot a kernel with CONFIG_KEXEC_FILE and CONFIG_KEXEC_SIG",
            )
        if facts.settings.kexec_file is False:
            return failed(
                "the kernel is locked down and kdump is told to use the old system call",
                evidence,
                r"sed -E -i '/KEXEC/s/(^|[\" =])-c([\" ]|$)/\1-s\2/' /etc/sysconfig/kdump && "
                + family_of(facts.os).rebuild(facts),
            )
    if locked or secure:
        return passed("locked down; images are checked for their signature", evidence)
    return passed("nothing is locked down", evidence)


@check("kptr-restrict", Priority.DEGRADED)
def kptr_restrict(facts: HostFacts) -> Answer:
    """With 2 kexec cannot read the kernel's addresses from /proc/kallsyms (kexec-kdump-howto)."""
    value = facts.sysctl("kernel.kptr_restrict")
    if value is None:
        return unseen(facts, "kernel.kptr_restrict")
    if value == "2":
        return warned(
            "kernel addresses are hidden from root too: loading can fail with KASLR",
            "kernel.kptr_restrict = 2",
            "sysctl -w kernel.kptr_restrict=1",
        )
    return passed("kexec can see the kernel's addresses", f"kernel.kptr_restrict = {value}")


@check("hotplug", Priority.LOST)
def hotplug(facts: HostFacts) -> Answer:
    """What describes memory and CPUs to the capture kernel is made when it is loaded."""
    if facts.kexec.loaded is False or facts.kexec.supported is False:
        return skipped("no image is loaded that could grow stale")
    if facts.hotplug is None:
        return unseen(facts, "who reloads the image after hotplug")
    if {"cpu", "memory"} & set(facts.hotplug):
        return passed("the kernel keeps the image in step with hotplug", ", ".join(facts.hotplug))
    if facts.hotplug:
        return passed("udev reloads the image after hotplug", facts.hotplug[0])
    if facts.virtual in (None, "none"):
        return skipped("CPUs and memory of this machine are not plugged while it runs")
    return warned(
        "memory added to this guest would be missing in a dump",
        "no crash_hotplug of the kernel, no udev rule",
        family_of(facts.os).rebuild(facts),
    )
