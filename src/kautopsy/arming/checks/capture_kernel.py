"""How the capture kernel is started, and what happens if it fails."""

from __future__ import annotations

from kautopsy.arming.bootloader.words import values_of
from kautopsy.arming.check import Answer, Priority, check, passed, skipped, unseen, warned
from kautopsy.arming.distribution import family_of
from kautopsy.arming.remedies import edit_command_line
from kautopsy.model.host import HostFacts

_SANE = ("nr_cpus=", "maxcpus=")


@check("capture-cmdline", Priority.LOST)
def capture_cmdline(facts: HostFacts) -> Answer:
    """One CPU and reset devices; without them drivers meet hardware in a state they do not know."""
    settings, family = facts.settings, family_of(facts.os)
    if not settings.source:
        return skipped("no kdump configuration says what the capture kernel is told")
    if not settings.append and not settings.base:
        return skipped("the distribution's own defaults are used")
    words = (*settings.append, *settings.base.split())
    missing = []
    if not any(word.startswith(_SANE) for word in words):
        missing.append("nr_cpus=1")
    if "reset_devices" not in words:
        missing.append("reset_devices")
    if missing:
        return warned(
            f"the capture kernel is started without {' '.join(missing)}",
            f"{settings.source}: {' '.join(words)}",
            f"{family.capture_words(' '.join(missing))} && {family.rebuild(facts)}",
        )
    return passed("the capture kernel starts with one CPU and resets devices", " ".join(words))


@check("console", Priority.LOST)
def console(facts: HostFacts) -> Answer:
    """A dump that fails says why on the console only; a BMC shows the serial one."""
    if facts.consoles is None:
        return unseen(facts, "the consoles")
    serial = [c for c in facts.consoles if c.startswith(("ttyS", "ttyAMA", "hvc", "ttysclp"))]
    if not serial:
        return warned(
            "no serial console: nobody will see why a capture fails",
            f"consoles: {', '.join(facts.consoles) or 'none'}",
            edit_command_line(facts, add=["console=tty0", "console=ttyS0,115200"])
            or "add console=ttyS0,115200 (the port that the BMC's SOL shows) to the command line",
        )
    speeds = [
        value.split(",")[1]
        for value in values_of(facts.cmdline or (), "console")
        if value.startswith("ttyS") and "," in value
    ]
    if facts.sol_speed and speeds:
        sol = facts.sol_speed.replace(".", "")
        # "115.2" kbps are 115200 baud.
        if not any(speed.startswith(sol) for speed in speeds):
            return warned(
                f"the console runs at {speeds[-1]} baud, the BMC's SOL at {facts.sol_speed} kbps",
                f"consoles: {', '.join(facts.consoles)}",
                f"ipmitool sol set volatile-bit-rate {facts.sol_speed}",
            )
    return passed("there is a serial console", ", ".join(facts.consoles))


@check("failure-action", Priority.DEGRADED)
def failure_action(facts: HostFacts) -> Answer:
    """A capture kernel that cannot save must not wait for somebody at the console."""
    action = facts.settings.failure_action
    if not facts.settings.source:
        return skipped("no kdump configuration says what happens when saving fails")
    if action in ("shell", "dump_to_rootfs") or action.startswith("dump_to_rootfs"):
        return warned(
            f"where saving fails the machine stays down: failure_action {action}"
            if action == "shell"
            else "where saving fails the dump goes to the root file system and may fill it",
            facts.settings.source,
            f"sed -i -E 's/^(failure_action|default) .*/\\1 reboot/' {facts.settings.source} && "
            + family_of(facts.os).rebuild(facts),
        )
    return passed("where saving fails the machine goes on", action or "the default")
