"""What stands around a machine: a BMC on a network of its own, and a jump host that reaches it.

The management network is a network namespace. The jump host, a real sshd, is in it and has a link
to us; the BMC has an address there that no route of ours leads to.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.host.sshd import SSHD, Server, serve

from kautopsy.lab.bmc.redfish import Redfish, RedfishConfig
from kautopsy.lab.bmc.simulator import BmcConfig, installed
from kautopsy.lab.machines.machine import Machine
from kautopsy.trigger.qmp import QmpWay


@dataclass(frozen=True)
class Addresses:
    """Of 198.18.0.0/15, which RFC 2544 keeps for tests: no network outside has it. Two racks on one
    host are two networks.
    """

    number: int

    @property
    def ours(self) -> str:
        """Our end of the link."""
        return f"198.18.{self.number}.1"

    @property
    def jump(self) -> str:
        """The jump host's end."""
        return f"198.18.{self.number}.2"

    @property
    def bmc(self) -> str:
        """No route of ours leads there."""
        return f"198.19.{self.number}.7"


def possible() -> bool:
    """Whether namespaces, and all the programs, are here."""
    tools = all(shutil.which(tool) for tool in ("ip", "ipmitool"))
    return os.geteuid() == 0 and tools and SSHD is not None and installed()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


class Rack:
    """The surroundings, and the program run in them."""

    def __init__(self, folder: Path, namespace: str, at: Addresses, jump: Server) -> None:
        self.folder = folder
        self.at = at
        self.bmc = BmcConfig(address=at.bmc, namespace=namespace, link=at.jump)
        self.password = self.bmc.accounts[0].password
        self._jump = jump
        self._routed = False
        self._proxy: Server | None = None
        self._redfish: Redfish | None = None
        self._machine: Machine | None = None

    def describe(self, machine: Machine) -> None:
        """Write the machine into the inventory, as ``db``."""
        self._machine = machine
        self._write()

    @property
    def machine(self) -> Machine:
        """The machine that is in the inventory."""
        assert self._machine is not None
        return self._machine

    def _write(self) -> None:
        entry = self.machine.entry()
        assert entry.bmc is not None and entry.bmc.password is not None
        options = list(entry.options)
        if self._proxy is not None:
            words = ["ssh", "-o", "BatchMode=yes", "-W", "%h:%p", *_options(self._proxy)]
            # Of two values ssh takes the first.
            options.insert(0, f"ProxyCommand={shlex.join([*words, self._proxy.name])}")
        lines = [
            "[hosts.db]",
            f"ssh = {json.dumps(entry.ssh)}",
            f"options = {json.dumps(options)}",
            f"nodename = {json.dumps(entry.nodename)}",
            f"uuid = {json.dumps(entry.uuid)}",
            "[hosts.db.bmc]",
            f"address = {json.dumps(entry.bmc.address)}",
            f"port = {entry.bmc.port}",
            f"user = {json.dumps(entry.bmc.user)}",
            "cipher = 3",
            f"password = {{ file = {json.dumps(entry.bmc.password.file)} }}",
        ]
        if not self._routed:
            lines.append(f"jump = {json.dumps(self._jump.name)}")
            lines.append(f"jump_options = {json.dumps(self._jump.options)}")
        if self._redfish is not None:
            lines.append(f"redfish = {json.dumps(self._redfish.url)}")
            lines.append(f"ca = {json.dumps(str(self._redfish.certificate))}")
        (self.folder / "inventory.toml").write_text("\n".join(lines) + "\n")

    def start(self, verb: str, *words: str) -> subprocess.Popen[str]:
        """Start ``kautopsy VERB db …``."""
        patience = ("--patience", "3") if verb in ("drill", "trigger") else ()
        return subprocess.Popen(
            [sys.executable, "-m", "kautopsy", verb, "db", *patience, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "KAUTOPSY_INVENTORY": str(self.folder / "inventory.toml"),
                "XDG_STATE_HOME": str(self.folder / "state"),
            },
        )

    def kautopsy(self, *words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run ``kautopsy VERB db …``."""
        with self.start(*words) as process:
            try:
                out, err = process.communicate(timeout=3000)
            finally:
                process.kill()
        assert process.returncode == expect, f"exit code {process.returncode}\n{out}\n{err}"
        assert self.password not in out + err
        return subprocess.CompletedProcess(words, expect, out, err)

    def drill(self, *words: str, via: str = "ipmi") -> dict[str, Any]:
        """The record of ``kautopsy drill db --via VIA``."""
        done = self.kautopsy("drill", "--via", via, "--crash", "kautopsy-lab", "--json", *words)
        record = json.loads(done.stdout)
        assert isinstance(record, dict)
        return record

    @staticmethod
    def stage(record: dict[str, Any], name: str) -> str:
        """What a stage saw."""
        return next(str(s["detail"]) for s in record["stages"] if s["name"] == name)

    def log_event(self, words: str) -> None:
        """Add an entry to the BMC's event log, as ``ipmitool sel add`` takes it."""
        file = self.folder / "event"
        file.write_text(f"{words}\n")
        argv = ["ip", "netns", "exec", self.bmc.namespace, "ipmitool", "-I", "lanplus", "-C", "3"]
        argv += ["-H", self.at.bmc, "-U", "admin", "-E", "sel", "add", str(file)]
        env = {**os.environ, "IPMI_PASSWORD": self.password}
        subprocess.run(argv, env=env, check=True, capture_output=True, timeout=120)

    def assert_unreachable(self) -> None:
        """Nothing of ours reaches the BMC."""
        argv = ["ipmitool", "-I", "lanplus", "-C", "3", "-N", "1", "-R", "1", "-H", self.at.bmc]
        argv += ["-U", "admin", "-E", "chassis", "status"]
        done = subprocess.run(
            argv, env={**os.environ, "IPMI_PASSWORD": self.password}, capture_output=True
        )
        assert done.returncode != 0

    @contextlib.contextmanager
    def route(self) -> Iterator[None]:
        """Let us reach the BMC ourselves."""
        _ip("route", "add", f"{self.at.bmc}/32", "via", self.at.jump)
        self._routed = True
        self._write()
        try:
            yield
        finally:
            _ip("route", "del", f"{self.at.bmc}/32")
            self._routed = False
            self._write()

    @contextlib.contextmanager
    def redfish(self) -> Iterator[Redfish]:
        """Give the BMC a Redfish service, on its own address and as unreachable from here."""
        entry = self.machine.entry()
        config = RedfishConfig(
            password=self.password,
            address=self.at.bmc,
            name=self.at.bmc,
            uuid=entry.uuid,
            hostname=entry.nodename,
        )
        folder = self.folder / "redfish"
        folder.mkdir(exist_ok=True)
        with contextlib.ExitStack() as stack:
            with _inside(self.bmc.namespace):
                service = stack.enter_context(Redfish(config, folder, QmpWay(entry.qmp).fire))
            self._redfish = service
            self._write()
            try:
                yield service
            finally:
                self._redfish = None
                self._write()

    @contextlib.contextmanager
    def reached_through(self, jump: Server | None) -> Iterator[None]:
        """Let the machine's own sshd be reached through a jump host."""
        self._proxy = jump
        self._write()
        try:
            yield
        finally:
            self._proxy = None
            self._write()


def _options(server: Server) -> list[str]:
    return [word for option in server.options for word in ("-o", option)]


@contextlib.contextmanager
def _inside(namespace: str) -> Iterator[None]:
    """Sockets that this thread makes meanwhile are in the network namespace (Python 3.12 has
    os.setns).
    """
    setns = ctypes.CDLL(None, use_errno=True).setns
    with (
        Path("/proc/thread-self/ns/net").open() as ours,
        Path(f"/run/netns/{namespace}").open() as theirs,
    ):
        assert setns(theirs.fileno(), 0) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert setns(ours.fileno(), 0) == 0, os.strerror(ctypes.get_errno())


@contextlib.contextmanager
def rack(folder: Path) -> Iterator[Rack]:
    """The network and the jump host."""
    tag = secrets.token_hex(3)
    namespace, ours, theirs = f"kautopsy-{tag}", f"ka{tag}", f"kb{tag}"
    at = _free_addresses()
    _ip("netns", "add", namespace)
    try:
        _ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", namespace)
        _ip("address", "add", f"{at.ours}/24", "dev", ours)
        _ip("link", "set", ours, "up")
        for words in (
            ("link", "set", "lo", "up"),
            ("link", "set", theirs, "up"),
            ("address", "add", f"{at.jump}/24", "dev", theirs),
            ("address", "add", f"{at.bmc}/32", "dev", "lo"),
        ):
            _ip("-n", namespace, *words)
        (folder / "jump").mkdir()
        inside = ("ip", "netns", "exec", namespace)
        with serve(folder / "jump", address=at.jump, inside=inside) as jump:
            yield Rack(folder, namespace, at, jump)
    finally:
        _ip("netns", "del", namespace)
        subprocess.run(["ip", "link", "del", ours], capture_output=True)


def _free_addresses() -> Addresses:
    while True:
        at = Addresses(secrets.randbelow(254) + 1)
        argv = ["ip", "-o", "address", "show", "to", f"{at.ours}/24"]
        if not subprocess.run(argv, check=True, capture_output=True, timeout=30).stdout:
            return at
