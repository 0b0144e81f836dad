"""The console that the inventory gives a machine."""

from __future__ import annotations

import importlib.util

from kautopsy.host.inventory import ConsoleSpec, Machine
from kautopsy.host.ssh import SshHost
from kautopsy.model.errors import UsageError
from kautopsy.trigger.console.reopened import Reopened
from kautopsy.trigger.console.source import FileSource, ProgramSource, SocketSource, Source
from kautopsy.trigger.ipmi import PyghmiConsole
from kautopsy.trigger.ipmitool import Ipmitool, ipmitool_console


def has_pyghmi() -> bool:
    """Whether the extra ``bmc`` is installed."""
    return importlib.util.find_spec("pyghmi") is not None


def open_console(machine: Machine, jump: SshHost | None) -> Source | None:
    """The console, not yet started; None if the machine has none.

    A machine with a BMC and no console of its own has the BMC's serial over LAN.

    :param jump: the host through which the BMC is reached, if it is
    :raises UsageError: the inventory asks for what does not go together
    """
    spec = machine.console
    if spec is None:
        if machine.bmc is None:
            return None
        spec = ConsoleSpec(sol="auto")
    if spec.sol:
        return _sol(machine, spec.sol, jump)
    if spec.ssh:
        return _over_ssh(spec)
    if spec.libvirt:
        return _libvirt(machine)
    if spec.file:
        return FileSource(spec.file, spec.speed)
    if spec.command:
        return ProgramSource(list(spec.command), " ".join(spec.command))
    return SocketSource(unix=spec.unix, tcp=spec.tcp)


def is_the_bmcs(machine: Machine) -> bool:
    """Whether the console comes from the machine's own BMC: what it shows proves whose that is."""
    spec = machine.console
    return machine.bmc is not None and (spec is None or bool(spec.sol))


def _sol(machine: Machine, how: str, jump: SshHost | None) -> Source:
    bmc = machine.bmc
    if bmc is None:
        raise UsageError(
            "has no BMC, and its console shall be the BMC's",
            thing=machine.name,
            hint="add [hosts.NAME.bmc] to the inventory",
        )
    if how not in ("auto", "pyghmi", "ipmitool"):
        raise UsageError(f"no such way to serial over LAN: {how}", thing=machine.name)
    # pyghmi takes suites 17 and 3 only, and its packets go through no ssh.
    usable = jump is None and bmc.cipher in (None, 3, 17) and has_pyghmi()
    if how == "pyghmi" or (how == "auto" and usable):
        if jump is not None:
            raise UsageError(
                "pyghmi's packets go through no jump host",
                thing=machine.name,
                hint='console = { sol = "ipmitool" } runs ipmitool there',
            )
        return Reopened(lambda: PyghmiConsole(bmc))
    return Reopened(lambda: ipmitool_console(Ipmitool(bmc, jump)))


def _over_ssh(spec: ConsoleSpec) -> Source:
    options = ("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "EscapeChar=none")
    argv = ["ssh", "-tt", *options, "--", spec.ssh, *spec.command]
    return Reopened(lambda: ProgramSource(argv, f"console of {spec.ssh}"))


def _libvirt(machine: Machine) -> Source:
    domain = machine.libvirt
    if domain is None:
        raise UsageError("is no libvirt domain, and its console shall be one's", thing=machine.name)
    argv = ["virsh", "-c", domain.uri, "console", "--force", "--domain", domain.domain]
    # virsh's escape is ^].
    return ProgramSource(argv, f"virsh console {domain.domain}", quit_keys=b"\x1d")
