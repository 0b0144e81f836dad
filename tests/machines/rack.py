"""What stands around a machine: a BMC on a network of its own, and a jump host that reaches it.

The management network is a network namespace. The jump host, a real sshd, is in it and has a link
to us; the BMC has an address there that no route of ours leads to.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.host.sshd import SSHD, Server, serve

from kautopsy.lab.bmc.simulator import BmcConfig, installed
from kautopsy.lab.machines.machine import Machine

_OURS, _THEIRS = "198.18.77.1", "198.18.77.2"
_BMC = "198.18.78.7"
"""Of 198.18.0.0/15, which RFC 2544 keeps for tests: no network outside has it."""


def possible() -> bool:
    """Whether namespaces, and all the programs, are here."""
    tools = all(shutil.which(tool) for tool in ("ip", "ipmitool"))
    return os.geteuid() == 0 and tools and SSHD is not None and installed()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


class Rack:
    """The surroundings, and the program run in them."""

    def __init__(self, folder: Path, namespace: str, jump: Server) -> None:
        self.folder = folder
        self.bmc = BmcConfig(address=_BMC, namespace=namespace, link=_THEIRS)
        self.password = self.bmc.accounts[0].password
        self._jump = jump
        self._routed = False
        self._entry: Machine | None = None

    def describe(self, machine: Machine) -> None:
        """Write the machine into the inventory, as ``db``."""
        self._entry = machine
        self._write()

    def _write(self) -> None:
        assert self._entry is not None
        entry = self._entry.entry()
        assert entry.bmc is not None and entry.bmc.password is not None
        jump = ""
        if not self._routed:
            options = json.dumps(self._jump.options)
            jump = f"jump = {json.dumps(self._jump.name)}\njump_options = {options}\n"
        (self.folder / "inventory.toml").write_text(
            f"[hosts.db]\nssh = {json.dumps(entry.ssh)}\n"
            f"options = {json.dumps(list(entry.options))}\n"
            f"nodename = {json.dumps(entry.nodename)}\nuuid = {json.dumps(entry.uuid)}\n"
            f"[hosts.db.bmc]\naddress = {json.dumps(entry.bmc.address)}\nport = {entry.bmc.port}\n"
            f"user = {json.dumps(entry.bmc.user)}\ncipher = 3\n"
            f"password = {{ file = {json.dumps(entry.bmc.password.file)} }}\n{jump}"
        )

    def kautopsy(self, *words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run ``kautopsy VERB db …``."""
        verb, *more = words
        done = subprocess.run(
            [sys.executable, "-m", "kautopsy", verb, "db", "--patience", "3", *more],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=3000,
            check=False,
            env={
                **os.environ,
                "KAUTOPSY_INVENTORY": str(self.folder / "inventory.toml"),
                "XDG_STATE_HOME": str(self.folder / "state"),
            },
        )
        assert done.returncode == expect, (
            f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        assert self.password not in done.stdout + done.stderr
        return done

    def drill(self, *words: str) -> dict[str, Any]:
        """The record of ``kautopsy drill db --via ipmi``."""
        done = self.kautopsy("drill", "--via", "ipmi", "--crash", "kautopsy-lab", "--json", *words)
        record = json.loads(done.stdout)
        assert isinstance(record, dict)
        return record

    @staticmethod
    def stage(record: dict[str, Any], name: str) -> str:
        """What a stage saw."""
        return next(str(s["detail"]) for s in record["stages"] if s["name"] == name)

    def assert_unreachable(self) -> None:
        """Nothing of ours reaches the BMC."""
        argv = ["ipmitool", "-I", "lanplus", "-C", "3", "-N", "1", "-R", "1", "-H", _BMC]
        argv += ["-U", "admin", "-E", "chassis", "status"]
        done = subprocess.run(
            argv, env={**os.environ, "IPMI_PASSWORD": self.password}, capture_output=True
        )
        assert done.returncode != 0

    @contextlib.contextmanager
    def route(self) -> Iterator[None]:
        """Let us reach the BMC ourselves."""
        _ip("route", "add", f"{_BMC}/32", "via", _THEIRS)
        self._routed = True
        self._write()
        try:
            yield
        finally:
            _ip("route", "del", f"{_BMC}/32")
            self._routed = False
            self._write()


@contextlib.contextmanager
def rack(folder: Path) -> Iterator[Rack]:
    """The network and the jump host."""
    tag = secrets.token_hex(3)
    namespace, ours, theirs = f"kautopsy-{tag}", f"ka{tag}", f"kb{tag}"
    _ip("netns", "add", namespace)
    try:
        _ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", namespace)
        _ip("address", "add", f"{_OURS}/24", "dev", ours)
        _ip("link", "set", ours, "up")
        for words in (
            ("link", "set", "lo", "up"),
            ("link", "set", theirs, "up"),
            ("address", "add", f"{_THEIRS}/24", "dev", theirs),
            ("address", "add", f"{_BMC}/32", "dev", "lo"),
        ):
            _ip("-n", namespace, *words)
        (folder / "jump").mkdir()
        inside = ("ip", "netns", "exec", namespace)
        with serve(folder / "jump", address=_THEIRS, inside=inside) as jump:
            yield Rack(folder, namespace, jump)
    finally:
        _ip("netns", "del", namespace)
        subprocess.run(["ip", "link", "del", ours], capture_output=True)
