"""One machine, held by its ssh, its controller and its console, while it is panicked.

The machine is asked what it is, the guard is asked for leave, what will be done is written down,
the console is recorded, the trigger is pulled, and then everything that may tell what became of the
machine is watched at once: the console's events, and whether ssh answers with another boot id.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kautopsy.arming.doctor import examine
from kautopsy.arming.facts import gather
from kautopsy.capture.layouts import captures
from kautopsy.capture.listing import list_captures
from kautopsy.drill.titles import title_of
from kautopsy.drill.witnesses import jump_host
from kautopsy.host.host import Host
from kautopsy.host.inventory import Machine
from kautopsy.host.target import open_host
from kautopsy.model.errors import KautopsyError, UnreachableError, UnreadableError
from kautopsy.model.readiness import CheckStatus, DoctorDocument
from kautopsy.model.trigger import ConsoleEvent, ConsoleEventKind, TriggerRecord
from kautopsy.trigger.console.recording import Recording
from kautopsy.trigger.console.source import Source
from kautopsy.trigger.console.watch import ConsoleWatch, OnEvent
from kautopsy.trigger.guard import Leave, Order, ask_leave
from kautopsy.trigger.look import Look, look_at
from kautopsy.trigger.open_console import is_the_bmcs, open_console
from kautopsy.trigger.records import finish, keep, who_am_i
from kautopsy.trigger.way import Way, Whose
from kautopsy.trigger.ways import pick, ways_for

_POLL = 5.0
_ON_CONSOLE = 8.0
"""Seconds in which a line written to the log comes out of the console, if it does at all."""

Kind = ConsoleEventKind
# Failures to log in, or to get there: the trigger was not reached.
_NOT_TOLD = frozenset(
    {
        *("bmc-password", "bmc-user", "bmc-cipher", "bmc-full", "bmc-certificate", "no-password"),
        *("unknown-host", "auth-failed", "host-key-changed", "host-key-unknown"),
    }
)
_STATES = {
    Kind.PANIC: "dying: it panicked, and its capture kernel should be saving",
    Kind.SYSRQ: "dying: it panicked, and its capture kernel should be saving",
    Kind.NMI_IGNORED: "alive: it ignored the NMI",
    Kind.CAPTURE_BOOTED: "capturing: its capture kernel runs; leave it alone",
    Kind.SAVING: "capturing: its capture kernel saves; leave it alone",
    Kind.SAVED: "saved: its dump is on its disk, and it will boot again",
    Kind.SAVE_FAILED: "dead: its dump was not saved",
    Kind.REBOOTING: "rebooting",
    Kind.FIRMWARE: "rebooting",
    Kind.BOOTED: "booting",
}
DEATH = frozenset({Kind.PANIC, Kind.SYSRQ, Kind.CAPTURE_BOOTED})


@dataclass(frozen=True)
class Limits:
    """Seconds that each state may last.

    :param panic: from the trigger to the first sign of death
    :param capture: from there to the first sign of the capture kernel
    :param save: until the dump is saved
    :param back: until the machine answers again
    :param connect: for ssh's own connection, while it goes down and comes up
    :param look: for one look at it then, with the login: a machine that boots is slow
    """

    panic: float = 60.0
    capture: float = 300.0
    save: float = 3600.0
    back: float = 1200.0
    connect: float = 5.0
    look: float = 30.0

    def times(self, factor: float) -> Limits:
        """All of them, longer or shorter."""
        return Limits(*(getattr(self, name) * factor for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Verdict:
    """How a trigger ended.

    :param panicked: False: it surely did not; None: nobody can tell
    :param saw: what says so
    """

    panicked: bool | None
    saw: str
    fix: str = ""


@dataclass
class Session:
    """Used as a context; leaving it closes every connection.

    :ivar state: where the machine is, in words, whatever happens to us
    """

    machine: Machine
    limits: Limits = field(default_factory=Limits)
    on_event: OnEvent | None = None
    tee: Callable[[bytes], None] | None = None

    def __post_init__(self) -> None:
        self.state = "untouched: it runs as it did"
        self.look: Look | None = None
        self.trouble = ""
        self.doctor: DoctorDocument | None = None
        self.watch: ConsoleWatch | None = None
        self.console_proof = False
        self.console_trouble = ""
        self.nonce: str | None = None
        self.before: tuple[str, ...] | None = None
        self.record: TriggerRecord | None = None
        self.record_file: Path | None = None
        self._stack = contextlib.ExitStack()
        self._source: Source | None = None
        self.host: Host = self._stack.enter_context(self._open())
        self.jump = self._stack.enter_context(jump_host(self.machine))

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # -- before ------------------------------------------------------------------------------

    def ask(self) -> Look | None:
        """What the machine says of itself; None if it does not answer (``trouble`` says why).

        :raises UnreachableError: its host key is not the one that is known: then nothing is done
        """
        try:
            self.look = look_at(self.host)
        except UnreachableError as error:
            if error.slug in ("host-key-changed", "host-key-unknown"):
                raise
            self.trouble = str(error)
        except UnreadableError as error:
            self.trouble = str(error)
        return self.look

    def examine(self) -> DoctorDocument | None:
        """What doctor says of it; None if it does not answer."""
        if self.look is not None:
            self.doctor = examine(gather(self.host))
        return self.doctor

    @property
    def ready(self) -> bool | None:
        """Doctor's verdict."""
        return self.doctor.ready if self.doctor is not None else None

    @property
    def not_ready_why(self) -> str:
        """The first of doctor's failures."""
        checks = self.doctor.checks if self.doctor is not None else ()
        return next((c.summary for c in checks if c.status is CheckStatus.FAIL), "")

    def ways(self) -> tuple[Way, ...]:
        """Every way there is."""
        return ways_for(self.machine, self.host, self.look, self.jump)

    def way(self, name: str) -> Way:
        """The way that ``--via`` names.

        :raises UsageError: there is none
        """
        return pick(name, self.ways(), self.machine, self._source)

    def has_console(self) -> bool:
        """Whether the inventory gives it one."""
        return self.machine.console is not None or self.machine.bmc is not None

    def open_console(self, folder: Path) -> str:
        """Record the console in ``folder`` from now on; where it is.

        :raises KautopsyError: it cannot be opened
        """
        source = open_console(self.machine, self.jump)
        if source is None:
            raise UnreachableError("has no console", thing=self.machine.name, slug="no-console")
        recording = Recording(folder, tee=self.tee)
        self._stack.callback(recording.close)
        self._stack.callback(source.close)
        source.start(recording)
        self._source = source
        self.watch = ConsoleWatch(recording, on_event=self._note)
        return source.where

    def _note(self, event: ConsoleEvent) -> None:
        """Where the machine is, by its console; once it was told to panic."""
        if self.record is not None and event.kind in _STATES:
            self.state = _STATES[event.kind]
        if self.on_event is not None:
            self.on_event(event)

    def write_nonce(self) -> str:
        """A random line in the machine's log; whether it came out of the console is remembered.

        :raises UnreadableError: it could not be written
        """
        self.nonce = f"kautopsy-drill-{secrets.token_hex(8)}"
        # Level 1 (alert) is shown on a console whatever its level, but for "quiet" ones of 0.
        done = self.host.script(
            'printf "<1>%s (%s)\\n" "$1" "$2" >/dev/kmsg', self.nonce, who_am_i(), timeout=30.0
        )
        if done.status:
            raise UnreadableError(
                f"the nonce cannot be written to /dev/kmsg: {done.complaint}",
                thing=self.machine.name,
                slug="no-nonce",
                hint="log in as root, or let sudo work without a password",
            )
        if self.watch is not None:
            seen = self.watch.wait_for_text(self.nonce, _ON_CONSOLE)
            self.console_proof = seen and is_the_bmcs(self.machine)
        return self.nonce

    def remember_captures(self) -> int:
        """Keep which dumps are there, so that the new one is known by being new."""
        found = captures(list_captures(self.host, self.machine.dumps))
        self.before = tuple(c.dump or c.log or c.folder for c in found)
        return len(found)

    def leave(self, order: Order, whose: Whose | None) -> Leave:
        """The guard's leave.

        :raises RefusedError: no
        """
        return ask_leave(
            order,
            self.machine,
            self.look,
            whose,
            ready=self.ready,
            not_ready_why=self.not_ready_why,
            console_proof=self.console_proof,
        )

    # -- the deed ----------------------------------------------------------------------------

    def fire(self, way: Way, leave: Leave) -> str:
        """Write down what will be done, and do it; what the controller said.

        :raises KautopsyError: it was not done
        """
        look = self.look
        self.record = TriggerRecord(
            host=self.machine.name,
            nodename=leave.node,
            via=way.name,
            what=way.what,
            who=who_am_i(),
            when=time.time(),
            proof=leave.proof,
            machine_clock=look.clock if look else None,
            boot_id=look.boot_id if look else None,
            nonce=self.nonce,
            ready=self.ready,
            captures=self.before,
            console=str(self.watch.recording.log) if self.watch is not None else None,
        )
        self.record_file = keep(self.record)
        if self.watch is not None:
            self.watch.start_over()
        self.state = "told to panic: whether it did is not known"
        try:
            return way.fire()
        except KautopsyError as error:
            # Only what surely did not get through leaves the machine as it was.
            if error.exit_code.name in ("REFUSED", "USAGE") or error.slug in _NOT_TOLD:
                self.state = "untouched: the trigger was not pulled"
                self.finish(f"not told: {error}")
            raise

    def finish(self, outcome: str) -> None:
        """Add to the record what came of it."""
        if self.record is not None and self.record_file is not None:
            self.record = finish(self.record_file, self.record, outcome)

    # -- after -------------------------------------------------------------------------------

    def wait_for_panic(self) -> Verdict:
        """Did it die? A controller's success is no answer; the console's words and a return are."""
        deadline = time.monotonic() + self.limits.panic
        watch = self.watch
        polled = time.monotonic()
        while time.monotonic() < deadline:
            if watch is not None:
                event = watch.wait({*DEATH, Kind.NMI_IGNORED, Kind.FIRMWARE, Kind.BOOTED}, 1.0)
                if event is not None:
                    return self._judge(event)
            else:
                time.sleep(1.0)
            if time.monotonic() - polled >= _POLL and self.look is not None:
                polled = time.monotonic()
                now = self.peek()
                if now is None and watch is None:
                    # It was there, and is gone: dead, or on its way. Its return will tell.
                    self.state = "gone: it answers no more; it may be saving its dump"
                    return Verdict(None, "it answers no more")
                if now is not None and self._another_boot(now):
                    self.state = "back: it has booted again"
                    return Verdict(True, "it answers with another boot id")
        now = self.peek() if self.look is not None else None
        if now is not None and not self._another_boot(now):
            self.state = "alive: it took no notice of the trigger"
            return Verdict(
                False,
                "it still answers, with the same boot id: the trigger was lost",
                fix=f"try once more (--repeat 1); it had been up for {now.uptime or 0:.0f} s",
            )
        return Verdict(
            None,
            f"in {self.limits.panic:.0f} s its console told of no panic"
            if watch is not None
            else "nothing tells whether it panicked",
        )

    def _judge(self, event: ConsoleEvent) -> Verdict:
        if event.kind is Kind.NMI_IGNORED:
            self.state = "alive: it ignored the NMI"
            return Verdict(
                False,
                f"its kernel said: {event.line}",
                fix="sysctl -w kernel.unknown_nmi_panic=1, and a line of it in /etc/sysctl.d; then"
                " again",
            )
        if event.kind in (Kind.FIRMWARE, Kind.BOOTED):
            self.state = "rebooting: it was reset, not panicked; there will be no dump"
            return Verdict(
                False,
                f"it was reset and boots, without a panic: {event.line}",
                fix="look what the controller does for a diagnostic interrupt, and whether a"
                " watchdog was faster",
            )
        return Verdict(True, self.title() or event.line)

    def title(self) -> str:
        """What the text engine calls the crash that the console told of."""
        return title_of(self.watch.recording.text()) if self.watch is not None else ""

    def wait_for_capture(self) -> ConsoleEvent | None:
        """Until the capture kernel, or the end of all hope, shows on the console."""
        assert self.watch is not None
        kinds = {Kind.CAPTURE_BOOTED, Kind.SAVING, Kind.SAVED, Kind.SAVE_FAILED, Kind.FIRMWARE}
        return self.watch.saw(*kinds) or self.watch.wait(kinds | {Kind.BOOTED}, self.limits.capture)

    def wait_for_save(self) -> ConsoleEvent | None:
        """Until it is saved, has failed, or boots again; a failure may still be made good."""
        assert self.watch is not None
        ends = {Kind.SAVED, Kind.REBOOTING, Kind.FIRMWARE, Kind.BOOTED, Kind.LOGIN, Kind.LOST}
        if (saved := self.watch.saw(Kind.SAVED)) is not None:
            return saved
        failed = self.watch.saw(Kind.SAVE_FAILED)
        if failed is None:
            event = self.watch.wait(ends | {Kind.SAVE_FAILED}, self.limits.save)
            if event is None or event.kind is not Kind.SAVE_FAILED:
                return event
            failed = event
        # kdump-tools falls back on cp, kdump.sh on another action: what comes next decides.
        later = self.watch.wait(ends, min(60.0, self.limits.save))
        return later if later is not None and later.kind is Kind.SAVED else failed

    def wait_for_return(self) -> Look | None:
        """Until it answers ssh with another boot id; None if it does not in time."""
        deadline = time.monotonic() + self.limits.back
        while True:
            now = self.peek()
            if now is not None and not now.capturing and self._another_boot(now):
                self.state = "back: it has booted again"
                self.finish("back, with another boot id")
                return now
            if self.watch is not None:
                self.watch.read()
            if time.monotonic() > deadline:
                return None
            time.sleep(_POLL)

    def peek(self) -> Look | None:
        """One look over a connection of its own: the old one is dead and does not know it."""
        with contextlib.suppress(KautopsyError), self._open(quick=True) as host:
            return look_at(host, timeout=self.limits.look)
        return None

    def reopen(self) -> Host:
        """A new connection, for the machine that came back."""
        self.host = self._stack.enter_context(self._open())
        return self.host

    def _another_boot(self, now: Look) -> bool:
        """Whether it is another boot than the one that was panicked, as far as anybody can tell."""
        if self.look is not None and self.look.boot_id and now.boot_id:
            return now.boot_id != self.look.boot_id
        # Nobody saw the old boot: one that is younger than the trigger is another.
        fired = self.record.when if self.record is not None else time.time()
        return now.uptime is not None and now.uptime < time.time() - fired

    def _open(self, *, quick: bool = False) -> contextlib.AbstractContextManager[Host]:
        machine = self.machine
        hurry = (f"ConnectTimeout={self.limits.connect:.0f}",) if quick else ()
        return open_host(machine.target, jump=machine.jump, options=(*hurry, *machine.options))
