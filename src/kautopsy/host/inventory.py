"""The machines of a site: how each is reached, its BMC, its console, its names.

A TOML file; ``docs/inventory.md`` is its manual. What it says of a machine wins over what the name
alone would mean; a machine that is not in it is ``[user@]host`` for ssh, and has no BMC.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from kautopsy.host.secrets import Secret
from kautopsy.model.errors import UnreadableError, UsageError

INVENTORY_VARIABLE = "KAUTOPSY_INVENTORY"
_NAME = re.compile(r"[\w.:@-]+")


class Bmc(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A management controller.

    :param jump: the host from which it can be reached, as ``ssh -J`` takes it
    :param jump_options: for ``ssh -o``, on the way to the jump host
    :param cipher: IPMI cipher suite; None: 17, then 3
    :param privilege: of the session: ``administrator``, ``operator`` or ``user``
    :param redfish: the address of its Redfish service, ``https://ADDRESS`` by default
    :param system: the path or the identity of the ComputerSystem, where it has several
    :param ca: a file of certificates that its own is verified against
    :param verify: False takes any certificate: only for a network that nobody else is on
    """

    address: str
    user: str = ""
    password: Secret | None = None
    jump: str | None = None
    jump_options: tuple[str, ...] = ()
    port: int = 623
    cipher: int | None = None
    privilege: str = "administrator"
    redfish: str = ""
    system: str = ""
    ca: str = ""
    verify: bool = True


class ConsoleSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a machine's console is read; exactly one is given.

    :param sol: the BMC's serial over LAN, by ``pyghmi`` or ``ipmitool``; ``auto`` chooses
    :param ssh: a host whose login or ``command`` is the console (a console server, a BMC's shell)
    :param unix: a socket, as QEMU makes it
    :param tcp: ``host:port``, raw or telnet
    :param file: a file that grows, or a terminal device
    :param command: what to run; for ``ssh``, there, else here
    :param speed: of a terminal device, baud
    """

    sol: str = ""
    ssh: str = ""
    unix: str = ""
    tcp: str = ""
    file: str = ""
    libvirt: bool = False
    command: tuple[str, ...] = ()
    speed: int = 115200


class Libvirt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A libvirt domain; ``uri`` as ``qemu+ssh://root@node/system``."""

    domain: str
    uri: str = "qemu:///system"


class Cloud(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An instance of a cloud, as its command line tool names it.

    :param kind: ``aws``, ``gcloud``, ``az`` or ``openstack``
    :param group: Azure's resource group
    :param profile: AWS's profile, OpenStack's ``--os-cloud``
    """

    kind: str
    instance: str
    region: str = ""
    zone: str = ""
    project: str = ""
    group: str = ""
    profile: str = ""


class Machine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A machine, as far as anybody has written it down.

    :param name: what users call it
    :param ssh: where ssh finds it; empty: its name
    :param jump: jump hosts, as ``ssh -J`` takes them
    :param options: for ``ssh -o``
    :param nodename: what ``uname -n`` says on it
    :param serial: of the system, as DMI and the BMC give it
    :param uuid: of the system, as DMI and the BMC give it
    :param qmp: the path of QEMU's machine protocol's socket
    :param dumps: where its dumps are, beside the usual places
    """

    name: str = ""
    ssh: str = ""
    jump: str | None = None
    options: tuple[str, ...] = ()
    nodename: str = ""
    serial: str = ""
    uuid: str = ""
    bmc: Bmc | None = None
    console: ConsoleSpec | None = None
    qmp: str = ""
    libvirt: Libvirt | None = None
    cloud: Cloud | None = None
    dumps: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """What :func:`kautopsy.host.target.open_host` takes."""
        return self.ssh or self.name


@dataclass(frozen=True)
class Inventory:
    """Machines by name; :meth:`machine` makes one up where the name is not in it."""

    machines: dict[str, Machine] = field(default_factory=dict)
    source: str = ""

    def machine(self, name: str) -> Machine:
        """The machine that ``name`` stands for.

        :raises UsageError: it is a pattern, or several names: nothing here works on more than one
        """
        if known := self.machines.get(name):
            return known
        user, _, host = name.rpartition("@")
        if (known := self.machines.get(host)) and user:
            return msgspec.structs.replace(known, ssh=_with_user(known.target, user))
        if not name.startswith("tree:") and not _NAME.fullmatch(name):
            raise UsageError(
                "is no name of one machine", thing=name, slug="bad-host", hint="name exactly one"
            )
        return Machine(name=name)


def _with_user(target: str, user: str) -> str:
    return f"{user}@{target.rpartition('@')[2]}"


def default_path() -> Path:
    """``$KAUTOPSY_INVENTORY``, or inventory.toml below ``$XDG_CONFIG_HOME/kautopsy``."""
    if named := os.environ.get(INVENTORY_VARIABLE):
        return Path(named)
    base = os.environ.get("XDG_CONFIG_HOME", "")
    root = Path(base) if base.startswith("/") else Path("~/.config").expanduser()
    return root / "kautopsy" / "inventory.toml"


def load(path: Path | None = None) -> Inventory:
    """The inventory in ``path``: TOML, or anything that Ansible takes for one.

    Without ``path`` the usual place, which need not be there.

    :raises UnreadableError: it is missing, or says what an inventory cannot say
    """
    if path is None:
        path = default_path()
        if INVENTORY_VARIABLE not in os.environ and not path.exists():
            return Inventory()
    if path.suffix != ".toml":
        from kautopsy.host.ansible import read_ansible

        return Inventory(read_ansible(path), str(path))
    try:
        tree = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise UnreadableError("no such file", thing=str(path), slug="no-inventory") from None
    except OSError as error:
        raise UnreadableError(error.strerror or str(error), thing=str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _bad(path, f"is no TOML: {error}") from None
    unknown = sorted(set(tree) - {"defaults", "hosts"})
    if unknown:
        raise _bad(path, f"knows only [defaults] and [hosts.NAME], not {', '.join(unknown)}")
    hosts, defaults = tree.get("hosts", {}), tree.get("defaults", {})
    if not isinstance(hosts, dict) or not isinstance(defaults, dict):
        raise _bad(path, "hosts and defaults are tables: [hosts.NAME]")
    return Inventory(
        {name: machine_from(name, entry, defaults, str(path)) for name, entry in hosts.items()},
        str(path),
    )


def machine_from(name: str, entry: Any, defaults: dict[str, Any], source: str) -> Machine:
    """One machine out of a parsed table, with ``defaults`` under it.

    :raises UnreadableError: the table says what a machine cannot have
    """
    if not isinstance(entry, dict):
        raise _bad(source, f"{name} is no table")
    merged = {**_under(defaults, entry), "name": name}
    try:
        machine = msgspec.convert(merged, Machine)
    except msgspec.ValidationError as error:
        hint = ""
        if "password" in str(error):
            hint = (
                "a password is named, never written: { env = NAME }, { file = PATH },"
                " { command = [..] } or { keyring = SERVICE/USER }"
            )
        raise _bad(source, f"{name}: {error}", hint) from None
    check(machine, source)
    return machine


def check(machine: Machine, source: str) -> None:
    """Complain of what types cannot forbid."""
    if machine.console is not None:
        spec = machine.console
        given = [
            key for key in ("sol", "ssh", "unix", "tcp", "file", "libvirt") if getattr(spec, key)
        ]
        if len(given) > 1 or not (given or spec.command):
            raise _bad(source, f"{machine.name}: a console is exactly one of sol, ssh, unix, tcp,"
                       " file, libvirt or command")  # fmt: skip
    if machine.bmc is not None:
        if machine.bmc.privilege not in ("administrator", "operator", "user"):
            raise _bad(source, f"{machine.name}: no such privilege: {machine.bmc.privilege}")
        if machine.bmc.address.startswith("-"):
            raise _bad(source, f"{machine.name}: no address of a BMC: {machine.bmc.address}")
    if machine.cloud is not None and machine.cloud.kind not in ("aws", "gcloud", "az", "openstack"):
        raise _bad(source, f"{machine.name}: no such cloud: {machine.cloud.kind}")


def _under(defaults: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    """``entry`` with what it does not say taken from ``defaults``; tables are merged.

    A default of a BMC or a console adds to a machine's own; it makes none where there is none.
    """
    merged = dict(entry)
    for key, value in defaults.items():
        if isinstance(value, dict):
            if isinstance(merged.get(key), dict):
                merged[key] = {**value, **merged[key]}
        else:
            merged.setdefault(key, value)
    return merged


def _bad(path: Path | str, what: str, hint: str = "") -> UnreadableError:
    return UnreadableError(what, thing=str(path), slug="bad-inventory", hint=hint)
