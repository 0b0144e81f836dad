"""Arguments of the verbs that work on one machine, and the machine they mean."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kautopsy.drill.elsewhere import Reach
    from kautopsy.host.host import Host
    from kautopsy.host.inventory import Machine


def add_machine(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add HOST, ``--inventory``, ``-J`` and ``-o``."""
    parser.add_argument(
        "host",
        nargs="?" if optional else None,
        metavar="HOST",
        help="a name of the inventory, [user@]host for ssh, local, or lab:NAME",
    )
    parser.add_argument(
        "-i",
        "--inventory",
        type=Path,
        metavar="FILE",
        help="machines, their BMCs and consoles: TOML, or an Ansible inventory",
    )
    parser.add_argument("-J", "--jump", metavar="HOST[,HOST]", help="jump hosts, as for ssh")
    parser.add_argument(
        "-o",
        "--ssh-option",
        action="append",
        default=[],
        metavar="OPTION",
        help="for ssh -o, as Port=2222; repeatable",
    )


@contextmanager
def the_machine(arguments: argparse.Namespace) -> Iterator[Machine]:
    """The one machine that is meant; what the command line says wins over the inventory.

    ``lab:NAME`` may boot a machine first, which is thrown away when the block ends.
    """
    import msgspec

    from kautopsy.host.inventory import load

    with contextlib.ExitStack() as stack:
        if arguments.host.startswith("lab:"):
            from kautopsy.lab.machines.running import lab_machine

            machine = stack.enter_context(lab_machine(arguments.host))
            if getattr(arguments, "via", "") == "redfish":
                from kautopsy.lab.bmc.redfish import with_redfish

                machine = stack.enter_context(with_redfish(machine))
        else:
            machine = load(arguments.inventory).machine(arguments.host)
        yield msgspec.structs.replace(
            machine,
            jump=arguments.jump or machine.jump,
            options=(*arguments.ssh_option, *machine.options),
        )


def reach_server(arguments: argparse.Namespace, machine: Machine) -> Reach:
    """How the server is opened that ``machine`` saves its dumps on.

    By the inventory, if it knows it; else as the machine itself is reached.
    """

    @contextmanager
    def reach(server: str, port: int | None) -> Iterator[Host]:
        from kautopsy.host.inventory import load
        from kautopsy.host.target import open_host

        inventory = load(arguments.inventory)
        there = inventory.machine(server)
        known = server.rpartition("@")[2] in inventory.machines
        ports = (f"Port={port}",) if port is not None else ()
        with open_host(
            there.target,
            jump=there.jump if known else machine.jump,
            options=(*there.options, *ports),
        ) as host:
            yield host

    return reach


@contextmanager
def open_machine(machine: Machine) -> Iterator[Host]:
    """The machine itself; nothing is connected before it is used."""
    from kautopsy.host.target import open_host

    with open_host(machine.target, jump=machine.jump, options=machine.options) as host:
        yield host
