"""What resets the machine while it saves its dump."""

from __future__ import annotations

from kautopsy.arming.check import Answer, Priority, check, passed, skipped, unseen, warned
from kautopsy.arming.distribution import family_of
from kautopsy.model.host import HostFacts

_DEPENDENCIES = {"iTCO_wdt": ("lpc_ich",)}


@check("watchdog", Priority.LOST)
def watchdog(facts: HostFacts) -> Answer:
    """A running watchdog needs its driver in the capture initrd, and what that hangs on."""
    if facts.watchdogs is None:
        return unseen(facts, "the watchdogs")
    active = [dog for dog in facts.watchdogs if dog.active]
    if not active:
        return passed("no hardware watchdog runs", ", ".join(d.identity for d in facts.watchdogs))
    names = ", ".join(f"{d.name} {d.driver or '(built in)'} {d.timeout or '?'} s" for d in active)
    if facts.runtime_watchdog:
        names += f", RuntimeWatchdogSec={facts.runtime_watchdog}"
    if facts.image.modules is None:
        return warned(
            "a watchdog runs; whether the capture kernel stops it could not be seen",
            names,
            "kautopsy drill HOST",
        )
    wanted = {
        module
        for dog in active
        if dog.driver
        for module in (dog.driver, *_DEPENDENCIES.get(dog.driver, ()))
        if facts.modules is None or module in facts.modules
    }
    missing = sorted(wanted - set(facts.image.modules))
    if missing:
        return warned(
            f"a running watchdog will reset the machine mid-dump: no {', '.join(missing)} in the"
            " capture initrd",
            names,
            family_of(facts.os).include_modules(facts, missing),
        )
    return passed("the capture kernel can serve the watchdog that runs", names)


@check("hpwdt", Priority.LOST)
def hpwdt(facts: HostFacts) -> Answer:
    """drivers/watchdog/hpwdt.c: kdumptimeout 0 leaves the timer running while the dump is saved."""
    if facts.modules is None:
        return unseen(facts, "whether hpwdt is loaded")
    if "hpwdt" not in facts.modules:
        return skipped("no HPE watchdog")
    value = facts.hpwdt_kdumptimeout
    if value == 0:
        return warned(
            "the iLO's watchdog keeps running and resets the machine mid-dump",
            "hpwdt.kdumptimeout = 0",
            "echo 'options hpwdt kdumptimeout=-1' > /etc/modprobe.d/hpwdt.conf",
        )
    return passed(
        "the iLO's watchdog gives way to the dump",
        f"hpwdt.kdumptimeout = {'(not there)' if value is None else value}",
    )


def _tell_peers(facts: HostFacts) -> str:
    """What sends fence_kdump's messages while the dump is saved: kdump.conf(5), SUSE's kdump(5)."""
    if "/etc/kdump.conf" in family_of(facts.os).inputs:
        return (
            "pcs stonith create kdump fence_kdump pcmk_reboot_action=off &&"
            " echo 'fence_kdump_nodes PEER...' >> /etc/kdump.conf &&"
            " systemctl restart kdump.service"
        )
    if "/etc/sysconfig/kdump" in family_of(facts.os).inputs:
        send = "/usr/lib/fence_kdump_send -i 10 -p 7410 -c 1 PEER..."
        return (
            f"sed -i 's|^KDUMP_POSTSCRIPT=.*|KDUMP_POSTSCRIPT=\"{send}\"|' /etc/sysconfig/kdump &&"
            " mkdumprd -f && systemctl restart kdump.service"
        )
    return "configure fence_kdump, and have the capture kernel run fence_kdump_send"


@check("cluster-fencing", Priority.LOST)
def cluster_fencing(facts: HostFacts) -> Answer:
    """The other nodes see a dead node and power it off while it saves its dump."""
    if not facts.live and not facts.fencing:
        return skipped("no cluster is configured")
    if facts.fencing:
        return warned(
            "this is a cluster's node: its peers may fence it mid-dump",
            ", ".join(facts.fencing),
            _tell_peers(facts),
        )
    return passed("no cluster fences this machine")
