"""Is the capture kernel loaded, and will it be after the next boot?"""

from __future__ import annotations

from kautopsy.arming.check import Answer, Priority, check, failed, passed, skipped, unseen
from kautopsy.arming.distribution import family_of
from kautopsy.arming.sizes import MIB
from kautopsy.arming.sizing import sizing
from kautopsy.model.host import HostFacts


@check("image-loaded", Priority.IMPOSSIBLE)
def image_loaded(facts: HostFacts) -> Answer:
    """/sys/kernel/kexec_crash_loaded: necessary, and by far not all."""
    if facts.kexec.fadump:
        return passed("firmware-assisted dump is registered")
    if facts.kexec.loaded is None:
        if facts.kexec.supported is False:
            return failed(
                "no capture kernel is loaded: the kernel cannot", fix="see kernel-support"
            )
        return unseen(facts, "whether a capture kernel is loaded")
    if facts.kexec.loaded:
        return passed("a capture kernel is loaded", "/sys/kernel/kexec_crash_loaded = 1")
    family = family_of(facts.os)
    service = facts.service
    if facts.kexec.size == 0:
        fix = family.set_crashkernel(facts, f"{sizing(facts).recommended // MIB}M")
    elif service is None or not service.installed:
        fix = family.install(facts)
    elif service.active:
        fix = family.rebuild(facts)
    else:
        fix = family.enable(facts)
    return failed("no capture kernel is loaded", "/sys/kernel/kexec_crash_loaded = 0", fix)


@check("kdump-service", Priority.IMPOSSIBLE)
def kdump_service(facts: HostFacts) -> Answer:
    """Installed, not masked (hardening profiles mask it), enabled, switched on, and active."""
    family, service = family_of(facts.os), facts.service
    if service is None:
        return skipped("this distribution has no kdump service that kautopsy knows")
    name = f"{service.unit}.service"
    if service.masked:
        return failed(f"{name} is masked", "hardening profiles do that", family.enable(facts))
    if not service.installed:
        return failed("kdump is not installed", f"no {name}", family.install(facts))
    if facts.settings.enabled is False:
        return failed(
            "kdump is switched off", f"USE_KDUMP=0 in {facts.settings.source}", family.enable(facts)
        )
    if service.enabled is False:
        return failed(f"{name} does not start at boot", "it is disabled", family.enable(facts))
    if service.active is False and facts.kexec.loaded is not True:
        return failed(
            f"{name} is enabled and not active",
            f"result: {service.result}" if service.result else "",
            f"systemctl restart {name}; journalctl -u {name}",
        )
    if service.enabled is None:
        return unseen(facts, f"whether {name} starts at boot")
    return passed(f"{name} starts at boot", "active" if service.active else "enabled")


@check("early-kdump", Priority.OPERATION)
def early_kdump(facts: HostFacts) -> Answer:
    """Crashes before the service runs leave no dump but with rd.earlykdump, or in pstore."""
    if facts.cmdline is None:
        return unseen(facts, "whether crashes of an early boot are caught")
    if any(word == "rd.earlykdump" for word in facts.cmdline):
        return passed("crashes while it boots are captured too", "rd.earlykdump")
    if facts.pstore is not None and facts.modules is not None:
        backends = {"efi_pstore", "ramoops", "erst_dbg"} & set(facts.modules)
        if backends:
            return passed("crashes while it boots leave their log in pstore", ", ".join(backends))
    return skipped("crashes before the kdump service runs leave no dump")
