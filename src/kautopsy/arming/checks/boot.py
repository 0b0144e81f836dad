"""Armed now and armed after the next boot, or the next kernel update, are three facts."""

from __future__ import annotations

from kautopsy.arming.bootloader.words import values_of
from kautopsy.arming.check import Answer, Priority, check, failed, passed, unknown, warned
from kautopsy.arming.distribution import family_of
from kautopsy.arming.sizes import MIB, asked_for, mib
from kautopsy.arming.sizing import sizing
from kautopsy.model.host import HostFacts, Loader


def _fix(facts: HostFacts) -> str:
    size = sizing(facts).recommended // MIB
    if facts.boot is not None and facts.boot.hypervisor and facts.boot.loader is Loader.GRUB2:
        # Xen reserves the memory; what Linux is told does not count.
        config = facts.boot.source
        make = "grub2-mkconfig" if "grub2" in config else "grub-mkconfig"
        edit = f's/^GRUB_CMDLINE_XEN_DEFAULT="/&crashkernel={size}M /'
        return f"sed -i '{edit}' /etc/default/grub && {make} -o {config} && reboot"
    return family_of(facts.os).set_crashkernel(facts, f"{size}M")


@check("next-boot-entry", Priority.IMPOSSIBLE)
def next_boot_entry(facts: HostFacts) -> Answer:
    """The entry that the boot loader takes next must ask for memory too."""
    if facts.boot is None:
        return unknown("no boot loader's files were found that kautopsy can read")
    values = values_of(facts.boot.arguments, "crashkernel")
    place = f"{facts.boot.title or 'the default entry'} in {facts.boot.source}"
    if not values:
        return failed("the next boot will not reserve memory", place, _fix(facts))
    said = f"crashkernel={' crashkernel='.join(values)}"
    ram = facts.memory.ram
    if ram is not None and "auto" not in values:
        size = asked_for(values, ram)
        if not size:
            return failed(
                f"{said} reserves nothing on this machine", f"{mib(ram)} of memory", _fix(facts)
            )
    return passed(f"the next boot asks for {said}", place)


@check("future-kernels", Priority.IMPOSSIBLE)
def future_kernels(facts: HostFacts) -> Answer:
    """A kernel that is installed later takes its arguments from a template."""
    if not facts.templates:
        return unknown("where future kernels get their arguments from was not found")
    bad = [t.source for t in facts.templates if not values_of(t.arguments, "crashkernel")]
    if bad:
        return warned(
            "the next kernel update will lose crashkernel=", f"not in {', '.join(bad)}", _fix(facts)
        )
    return passed(
        "future kernels will ask for memory too", ", ".join(t.source for t in facts.templates)
    )
