"""The drill on a guest of the lab: crash a real kernel, and check all that must follow."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kautopsy.drill.records import new_folder, write_record
from kautopsy.drill.stages import DrillFailedError, Name, Stages, Watch
from kautopsy.dump.header import read_dump
from kautopsy.lab.config import GuestConfig
from kautopsy.lab.diagnosis import CAPTURE_BOOTED
from kautopsy.lab.errors import CaptureError
from kautopsy.lab.facts import GuestFacts
from kautopsy.lab.guest import Guest, State, Way
from kautopsy.lab.kernels import GuestKernel, fetch_kernel
from kautopsy.lab.tools import Tools, fetch_tools
from kautopsy.model.base import Unreadable
from kautopsy.model.crash import Kind, TaskRef
from kautopsy.model.drill import DrillRecord, Stage, StageStatus
from kautopsy.model.errors import KautopsyError, UnreadableError
from kautopsy.model.report import Report
from kautopsy.triage.isolation import analyse

GuestConfigMaker = Callable[[GuestKernel], GuestConfig]
_EXPECTED = {Way.SYSRQ: Kind.OPERATOR_SYSRQ, Way.NMI: Kind.OPERATOR_NMI}


@dataclass(frozen=True)
class Outcome:
    """A drill that ended, whichever way.

    :param record: as it was written to ``file``
    :param failed: the stage that failed, None if all passed
    """

    record: DrillRecord
    file: Path
    failed: Stage | None


class GuestDrill:
    """One drill.

    :param series: the kernel's, ``6.1``
    :param config: makes the guest's configuration once the kernel is known
    :param debuginfo: fetch the kernel's DWARF if it is not in the cache
    :param out: where vmcore and console.log go; by default beside the record
    """

    def __init__(
        self,
        series: str,
        *,
        way: Way = Way.SYSRQ,
        config: GuestConfigMaker = GuestConfig,
        debuginfo: bool = False,
        out: Path | None = None,
    ) -> None:
        self._series = series
        self._way = way
        self._config = config
        self._debuginfo = debuginfo
        self._folder = new_folder(series)
        self._out = out or self._folder
        self._out.mkdir(parents=True, exist_ok=True)
        self.nonce = f"kautopsy-drill-{secrets.token_hex(8)}"
        self._dump: Path | None = None
        self._report: Report | None = None
        self._writer: TaskRef | None = None

    def walk(self, watch: Watch) -> Outcome:
        """Do it; a stage that fails is in the outcome, not an exception."""
        stages = Stages(watch)
        with contextlib.suppress(DrillFailedError):
            kernel, tools, vmlinux = self._fetch(stages)
            with Guest(self._config(kernel)) as guest, self._evidence(guest):
                facts = self._crash(guest, stages)
                self._save(guest, stages)
            self._check(stages, facts, tools, vmlinux)
        return self._record(stages)

    def _fetch(self, stages: Stages) -> tuple[GuestKernel, Tools, Path | None]:
        with stages.stage(Name.KERNEL) as view:
            kernel = fetch_kernel(self._series)
            tools = fetch_tools(kernel.series.tools)
            vmlinux = kernel.vmlinux() if self._debuginfo else kernel.cached_vmlinux
            view.detail = f"{kernel.release} ({kernel.package} {kernel.version})"
        return kernel, tools, vmlinux

    def _crash(self, guest: Guest, stages: Stages) -> GuestFacts:
        with stages.stage(Name.BOOTED) as view:
            guest.transition(State.BOOTED)
            facts = guest.facts()
            view.detail = (
                f"{facts.cpus} CPUs, {facts.memory_kib >> 10} MiB, under {guest.accelerator}"
            )
        with stages.stage(Name.ARMED) as view:
            guest.transition(State.ARMED)
            size = int(guest.run("cat /sys/kernel/kexec_crash_size").output)
            view.detail = f"kexec_crash_loaded=1, kexec_crash_size={size >> 20} MiB"
        with stages.stage(Name.NONCE) as view:
            guest.note(self.nonce)
            view.detail = self.nonce
        with stages.stage(Name.TRIGGERED) as view:
            guest.crash(self._way)
            self._writer = guest.writer
            said = guest.console.texts[guest.panic_line].strip()
            if CAPTURE_BOOTED.search(said):
                said = "the capture kernel took over before the console got a word"
            view.detail = said
        return facts

    def _save(self, guest: Guest, stages: Stages) -> None:
        with stages.stage(Name.CAPTURE_KERNEL) as view:
            guest.wait_for_capture_kernel()
            view.detail = "its first process runs"
        with stages.stage(Name.SAVED) as view:
            dump = self._out / "vmcore"
            try:
                guest.transition(State.CAPTURED)
            except CaptureError:
                # Half a dump is evidence too.
                if guest.take_dump(dump):
                    self._dump = dump
                raise
            if not guest.take_dump(dump):
                raise CaptureError(
                    "makedumpfile reported success and left no file",
                    hint="look at console.log, which is kept beside the record",
                )
            self._dump = dump
            view.detail = f"{dump} ({dump.stat().st_size / (1 << 20):.1f} MiB)"

    def _check(self, stages: Stages, facts: GuestFacts, tools: Tools, vmlinux: Path | None) -> None:
        dump = self._dump
        assert dump is not None
        with stages.stage(Name.VERIFIED) as view:
            header = read_dump(dump)
            if not header.complete:
                raise UnreadableError(
                    "; ".join(header.problems) or "is incomplete",
                    thing=str(dump),
                    slug="incomplete-dump",
                )
            if header.release != facts.release:
                raise UnreadableError(
                    f"is of {header.release}, but {facts.release} was crashed",
                    thing=str(dump),
                    slug="another-dump",
                )
            view.detail = f"complete {header.format}, {header.release}"
        with stages.stage(Name.ANALYSED) as view:
            *_, report = analyse(dump, vmlinux=vmlinux)
            self._report = report
            view.detail = judge(report, _EXPECTED[self._way], self._writer)
        with stages.stage(Name.NONCE_FOUND) as view:
            log = () if isinstance(report.log, Unreadable) else report.log
            if not any(self.nonce in line for line in log):
                # It may stand before the report's last lines.
                log = tuple(tools.kernel_log(dump))
            found = next((line for line in log if self.nonce in line), None)
            if found is None:
                raise UnreadableError(
                    f"its kernel log does not hold the nonce {self.nonce}: this is not the dump of"
                    " the crash that was just made",
                    thing=str(dump),
                    hint="look for an older dump on the target, and for pages that makedumpfile"
                    " left out",
                    slug="nonce-missing",
                )
            view.detail = found.strip()

    @contextlib.contextmanager
    def _evidence(self, guest: Guest) -> Iterator[None]:
        """Keep the console whatever happens: with a failed drill it is all there is."""
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                shutil.copyfile(guest.folder / "console.log", self._out / "console.log")

    def _record(self, stages: Stages) -> Outcome:
        with contextlib.suppress(DrillFailedError), stages.stage(Name.RECORDED) as view:
            view.detail = str(write_record(self._folder, self._make_record(stages)))
        # Once more, so that the record holds its own stage.
        record = self._make_record(stages)
        return Outcome(record, write_record(self._folder, record), stages.failed)

    def _make_record(self, stages: Stages) -> DrillRecord:
        every = stages.all()
        return DrillRecord(
            passed=all(
                stage.status is StageStatus.PASSED for stage in every if stage.name != Name.RECORDED
            ),
            stages=every,
            nonce=self.nonce,
            dump=str(self._dump) if self._dump else None,
            report=self._report,
        )


def judge(report: Report, expected: Kind, writer: TaskRef | None) -> str:
    """The verdict in a line.

    :param writer: the task that is known to have pulled the trigger, if a task did
    :raises KautopsyError: the report names another cause, or another task, than the drill's own
    """
    hint = "read the report: the machine died of something else first, or the analysis is wrong"
    blamed = report.crash.task if report.crash else None
    if writer and blamed and blamed.pid not in (None, writer.pid):
        raise KautopsyError(
            f"the report says that {blamed.comm} (pid {blamed.pid}) panicked, but it was"
            f" {writer.comm} (pid {writer.pid})",
            hint=hint,
            slug="wrong-task",
        )
    verdict = report.verdict
    if verdict is None or verdict.kind is Kind.UNKNOWN:
        return f"no verdict (symbols: {report.symbols.source})"
    if verdict.kind is not expected:
        raise KautopsyError(
            f"the verdict is {verdict.kind} ({verdict.title}), but the drill made {expected}",
            hint=hint,
            slug="wrong-verdict",
        )
    return f"{verdict.kind}: {verdict.title}"
