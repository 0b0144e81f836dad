"""A guest: a machine that boots, is armed, dies and leaves its dump, and never outlives us.

Its states are off → booted → armed → crashed → captured, and :meth:`Guest.transition` walks there.
Every step has a time limit; a guest that does not make it is a :class:`GuestLostError` or, once it
has died as it should, a :class:`CaptureError` that says why no dump came.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable
from enum import IntEnum, StrEnum
from pathlib import Path

from kautopsy.lab import diagnosis
from kautopsy.lab.accelerator import choose
from kautopsy.lab.config import GuestConfig, Limits
from kautopsy.lab.console import SerialPort
from kautopsy.lab.emulated import Emulated
from kautopsy.lab.errors import (
    ArmingError,
    CaptureError,
    GuestCommandError,
    GuestLostError,
    console_tail,
)
from kautopsy.lab.facts import PROBE, GuestFacts, parse_facts
from kautopsy.lab.initramfs import CAPTURE, VMLINUZ, Contents, build
from kautopsy.lab.kernels import GuestKernel, fetch_kernel
from kautopsy.lab.qemu import Accelerator, InitramfsHardware
from kautopsy.lab.series import DEFAULT
from kautopsy.lab.shell import CommandResult, GuestShell
from kautopsy.lab.sink import make_sink, take_dump
from kautopsy.lab.tools import fetch_tools
from kautopsy.model.crash import TaskRef
from kautopsy.model.errors import UsageError

_WRITER = "writer "
_CAPTURE_UP = re.compile(r"^capture-up ")
_CAPTURE_DONE = re.compile(r"^capture-done (\d+) ?(.*)$")
_END_OF_PANIC = re.compile(r"---\[ end Kernel panic")


class State(IntEnum):
    """How far a guest has come."""

    OFF = 0
    BOOTED = 1
    ARMED = 2
    CRASHED = 3
    CAPTURED = 4


class Way(StrEnum):
    """How to crash a guest from outside its own faults."""

    SYSRQ = "sysrq"
    NMI = "nmi"


class Guest(Emulated):
    """One guest, used as a context: leaving it ends QEMU and removes all of its files.

    :ivar state: how far it has come
    :ivar accelerator: what it runs on, from BOOTED on
    :ivar writer: the task that wrote to sysrq-trigger, from CRASHED on
    :ivar panic_line: index of the console line that announced the death
    """

    def __init__(self, config: GuestConfig, *, tee: Callable[[bytes], None] | None = None) -> None:
        super().__init__(f"guest {config.kernel.series.name}", config.limits, tee)
        self.config = config
        self.state = State.OFF
        self.accelerator: Accelerator | None = config.accelerator
        self.writer: TaskRef | None = None
        self.panic_line = 0
        self._port: SerialPort | None = None
        self._shell: GuestShell | None = None
        self._capture_up = False
        self.sink = self.folder / "sink"

    # -- what others may use -------------------------------------------------------------------

    def transition(self, target: State) -> None:
        """Walk to ``target``, through all states in between; crashes are by sysrq.

        :raises GuestLostError: it did not make it
        :raises ArmingError: kexec refused
        :raises CaptureError: it died, and left no complete dump
        """
        if target < self.state:
            raise UsageError(f"a guest that is {self.state.name} cannot go back to {target.name}")
        steps: dict[State, Callable[[], None]] = {
            State.BOOTED: self._boot,
            State.ARMED: self._arm,
            State.CRASHED: self.crash,
            State.CAPTURED: self._capture,
        }
        while self.state < target:
            steps[State(self.state + 1)]()

    def run(self, command: str, *, limit: float | None = None, check: bool = True) -> CommandResult:
        """Run shell text in the guest and wait for its end; ``&`` starts what shall stay.

        :param limit: seconds
        :raises GuestCommandError: it failed, and ``check``
        :raises GuestLostError: it did not end in time
        """
        result = self._on(self._shell).run(command, limit=limit or self._limits.command)
        if check and result.status:
            raise GuestCommandError(
                f"status {result.status}: {result.output.strip()[-300:]}", thing=command[:100]
            )
        return result

    def send(self, command: str) -> None:
        """Start shell text and do not wait: for what hangs or kills the guest."""
        self._on(self._shell).send(command, limit=self._limits.command)

    def insmod(self, path: str, *arguments: str) -> None:
        """Load a module file that is in the guest (see ``files``) with ``arguments``."""
        self.run(shlex.join(["insmod", path, *arguments]))

    def facts(self) -> GuestFacts:
        """What the living guest says of itself."""
        return parse_facts(self.run(PROBE).output)

    def note(self, text: str) -> None:
        """Write a line to the guest's kernel log."""
        self.run(f"echo {shlex.quote(text)} >/dev/kmsg")

    def crash(self, how: Way | str = Way.SYSRQ, *, cpu: int | None = None) -> None:
        """Kill the machine and wait until its console says so.

        :param how: a way, or shell text that is deadly
        :param cpu: where a sysrq is written
        """
        self._require(State.BOOTED, State.ARMED)
        start = len(self.console.lines)
        if how is Way.NMI:
            self.run("echo 1 >/proc/sys/kernel/unknown_nmi_panic")
            self.qmp.execute("inject-nmi")
        elif how is Way.SYSRQ:
            pin = "" if cpu is None else f"taskset -p {1 << cpu:x} $$ >/dev/null\n"
            # The shell itself writes: echo is built in, and cat only reads its name.
            self.send(
                f"{pin}comm=$(cat /proc/$$/comm)\n"
                f"echo {_WRITER}$$ $comm >/dev/ttyS1\n"
                # What a tty was given is not yet sent, and a crash does not wait for it.
                "read -r go </dev/ttyS1\n"
                "echo c >/proc/sysrq-trigger"
            )
            shell = self._on(self._shell)
            said = shell.line(_WRITER, limit=self._limits.command)
            shell.tell("go")
            pid, comm = said.split(" ", 1)
            self.writer = TaskRef(pid=int(pid), comm=comm)
        else:
            self.send(how)
        self.wait_for_console(
            diagnosis.DEATH, limit=self._limits.crash, start=start, what="the panic"
        )
        self.panic_line = self.console.find(diagnosis.DEATH, start) or start
        self.state = State.CRASHED

    def wait_for_console(
        self,
        pattern: re.Pattern[str],
        *,
        limit: float | None = None,
        start: int = 0,
        what: str = "",
    ) -> None:
        """Wait until ``pattern`` is found in a console line, from line ``start`` on.

        :param what: names it in the error
        """
        console = self.console
        self._wait(
            lambda: console.find(pattern, start) is not None,
            limit or self._limits.boot,
            what or f"{pattern.pattern!r} on the console",
        )

    def wait_for_capture_kernel(self) -> None:
        """Wait until the capture kernel's first process runs.

        :raises CaptureError: it never will, and why
        """
        self._require(State.CRASHED)
        console, port = self.console, self._on(self._port)

        def up() -> bool:
            if any(map(_CAPTURE_UP.match, port.whole_lines())):
                return True
            if console.silent_seconds > self._limits.silence:
                raise self._capture_error()
            # crash_kexec() runs before the end of panic() is announced.
            ended = console.find(_END_OF_PANIC, self.panic_line)
            booted = console.find(diagnosis.CAPTURE_BOOTED, self.panic_line)
            if ended is not None and booted is None:
                raise self._capture_error()
            return False

        try:
            self._wait(up, self._limits.capture_kernel, "the capture kernel")
        except GuestLostError as error:
            raise self._capture_error() from error
        self._capture_up = True

    def take_dump(self, final: Path) -> bool:
        """Copy the dump, complete or not, off the guest's disk; False if there is none."""
        if self._qemu is not None and self._qemu.running:
            self._qemu.kill()
        return take_dump(self.sink, final)

    # -- the steps -----------------------------------------------------------------------------

    def _boot(self) -> None:
        config = self.config
        kernel = config.kernel
        if self.accelerator is None:
            self.accelerator = working_accelerator(kernel)
        contents = Contents(
            modules=config.modules,
            makedumpfile=config.makedumpfile_arguments,
            hostname=config.hostname,
            files=config.files,
            prelude=config.capture_prelude,
            capture=config.capture_image,
        )
        initramfs = self.folder / "initramfs"
        tools = fetch_tools(kernel.series.tools)
        initramfs.write_bytes(build(tools, kernel.modules(), kernel.vmlinuz, contents))
        make_sink(self.sink, config.sink_mib)
        words = ["console=ttyS0", config.append]
        if config.crashkernel:
            words.append(f"crashkernel={config.crashkernel}")
        if config.shell:
            words.append("kautopsy.shell")
        hardware = InitramfsHardware(
            accelerator=self.accelerator,
            memory_mib=config.memory_mib,
            cpus=config.cpus,
            kernel=kernel.vmlinuz,
            initramfs=initramfs,
            append=" ".join(filter(None, words)),
            disks=(self.sink, *config.disks),
            extra=config.qemu,
        )
        qemu = self._switch_on(hardware)
        self._port = SerialPort(qemu.ports["shell"], news=self._news)
        self._power.callback(self._port.close)
        port, console = self._port, self.console

        def ready() -> bool:
            panic = console.find(diagnosis.PANIC)
            if panic is not None:
                # What it said first: its backtrace may be all that the tail holds by now.
                words = console.texts[panic : panic + 3]
                raise self._lost("it panicked while it booted", console=words)
            return any(line.startswith("ready ") for line in port.whole_lines())

        self._wait(ready, self._limits.boot, "its first process")
        self._shell = GuestShell(port, self._wait)
        self.state = State.BOOTED

    def _arm(self) -> None:
        append = " ".join(
            filter(
                None,
                [
                    "console=ttyS0 nr_cpus=1 irqpoll reset_devices",
                    # A capture kernel that dies shall end the guest, not hang.
                    "panic=-1",
                    self.config.capture_append,
                ],
            )
        )
        result = self.run(
            f"kexec -p /{VMLINUZ} --initrd=/{CAPTURE} --append={shlex.quote(append)}", check=False
        )
        seen = self.run(
            "cat /sys/kernel/kexec_crash_loaded /sys/kernel/kexec_crash_size", check=False
        ).output.split()
        loaded, size = (seen[0], int(seen[1])) if len(seen) == 2 else ("0", 0)
        if result.status or loaded != "1":
            raise self._why_not_armed(result, size)
        self.state = State.ARMED

    def _capture(self) -> None:
        if not self._capture_up:
            self.wait_for_capture_kernel()
        port = self._on(self._port)
        done: list[re.Match[str]] = []

        def saved() -> bool:
            done.extend(filter(None, map(_CAPTURE_DONE.match, port.whole_lines())))
            return bool(done)

        try:
            self._wait(saved, self._limits.save, "makedumpfile")
        except GuestLostError as error:
            raise self._capture_error() from error
        if int(done[0][1]):
            words = done[0][2].strip()
            told = diagnosis.no_space() if "No space left" in words else None
            raise CaptureError(
                told.reason if told else f"saving failed with status {done[0][1]}: {words[-200:]}",
                hint=told.hint if told else console_tail(self.console.texts),
            )
        assert self._qemu is not None
        if not self._qemu.wait(self._limits.command):
            self._qemu.kill()
        self.state = State.CAPTURED

    # -- helpers -------------------------------------------------------------------------------

    def _require(self, *states: State) -> None:
        if self.state not in states:
            wanted = " or ".join(state.name for state in states)
            raise UsageError(f"the guest is {self.state.name}, not {wanted}", slug="guest-state")

    def _wait(self, done: Callable[[], bool], limit: float, what: str) -> None:
        """Block until ``done()``; it is asked again after everything that either port says."""
        deadline = time.monotonic() + limit
        with self._news:
            while not done():
                left = deadline - time.monotonic()
                ports = [port for port in (self._console, self._port) if port is not None]
                if ports and all(port.closed for port in ports):
                    # Each port's last bytes are read before its own end is seen, but the end of
                    # one may be seen before the last bytes of the other.
                    if done():
                        return
                    raise self._lost(f"it ended while the lab waited for {what}")
                if left <= 0:
                    raise self._lost(f"nothing after {limit:.0f} s of waiting for {what}")
                self._news.wait(min(left, 1.0))

    def _capture_error(self) -> CaptureError:
        lines = self.console.texts[self.panic_line :]
        found = diagnosis.diagnose(lines, crashkernel=self.config.crashkernel)
        proof = f"its console says: {found.proof}" if found.proof else console_tail(lines)
        return CaptureError(found.reason, hint=f"{found.hint}; {proof}")

    def _why_not_armed(self, result: CommandResult, size: int) -> ArmingError:
        words = " ".join(result.output.split())
        reserved = f"crashkernel={self.config.crashkernel}"
        if size == 0:
            return ArmingError(
                f"no memory is reserved for a capture kernel ({reserved}): {words}",
                hint="the running kernel could not honour its crashkernel=; give it a plain size",
            )
        # kexec_load(2) fails in kexec's own locate_hole(), kexec_file_load(2) with EADDRNOTAVAIL.
        if re.search(r"locate_hole|free area of memory|Cannot assign requested address", words):
            return ArmingError(
                f"kexec finds no room for the capture kernel in the {size >> 20} MiB that are"
                f" reserved ({reserved}): {words}",
                hint="reserve more: crashkernel=256M",
            )
        if not self.config.capture_image:
            return ArmingError(
                f"there is no capture image: {words}",
                hint="build one (mkinitramfs, dracut, mkdumprd) and load it with kexec -p",
            )
        return ArmingError(
            f"kexec: {words or 'failed without a word'} (/sys/kernel/kexec_crash_loaded is not 1)",
            hint=console_tail(self.console.texts),
        )


def working_accelerator(kernel: GuestKernel | None = None) -> Accelerator:
    """The fastest accelerator that works here.

    :param kernel: to try KVM with; None fetches one if need be
    """

    def probe() -> None:
        # A plain guest: that an odd one does not boot would say nothing about KVM.
        config = GuestConfig(
            kernel or fetch_kernel(DEFAULT),
            accelerator=Accelerator.KVM,
            sink_mib=16,
            limits=Limits(boot=30.0),
        )
        with Guest(config) as guest:
            guest.transition(State.BOOTED)

    return choose(probe)
