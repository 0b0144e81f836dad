"""Which ways there are for a machine."""

from __future__ import annotations

from kautopsy.host.host import Host
from kautopsy.host.inventory import Machine
from kautopsy.host.ssh import SshHost
from kautopsy.model.errors import KautopsyError, UsageError
from kautopsy.model.trigger import WayReport
from kautopsy.trigger.console.source import Source
from kautopsy.trigger.ipmi import IpmiWay
from kautopsy.trigger.ipmitool import Ipmitool, IpmitoolWay
from kautopsy.trigger.look import Look
from kautopsy.trigger.obedience import would_obey
from kautopsy.trigger.open_console import has_pyghmi
from kautopsy.trigger.programs import CloudWay, LibvirtWay
from kautopsy.trigger.qmp import QmpWay
from kautopsy.trigger.redfish import RedfishWay
from kautopsy.trigger.sysrq import BreakWay, SysrqWay
from kautopsy.trigger.way import Way

NAMES = (
    "sysrq",
    "break",
    "ipmi",
    "ipmitool",
    "redfish",
    "qmp",
    "libvirt",
    "aws",
    "gcloud",
    "az",
    "openstack",
)
"""What ``--via`` takes."""


def ways_for(
    machine: Machine, host: Host, look: Look | None, jump: SshHost | None
) -> tuple[Way, ...]:
    """Every way that the inventory, and the machine's answer, leave open; nothing is asked yet.

    :param jump: the host through which the BMC is reached, if it is
    """
    ways: list[Way] = [SysrqWay(host, look.node if look else machine.nodename, look)]
    if machine.bmc is not None:
        tool = IpmitoolWay(Ipmitool(machine.bmc, jump))
        # pyghmi's packets go through no ssh: behind a jump host, ipmi is ipmitool there.
        if jump is None and has_pyghmi():
            ways.append(IpmiWay(machine.bmc))
        ways += [tool, RedfishWay(machine.bmc, jump)]
    if machine.qmp:
        ways.append(QmpWay(machine.qmp))
    if machine.libvirt is not None:
        ways.append(LibvirtWay(machine.libvirt))
    if machine.cloud is not None:
        ways.append(CloudWay(machine.cloud))
    return tuple(ways)


def pick(name: str, ways: tuple[Way, ...], machine: Machine, console: Source | None) -> Way:
    """The way that ``--via`` names.

    :raises UsageError: the machine has no such way
    """
    if name == "break":
        if console is None:
            raise UsageError(
                "has no console to send BREAK to", thing=machine.name, slug="no-such-way"
            )
        bmc = next((way for way in ways if way.name in ("ipmi", "ipmitool")), None)
        return BreakWay(console, console.where, bmc.whose() if bmc is not None else None)
    wanted = {name, "ipmitool"} if name == "ipmi" else {name}
    found = next((way for way in ways if way.name in wanted), None)
    if found is None:
        raise UsageError(
            f"has no way called {name}",
            thing=machine.name,
            hint=f"it has {', '.join(way.name for way in ways)}; others need the inventory to say"
            " where its BMC, its domain or its instance is",
            slug="no-such-way",
        )
    return found


def explain(ways: tuple[Way, ...], look: Look | None) -> tuple[WayReport, ...]:
    """Each way: would it work, and would the kernel obey? Asked without doing anything."""
    reports = []
    for way in ways:
        obedience = would_obey(way.effect, look)
        try:
            ability = way.can()
            possible, why = ability.possible, ability.why
        except KautopsyError as error:
            possible, why = False, error.what + (f"; {error.hint}" if error.hint else "")
        reports.append(
            WayReport(
                name=way.name,
                what=way.what,
                possible=possible,
                why=why,
                obeyed=obedience.obeyed,
                obeyed_why=obedience.why,
            )
        )
    return tuple(reports)
