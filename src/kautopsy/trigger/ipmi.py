"""IPMI's Chassis Control 4, “pulse diagnostic interrupt”, by pyghmi: for a BMC that we reach."""

from __future__ import annotations

import base64
import subprocess
import sys
import threading
import time

import msgspec

from kautopsy.host.inventory import Bmc
from kautopsy.model.errors import KautopsyError, MissingToolError, UnreachableError
from kautopsy.trigger.console.source import Sink
from kautopsy.trigger.ipmi_child import Answer, Job, Typed
from kautopsy.trigger.ipmi_words import explain
from kautopsy.trigger.look import clean_serial, clean_uuid
from kautopsy.trigger.way import Ability, Effect, Whose

CHILD = (sys.executable, "-m", "kautopsy.trigger.ipmi_child")
_PATIENCE = 90.0
"""Seconds: pyghmi gives a silent BMC 20 to 60."""


class PyghmiBmc:
    """One BMC, asked by a child process for every question."""

    def __init__(self, bmc: Bmc) -> None:
        self._bmc = bmc
        self.where = f"BMC {bmc.address}" + (f":{bmc.port}" if bmc.port != 623 else "")

    def ask(self, do: str, *, patience: float = _PATIENCE) -> Answer:
        """The answer to one question.

        :raises KautopsyError: there is none, and why
        """
        child = subprocess.Popen(
            CHILD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            out, err = child.communicate(self.job(do), timeout=patience)
        except subprocess.TimeoutExpired:
            raise explain(f"timeout after {patience:.0f} s", self.where) from None
        finally:
            if child.poll() is None:
                child.kill()
                child.communicate()
        lines = out.splitlines()
        if not lines:
            words = err.decode(errors="replace").strip().splitlines()
            raise explain(words[-1] if words else "", self.where)
        answer = msgspec.json.decode(lines[-1], type=Answer)
        if answer.error:
            raise error_of(answer, self.where)
        return answer

    def job(self, do: str) -> bytes:
        """A job for the child, as a line."""
        bmc = self._bmc
        job = Job(
            do=do,
            address=bmc.address,
            port=bmc.port,
            user=bmc.user,
            password=bmc.password.reveal() if bmc.password else "",
            privilege=bmc.privilege,
        )
        return msgspec.json.encode(job) + b"\n"


def error_of(answer: Answer, where: str) -> KautopsyError:
    """What an answer that is an error means."""
    if answer.error.startswith("missing: "):
        return MissingToolError(
            "pyghmi is not installed",
            thing=where,
            hint="pip install 'kautopsy[bmc]', or --via ipmitool",
        )
    return explain(answer.error, where, code=answer.code)


class IpmiWay:
    """The diagnostic interrupt through pyghmi."""

    name = "ipmi"
    effect = Effect.NMI

    def __init__(self, bmc: Bmc) -> None:
        self._bmc = PyghmiBmc(bmc)
        self.what = f"IPMI chassis control “diagnostic interrupt” at {self._bmc.where} (pyghmi)"

    def can(self) -> Ability:
        """See :meth:`kautopsy.trigger.way.Way.can`."""
        return Ability(True, f"the BMC answers: {self._bmc.ask('status').said}")

    def whose(self) -> Whose | None:
        """See :meth:`kautopsy.trigger.way.Way.whose`."""
        answer = self._bmc.ask("whose")
        return Whose(
            by=self._bmc.where,
            serials=tuple(filter(None, map(clean_serial, answer.serials))),
            uuid=clean_uuid(answer.uuid),
        )

    def fire(self) -> str:
        """See :meth:`kautopsy.trigger.way.Way.fire`."""
        return self._bmc.ask("diag").said

    def events(self) -> tuple[str, ...]:
        """The BMC's event log."""
        return self._bmc.ask("events").events


class PyghmiConsole:
    """Serial over LAN through pyghmi; a :class:`kautopsy.trigger.console.source.Source`."""

    def __init__(self, bmc: Bmc) -> None:
        self._bmc = PyghmiBmc(bmc)
        self.where = f"serial over LAN of {self._bmc.where}"
        self._child: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._connected = threading.Event()
        self._error: KautopsyError | None = None

    def start(self, recording: Sink) -> None:
        """Connect; a session that somebody left behind is ended.

        :raises KautopsyError: it does not connect, and why
        """
        self._child = subprocess.Popen(
            CHILD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._child.stdin is not None
        self._child.stdin.write(self._bmc.job("sol"))
        self._child.stdin.flush()
        self._thread = threading.Thread(
            target=self._read, args=(self._child, recording), name="sol", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + _PATIENCE
        while not self._connected.wait(0.1):
            if self._error is not None or not self._thread.is_alive():
                self.close()
                raise self._error or explain("ended without a word", self.where)
            if time.monotonic() > deadline:
                self.close()
                raise UnreachableError("does not connect", thing=self.where, slug="no-console")

    def _read(self, child: subprocess.Popen[bytes], recording: Sink) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            answer = msgspec.json.decode(line, type=Answer)
            if answer.data:
                recording.feed(base64.b64decode(answer.data))
            if answer.connected:
                self._connected.set()
            if answer.error:
                self._error = error_of(answer, self.where)
        recording.end(str(self._error) if self._error else "closed")

    def write(self, data: bytes) -> None:
        """Type."""
        self._type(Typed(data=base64.b64encode(data).decode()))

    def send_break(self) -> None:
        """A serial BREAK."""
        self._type(Typed(send_break=True))

    def _type(self, typed: Typed) -> None:
        child = self._child
        if child is None or child.stdin is None or child.poll() is not None:
            raise UnreachableError("is closed", thing=self.where, slug="no-console")
        child.stdin.write(msgspec.json.encode(typed) + b"\n")
        child.stdin.flush()

    def close(self) -> None:
        """End the session in order, so that the next one need not force its way in."""
        child = self._child
        if child is None:
            return
        if child.stdin is not None:
            child.stdin.close()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if self._thread is not None:
            self._thread.join(10)
        if child.stdout is not None:
            child.stdout.close()
        self._child = None
