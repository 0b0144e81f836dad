"""IPMI by ``ipmitool``: here, or on the jump host from which the BMC can be reached.

The password is on no command line: ipmitool takes it from the environment (``-E``), and over ssh it
is the first line that the far shell reads. The cipher suite is always named (``-C``): left to
itself, ipmitool 1.8.19 loses ten seconds a command with BMCs that do not say which they have.
"""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator, Sequence

from kautopsy.host.host import RunResult
from kautopsy.host.inventory import Bmc
from kautopsy.host.local import run_here
from kautopsy.host.ssh import SshHost
from kautopsy.model.errors import KautopsyError, MissingToolError
from kautopsy.trigger.console.source import ProgramSource
from kautopsy.trigger.ipmi_words import explain
from kautopsy.trigger.look import clean_serial, clean_uuid
from kautopsy.trigger.way import Ability, Effect, Whose

_PATIENCE = 60.0
_CIPHERS = (17, 3)
"""Suite 17 is HMAC-SHA256, 3 is HMAC-SHA1: what is tried where the inventory names none."""
_READY = "kautopsy-ready"
_NO_TOOL = 127
# The far end of a terminal would print what it reads: it must be told not to before it is given.
_WITH_PASSWORD = (
    "stty -echo 2>/dev/null; {ready}IFS= read -r IPMI_PASSWORD; export IPMI_PASSWORD;"
    " stty echo 2>/dev/null; command -v ipmitool >/dev/null 2>&1 ||"
    f" {{{{ echo 'ipmitool: command not found' >&2; exit {_NO_TOOL}; }}}}; exec {{command}}"
)
_ESCAPE = b"~"


class Ipmitool:
    """One BMC through ipmitool; finds out once which cipher suite it takes.

    :param jump: the host on which ipmitool runs; None: this one
    """

    def __init__(self, bmc: Bmc, jump: SshHost | None = None) -> None:
        self._bmc = bmc
        self.jump = jump
        self.cipher = bmc.cipher
        through = f" by ipmitool on {jump.name}" if jump is not None else " by ipmitool"
        self.where = f"BMC {bmc.address}{through}"

    def argv(self, *words: str, cipher: int | None = None, verbose: bool = False) -> list[str]:
        """The command line; no password is on it.

        :param verbose: only then does it say why it opens no session
        """
        bmc = self._bmc
        return [
            "ipmitool",
            *(("-v",) if verbose else ()),
            *("-I", "lanplus", "-H", bmc.address, "-p", str(bmc.port)),
            *("-U", bmc.user, "-E", "-L", bmc.privilege.upper()),
            *("-C", str(cipher or self.cipher or _CIPHERS[0])),
            *("-N", "2", "-R", "3"),
            *words,
        ]

    def run(self, *words: str) -> str:
        """What ipmitool printed.

        :raises KautopsyError: it failed, and why
        """
        if self.cipher is not None:
            return self._output(self._run(self.argv(*words, verbose=True)))
        failures: list[KautopsyError] = []
        for cipher in _CIPHERS:
            try:
                output = self._output(self._run(self.argv(*words, cipher=cipher, verbose=True)))
            except KautopsyError as error:
                # A wrong password is as wrong with another suite, and accounts get locked.
                if error.slug not in ("bmc-cipher", "bmc-silent"):
                    raise
                failures.append(error)
                continue
            self.cipher = cipher
            return output
        raise failures[-1]

    def _run(self, argv: Sequence[str]) -> RunResult:
        password = self.password()
        if self.jump is None:
            environment = {"IPMI_PASSWORD": password}
            return run_here(argv, timeout=_PATIENCE, name=self.where, environment=environment)
        script = _WITH_PASSWORD.format(ready="", command=shlex.join(argv))
        return self.jump.run(
            ["sh", "-c", script], stdin=password.encode() + b"\n", timeout=_PATIENCE
        )

    def _output(self, done: RunResult) -> str:
        if done.status == _NO_TOOL:
            raise MissingToolError(
                "ipmitool is not installed there",
                thing=self.jump.name if self.jump is not None else "this machine",
                hint="apt-get install ipmitool, dnf install ipmitool",
            )
        if done.status:
            words = done.stderr.decode(errors="replace") or done.text
            raise explain(words, self.where)
        return done.text

    def password(self) -> str:
        """The password, read where the inventory says it is."""
        return self._bmc.password.reveal() if self._bmc.password else ""


class IpmitoolWay:
    """The diagnostic interrupt through ipmitool."""

    name = "ipmitool"
    effect = Effect.NMI

    def __init__(self, tool: Ipmitool) -> None:
        self._tool = tool
        words = shlex.join(tool.argv("chassis", "power", "diag"))
        self.what = words if tool.jump is None else f"on {tool.jump.name}: {words}"

    def can(self) -> Ability:
        """See :meth:`kautopsy.trigger.way.Way.can`."""
        said = self._tool.run("chassis", "power", "status").strip()
        return Ability(True, f"the BMC answers: {said}")

    def whose(self) -> Whose | None:
        """See :meth:`kautopsy.trigger.way.Way.whose`."""
        # Neither is mandatory: what a BMC does not have is no proof, and no failure.
        guid = fru = ""
        with contextlib.suppress(KautopsyError):
            guid = self._tool.run("mc", "guid")
        with contextlib.suppress(KautopsyError):
            fru = self._tool.run("fru", "print", "0")
        uuid = re.search(r"^System GUID\s*:\s*([0-9a-fA-F-]{36})", guid, re.M)
        serials = re.findall(r"^\s*(?:Product|Chassis|Board) Serial\s*:\s*(.+?)\s*$", fru, re.M)
        return Whose(
            by=self._tool.where,
            serials=tuple(dict.fromkeys(filter(None, map(clean_serial, serials)))),
            uuid=clean_uuid(uuid[1]) if uuid else None,
        )

    def fire(self) -> str:
        """See :meth:`kautopsy.trigger.way.Way.fire`."""
        return self._tool.run("chassis", "power", "diag").strip() or "ipmitool reported success"

    def events(self) -> tuple[str, ...]:
        """The BMC's event log."""
        return tuple(event_lines(self._tool.run("sel", "elist")))


def event_lines(text: str) -> Iterator[str]:
    """What ``ipmitool -v sel elist`` prints (a record is a block of lines), a line a record."""
    for block in re.split(r"^(?=SEL Record ID)", text, flags=re.M):
        said = dict(re.findall(r"^ ?(\w[^:\n]*?) *: *(.*?) *$", block, re.M))
        if "SEL Record ID" in said:
            names = ("SEL Record ID", "Timestamp", "Sensor Type", "Description", "Event Direction")
            yield " | ".join(said[name] for name in names if said.get(name))
        else:
            yield from (line for line in block.splitlines() if "|" in line)


def ipmitool_console(tool: Ipmitool) -> ProgramSource:
    """Serial over LAN on a terminal of its own; a session that is left over is ended first."""
    with contextlib.suppress(KautopsyError):
        tool.run("sol", "deactivate")
    # Kept alive by Get Device ID, as by default. Empty SOL packets ("usesolkeepalive") are answered
    # by no ipmi_sim: a console that said nothing for 50 s, as while a dump is saved, was lost.
    argv = tool.argv("sol", "activate")
    where = f"serial over LAN of {tool.where}"
    script = _WITH_PASSWORD.format(ready=f"printf '%s\\n' {_READY}; ", command=shlex.join(argv))
    here = tool.jump is None
    return ProgramSource(
        # ssh would take a ~ at the beginning of a line for itself.
        argv
        if tool.jump is None
        else _without_escape(tool.jump.terminal_argv(["sh", "-c", script])),
        where,
        environment={"IPMI_PASSWORD": tool.password()} if here else None,
        break_keys=_ESCAPE + b"B",
        # Without a line break before it: that would be typed at the machine.
        quit_keys=_ESCAPE + b".",
        ready=b"" if here else _READY.encode(),
        before=b"" if here else tool.password().encode() + b"\n",
    )


def _without_escape(argv: list[str]) -> list[str]:
    return [argv[0], "-o", "EscapeChar=none", *argv[1:]]
