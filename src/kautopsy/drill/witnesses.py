"""Where no dump came: everything else that tells of the crash, and what it calls it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from kautopsy.capture.listing import Listing
from kautopsy.capture.witnesses import from_console, from_event_log, from_pstore
from kautopsy.drill.titles import title_of
from kautopsy.host.inventory import Machine
from kautopsy.host.ssh import SshHost
from kautopsy.model.capture import Witness
from kautopsy.model.errors import KautopsyError
from kautopsy.trigger.ipmi import IpmiWay
from kautopsy.trigger.ipmitool import Ipmitool, IpmitoolWay
from kautopsy.trigger.open_console import has_pyghmi
from kautopsy.trigger.records import records_of


@contextlib.contextmanager
def jump_host(machine: Machine) -> Iterator[SshHost | None]:
    """The host through which the machine's BMC is reached; None where it is reached from here."""
    bmc = machine.bmc
    if bmc is None or bmc.jump is None:
        yield None
        return
    *before, last = bmc.jump.split(",")
    with SshHost(
        last, jump=",".join(before) or None, options=bmc.jump_options, as_root=False
    ) as host:
        yield host


def witnesses(machine: Machine, listing: Listing | None) -> tuple[Witness, ...]:
    """pstore's records, the BMC's event log, and the console of the last trigger; each with the
    title of the crash it tells of.

    :param listing: what the machine answered; None if it did not
    """
    found = [*(from_pstore(listing) if listing is not None else ()), *_event_log(machine)]
    node = machine.nodename or machine.name
    for _path, record in records_of(node):
        if record.console is not None:
            found += from_console(Path(record.console))
        break
    return tuple(msgspec.structs.replace(one, title=title_of(one.text)) for one in found)


def _event_log(machine: Machine) -> tuple[Witness, ...]:
    """A BMC that does not answer is no witness, and no failure."""
    if machine.bmc is None:
        return ()
    with contextlib.suppress(KautopsyError), jump_host(machine) as jump:
        way: IpmiWay | IpmitoolWay
        if jump is None and has_pyghmi():
            way = IpmiWay(machine.bmc)
        else:
            way = IpmitoolWay(Ipmitool(machine.bmc, jump))
        return from_event_log(way.events(), f"event log of BMC {machine.bmc.address}")
    return ()
