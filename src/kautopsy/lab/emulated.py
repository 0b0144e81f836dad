"""What every emulated machine is: a folder, QEMU, its console and QMP, and an end that comes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Self, TypeVar

from kautopsy.lab.config import Limits
from kautopsy.lab.console import SerialPort
from kautopsy.lab.errors import GuestLostError, console_tail
from kautopsy.lab.folder import guest_folder
from kautopsy.lab.qemu import Hardware, Qemu
from kautopsy.model.errors import UsageError
from kautopsy.trigger.qmp import QmpClient, QmpError

_Part = TypeVar("_Part")
_LAST_WORDS_SECONDS = 5


class Emulated:
    """Used as a context: leaving it ends QEMU and removes all files.

    :param thing: what errors call it
    :ivar folder: its files, ``console.log`` among them
    """

    def __init__(self, thing: str, limits: Limits, tee: Callable[[bytes], None] | None) -> None:
        self._thing = thing
        self._limits = limits.patient()
        self._tee = tee
        self._news = threading.Condition()
        self._stack = contextlib.ExitStack()
        self._power = contextlib.ExitStack()
        self._qemu: Qemu | None = None
        self._console: SerialPort | None = None
        self._qmp: QmpClient | None = None
        self.folder = self._stack.enter_context(guest_folder())
        self._stack.callback(self._switch_off)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it and remove its files."""
        self._stack.close()

    @property
    def running(self) -> bool:
        """QEMU has not ended."""
        return self._qemu is not None and self._qemu.running

    @property
    def console(self) -> SerialPort:
        """The first serial port.

        :raises UsageError: it was never switched on
        """
        return self._on(self._console)

    @property
    def qmp(self) -> QmpClient:
        """QEMU's machine protocol."""
        return self._on(self._qmp)

    # -- helpers -------------------------------------------------------------------------------

    def _switch_on(self, hardware: Hardware) -> Qemu:
        """Start QEMU, and listen to its console.

        :raises GuestLostError: it refuses; the error has its own words
        """
        self._qemu = qemu = Qemu(hardware, self.folder)
        self._power.callback(qemu.kill)
        self._power.callback(qemu.qmp.close)
        self._console = SerialPort(
            qemu.ports["console"],
            news=self._news,
            log=self.folder / "console.log",
            tee=self._tee,
        )
        self._power.callback(self._console.close)
        try:
            self._qmp = QmpClient(qemu.qmp)
        except QmpError as error:
            qemu.wait(_LAST_WORDS_SECONDS)  # they come before its end
            raise self._lost(f"QEMU ended at once: {error.what}") from error
        return qemu

    def _switch_off(self) -> None:
        self._power.close()
        self._qmp = None

    def _lost(self, what: str, *, console: list[str] | None = None) -> GuestLostError:
        """The error that shows QEMU's own words and the console's last."""
        lines = console or (self._console.texts if self._console is not None else [])
        words = f"QEMU: {self._qemu.words}; " if self._qemu and self._qemu.words else ""
        return GuestLostError(what, thing=self._thing, hint=words + console_tail(lines))

    def _on(self, part: _Part | None) -> _Part:
        if part is None:
            raise UsageError("is not on", thing=self._thing, slug="guest-off")
        return part
