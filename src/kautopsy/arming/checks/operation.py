"""What an operator needs around a crash: a proof that it works, a BMC, room for small witnesses."""

from __future__ import annotations

from kautopsy.arming.check import Answer, Priority, check, passed, skipped, unseen, warned
from kautopsy.model.host import HostFacts, TargetKind

_OLD_DRILL_DAYS = 180
_GENERIC_NAMES = ("localhost", "localhost.localdomain", "(none)", "")


@check("last-drill", Priority.DEGRADED)
def last_drill(facts: HostFacts) -> Answer:
    """Only a crash on purpose proves it; a new kernel or initrd makes the proof stale."""
    drill, again = facts.last_drill, f"kautopsy drill {facts.node or 'HOST'}"
    if drill is None:
        if not facts.live:
            return unseen(facts, "whether a crash was ever rehearsed")
        return warned(
            "nobody has ever proved that this machine leaves a dump",
            fix=again,
        )
    if not drill.passed:
        return warned("the last drill left no dump", drill.source, again)
    if drill.release and facts.release and drill.release != facts.release:
        return warned(f"the last drill was with {drill.release}", drill.source, again)
    image = facts.image.initrd
    if image is not None and image.mtime > drill.when:
        return warned("the capture initrd was rebuilt after the last drill", drill.source, again)
    newer = list(facts.image.newer)
    if (facts.settings.changed or 0) > drill.when and facts.settings.source not in newer:
        newer.append(facts.settings.source)
    if newer:
        changed = ", ".join(newer)
        return warned("the configuration changed after the last drill", changed, again)
    days = (facts.now - drill.when) // 86400 if facts.now is not None else 0
    if days > _OLD_DRILL_DAYS:
        return warned(f"the last drill is {days} days old", drill.source, again)
    return passed(f"a drill {days} days ago left a dump", drill.source)


@check("out-of-band", Priority.OPERATION)
def out_of_band(facts: HostFacts) -> Answer:
    """A BMC can send an NMI to a machine that answers nobody."""
    if facts.bmc is None:
        return unseen(facts, "whether there is a BMC")
    if facts.bmc:
        return passed("there is a BMC", "/dev/ipmi0")
    if facts.virtual not in (None, "none"):
        return skipped("the hypervisor is this guest's BMC")
    return skipped("no BMC is visible from inside (/dev/ipmi0)")


@check("pstore", Priority.OPERATION)
def pstore(facts: HostFacts) -> Answer:
    """Old records fill the small store that is the witness where no dump came."""
    if facts.pstore is None:
        return unseen(facts, "pstore")
    records = [name for name in facts.pstore if "-" in name and "cannot" not in name]
    if records:
        return warned(
            f"{len(records)} records of earlier crashes wait in /sys/fs/pstore",
            ", ".join(records[:3]),
            "systemctl start systemd-pstore.service",
        )
    return passed("pstore holds no old records")


@check("identity", Priority.OPERATION)
def identity(facts: HostFacts) -> Answer:
    """Dumps of many machines meet on one server: each needs a name of its own."""
    if not facts.node:
        return unseen(facts, "the machine's name")
    if facts.target.kind is TargetKind.LOCAL:
        return passed("dumps stay on this machine", facts.node)
    if facts.node in _GENERIC_NAMES:
        return warned(
            f"its name, {facts.node}, is no name: its dumps look like others'",
            fix="hostnamectl set-hostname NAME",
        )
    return passed("dumps on the server can be told apart", facts.node)


@check("hypervisor", Priority.OPERATION)
def hypervisor(facts: HostFacts) -> Answer:
    """A hypervisor that restarts panicked guests takes the capture kernel's time away."""
    if facts.virtual is None:
        return unseen(facts, "whether this is a guest")
    if facts.virtual == "none":
        return skipped("no hypervisor is above this machine")
    if "pvpanic" in (facts.modules or ()):
        return warned(
            f"this {facts.virtual} guest tells its hypervisor of a panic, which may restart it",
            "pvpanic is loaded",
            "libvirt: <on_crash>preserve</on_crash>; vSphere: VM monitoring; clouds: auto-healing",
        )
    return passed(f"a {facts.virtual} guest; nothing tells its hypervisor of a panic")


@check("retention", Priority.OPERATION)
def retention(facts: HostFacts) -> Answer:
    """How many dumps are kept before the disk is full."""
    if not facts.settings.source:
        return skipped("no kdump configuration says how many dumps are kept")
    if facts.settings.keep and facts.settings.keep != "0":
        return passed(f"at most {facts.settings.keep} dumps are kept", facts.settings.source)
    return skipped("dumps are kept until somebody deletes them")
