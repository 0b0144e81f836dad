"""sysrq-c: by root's own hand on the machine, or typed at its serial console."""

from __future__ import annotations

import time
from typing import Protocol

from kautopsy.host.host import Host
from kautopsy.host.local import LocalHost
from kautopsy.model.errors import RefusedError, UnreachableError
from kautopsy.trigger.look import Look
from kautopsy.trigger.way import Ability, Effect, Whose

TRIGGER_FILE = "/proc/sysrq-trigger"
_DELAY = 1
"""Seconds between the answer and the crash, so that the answer gets out."""
_NOT_ROOT, _ANOTHER, _NO_FILE = 77, 78, 79
# The guard's question is asked once more by the machine itself, in the breath that kills it: what
# answers to a name may have changed since. What is detached survives the end of the ssh session,
# and its death is no error of ours. sync(1), which may hang on a sick machine, is not waited for.
_FIRE = f"""\
[ "$(id -u)" = 0 ] || exit {_NOT_ROOT}
[ "$(uname -n)" = "$2" ] || exit {_ANOTHER}
[ -w "$1" ] || exit {_NO_FILE}
trap '' HUP
(sync & sleep "$3"; echo c >"$1") </dev/null >/dev/null 2>&1 &
"""


class SysrqWay:
    """``echo c >/proc/sysrq-trigger``, on this machine or over ssh."""

    name = "sysrq"
    effect = Effect.SYSRQ_WRITE

    def __init__(self, host: Host, node: str, look: Look | None) -> None:
        self._host = host
        self._node = node
        self._look = look
        where = "" if isinstance(host, LocalHost) else f" on {host.name}"
        self.what = f"echo c >{TRIGGER_FILE}{where}"

    def can(self) -> Ability:
        """See :meth:`kautopsy.trigger.way.Way.can`."""
        if not self._host.live:
            return Ability(False, "a directory cannot be panicked")
        if self._look is None:
            return Ability(False, "the machine does not answer over ssh")
        if not self._look.root:
            return Ability(False, "needs root: log in as root, or let sudo work without a password")
        if not self._look.sysrq_trigger:
            return Ability(False, "its kernel has no /proc/sysrq-trigger (CONFIG_MAGIC_SYSRQ)")
        return Ability(True, "it answers, as root")

    def whose(self) -> Whose | None:
        """The machine answers for itself."""
        return None

    def fire(self) -> str:
        """See :meth:`kautopsy.trigger.way.Way.fire`."""
        done = self._host.script(_FIRE, TRIGGER_FILE, self._node, str(_DELAY), timeout=60.0)
        if done.status == _ANOTHER:
            raise RefusedError(
                f"the machine that answers now is not {self._node}",
                thing=self._host.name,
                slug="another-machine",
            )
        if done.status == _NOT_ROOT:
            raise RefusedError("needs root there", thing=self._host.name, slug="not-root")
        if done.status == _NO_FILE:
            raise RefusedError(f"{TRIGGER_FILE} cannot be written", thing=self._host.name)
        if done.status:
            raise UnreachableError(f"did not take it: {done.complaint}", thing=self._host.name)
        return f"{TRIGGER_FILE} will be written in {_DELAY} s"


class Breakable(Protocol):
    """A console that can be typed at."""

    def send_break(self) -> None:
        """A serial BREAK."""

    def write(self, data: bytes) -> None:
        """Type."""


class BreakWay:
    """BREAK, then c, at a serial console (drivers/tty/serial: within five seconds)."""

    name = "break"
    effect = Effect.SYSRQ_KEY

    def __init__(self, console: Breakable, where: str, whose: Whose | None) -> None:
        self._console = console
        self._whose = whose
        self.what = f"BREAK, then c, at {where}"

    def can(self) -> Ability:
        """See :meth:`kautopsy.trigger.way.Way.can`."""
        return Ability(None, "the console is open; whether anybody listens, only the crash tells")

    def whose(self) -> Whose | None:
        """See :meth:`kautopsy.trigger.way.Way.whose`."""
        return self._whose

    def fire(self) -> str:
        """See :meth:`kautopsy.trigger.way.Way.fire`."""
        self._console.send_break()
        time.sleep(0.5)
        self._console.write(b"c")
        return "BREAK and c were sent"
