"""What an inventory would say of a machine of the lab: all verbs take it like any other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from kautopsy.host import inventory
from kautopsy.host.secrets import Secret
from kautopsy.lab.bmc.simulator import Bmc


def inventory_entry(
    name: str,
    *,
    nodename: str,
    uuid: UUID,
    options: Sequence[str],
    qmp: Path,
    console: Path,
    bmc: Bmc | None,
    jump: str | None = None,
) -> inventory.Machine:
    """The entry.

    :param options: for ``ssh -o``
    :param qmp: socket of QEMU's machine protocol; it serves one client at a time
    :param console: socket of the serial port, where there is no BMC to reach it over
    :param jump: from where the BMC is reached, if not from here
    """
    controller, spec = None, inventory.ConsoleSpec(unix=str(console))
    if bmc is not None:
        account = bmc.config.accounts[0]
        controller = inventory.Bmc(
            address=bmc.address,
            port=bmc.port,
            user=account.user,
            password=Secret(file=str(bmc.password_file)),
            jump=jump,
            # ipmi_sim knows no other, and ipmitool waits ten seconds a command to find that out.
            cipher=3,
        )
        spec = inventory.ConsoleSpec(sol="auto")
    return inventory.Machine(
        name=name,
        ssh=name.removeprefix("lab:"),
        options=tuple(options),
        nodename=nodename,
        uuid=str(uuid),
        bmc=controller,
        console=spec,
        qmp=str(qmp),
    )
