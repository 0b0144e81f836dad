"""A machine with a BMC on pyghmi's server class: its diagnostic interrupt, its console over SOL."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.host.sshd import free_port
from tests.rack.machine import Machine

_BMC = Path(__file__).with_name("bmc.py")


class Wired:
    """The BMC of ``machine``, running.

    :ivar diags: how many diagnostic interrupts it was told to send
    :ivar typed: what came over SOL
    """

    def __init__(self, machine: Machine, fault: str = "none") -> None:
        self.machine = machine
        self.fault = fault
        self.port = free_port()
        self.diags = 0
        self.typed = ""
        self._ready = threading.Event()
        with (machine.root / "bmc.log").open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, str(_BMC), str(self.port), fault],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        machine.listeners.append(self._say)
        assert self._ready.wait(30), (machine.root / "bmc.log").read_text()

    def _say(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            assert self._child.stdin is not None
            self._child.stdin.write(json.dumps({"console": text}).encode() + b"\n")
            self._child.stdin.flush()

    def _listen(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            told = json.loads(line)
            if "ready" in told:
                self._ready.set()
            self.typed += told.get("typed", "")
            if "diag" in told:
                self.diags += 1
                if self.fault == "reset":
                    self.machine.reset()
                elif self.fault == "lossy" and self.diags == 1:
                    continue
                elif self.fault != "deaf":
                    self.machine.nmi()

    def close(self) -> None:
        self.machine.listeners.remove(self._say)
        self._child.kill()
        self._child.wait(30)
        self._thread.join(30)
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


@contextlib.contextmanager
def wired(machine: Machine, fault: str = "none") -> Iterator[Wired]:
    bmc = Wired(machine, fault)
    try:
        yield bmc
    finally:
        bmc.close()
