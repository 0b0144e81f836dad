"""The drill on a machine: it is panicked on purpose, and everything that must follow is checked.

reached → ready → console → nonce → triggered → panicked → capture kernel → saved → back → collected
→ verified → analysed → recorded. Each has its time limit; whatever ends the walk, the record says
in which state the machine was left.
"""

from __future__ import annotations

import contextlib
import re
import time
from functools import partial
from pathlib import Path

import msgspec

from kautopsy.capture.verify import Expected, is_good
from kautopsy.drill.collecting import Harvest, OnFile, Wishes, collect
from kautopsy.drill.elsewhere import Reach
from kautopsy.drill.firing import Aim, Asked, Tell, aim, confirm
from kautopsy.drill.guest import Outcome
from kautopsy.drill.machine_record import keep_on_machine
from kautopsy.drill.records import new_folder, write_record
from kautopsy.drill.session import Session
from kautopsy.drill.stages import DrillFailedError, HostStage, Stages, Watch
from kautopsy.drill.witnesses import witnesses
from kautopsy.model.crash import Kind
from kautopsy.model.drill import DrillRecord, StageStatus
from kautopsy.model.errors import ExitCode, KautopsyError, RefusedError
from kautopsy.model.readiness import CheckStatus
from kautopsy.model.report import Report
from kautopsy.model.trigger import ConsoleEventKind
from kautopsy.trigger.guard import must_be_named, one_name
from kautopsy.trigger.records import who_am_i
from kautopsy.trigger.way import Effect

_EXPECTED = {
    Effect.NMI: (Kind.OPERATOR_NMI, Kind.HARDWARE_NMI),
    Effect.SYSRQ_WRITE: (Kind.OPERATOR_SYSRQ,),
    Effect.SYSRQ_KEY: (Kind.OPERATOR_SYSRQ,),
}


class RackDrill:
    """One drill.

    :param crash: the node name that ``--crash`` gave
    :param out: where the dump goes; by default beside the record
    :param reach: opens the server that the machine saves its dumps on
    :ivar exit_code: of the command
    """

    def __init__(
        self,
        session: Session,
        asked: Asked,
        crash: str,
        *,
        out: Path | None = None,
        tell: Tell = lambda _line: None,
        on_file: OnFile | None = None,
        strip: int | None = None,
        reach: Reach | None = None,
    ) -> None:
        self._session = session
        self._asked = asked
        self._crash = one_name(crash)
        self._folder = new_folder(re.sub(r"[^A-Za-z0-9._-]", "_", crash))
        self._out = out or self._folder
        self._tell = tell
        self._on_file = on_file
        self._strip = strip
        self._reach = reach
        self._aim: Aim | None = None
        self._harvest: Harvest | None = None
        self._report: Report | None = None
        self._fired_at: float | None = None
        self.exit_code = ExitCode.OK

    def walk(self, watch: Watch) -> Outcome:
        """Do it; a stage that fails is in the outcome, not an exception."""
        stages = Stages(watch, HostStage)
        try:
            self._before(stages)
            self._panic(stages)
            self._after(stages)
        except DrillFailedError as error:
            self.exit_code = error.exit_code
            self._look_for_witnesses()
        except (KeyboardInterrupt, SystemExit):
            self._tell(f"interrupted: {self._session.machine.name} is {self._session.state}")
            self._session.finish(f"interrupted: {self._session.state}")
            self._record(stages)
            raise
        return self._record(stages)

    # -- before ------------------------------------------------------------------------------

    def _before(self, stages: Stages) -> None:
        session = self._session
        with stages.stage(HostStage.REACHED) as view:
            look = session.ask()
            if look is None:
                view.detail = f"it does not answer over ssh: {session.trouble}"
            else:
                must_be_named(self._crash, session.machine, look)
                view.detail = f"{look.node}, {look.release}, up {look.uptime or 0:.0f} s"
        if look is None:
            stages.skip(HostStage.READY, "it does not answer: nobody can tell")
        else:
            with stages.stage(HostStage.READY) as view:
                view.detail = self._readiness()
        if session.has_console():
            with stages.stage(HostStage.CONSOLE) as view:
                view.detail = session.open_console(self._folder)
        else:
            stages.skip(HostStage.CONSOLE, "the inventory gives it none")
        if look is None:
            stages.skip(HostStage.NONCE, "it does not answer")
        else:
            with stages.stage(HostStage.NONCE) as view:
                view.detail = session.write_nonce()
                count = session.remember_captures()
                view.detail += f"; {count} earlier crash(es) there"
                if session.console_proof:
                    view.detail += "; it came out of the BMC's console"

    def _readiness(self) -> str:
        session = self._session
        document = session.examine()
        assert document is not None
        warned = [c.id for c in document.checks if c.status is CheckStatus.WARN]
        if document.ready is False and not self._asked.even_if_not_ready:
            raise RefusedError(
                f"doctor says that it would leave no dump: {session.not_ready_why}",
                thing=session.machine.name,
                hint="kautopsy doctor shows every fix; --even-if-not-ready drills all the same",
                slug="not-ready",
            )
        words = {True: "ready", False: "NOT ready", None: "nobody can tell"}[document.ready]
        return f"{words}, {len(warned)} warning(s)"

    # -- the deed ----------------------------------------------------------------------------

    def _panic(self, stages: Stages) -> None:
        session = self._session
        with stages.stage(HostStage.TRIGGERED) as view:
            self._aim = aim(session, self._asked, self._crash)
            self._fired_at = time.time()
            said = session.fire(self._aim.way, self._aim.leave)
            view.detail = f"{self._aim.way.name}: {said}; {self._aim.leave.proof}"
        with stages.stage(HostStage.PANICKED) as view:
            verdict = confirm(session, self._aim, self._asked.repeat, self._tell)
            view.detail = verdict.saw
            if verdict.panicked is False:
                raise KautopsyError(
                    f"it did not panic: {verdict.saw}", hint=verdict.fix, slug="no-panic"
                )
            if verdict.panicked is None and session.watch is not None and session.look is None:
                raise KautopsyError(
                    f"nothing tells that it panicked: {verdict.saw}",
                    hint="it did not answer before either: is its console the one that is watched?",
                    slug="no-panic",
                )

    # -- after -------------------------------------------------------------------------------

    def _after(self, stages: Stages) -> None:
        session = self._session
        if session.watch is None:
            for name in (HostStage.CAPTURE_KERNEL, HostStage.SAVED):
                stages.skip(name, "no console tells of it")
        elif not session.state.startswith("back"):
            self._watch_capture(stages)
        with stages.stage(HostStage.BACK) as view:
            now = session.wait_for_return()
            if now is None:
                raise KautopsyError(
                    f"it did not answer again in {session.limits.back:.0f} s",
                    thing=session.machine.name,
                    hint="look at its console; kernel.panic = 10 lets a failed capture reboot",
                    slug="not-back",
                )
            view.detail = f"{now.release}, with another boot id, up {now.uptime or 0:.0f} s"
        self._bring_home(stages)

    def _watch_capture(self, stages: Stages) -> None:
        session = self._session
        with stages.stage(HostStage.CAPTURE_KERNEL) as view:
            event = session.wait_for_capture()
            if event is not None and event.kind is ConsoleEventKind.SAVE_FAILED:
                raise KautopsyError(event.detail or event.line, slug="no-capture")
            if event is None or event.kind in (ConsoleEventKind.FIRMWARE, ConsoleEventKind.BOOTED):
                raise KautopsyError(
                    "no capture kernel showed on its console"
                    + (": it boots anew" if event is not None else ""),
                    hint="is console= on the capture kernel's command line, and kdump loaded?",
                    slug="no-capture",
                )
            view.detail = event.line
        with stages.stage(HostStage.SAVED) as view:
            event = session.wait_for_save()
            if event is not None and event.kind is ConsoleEventKind.SAVE_FAILED:
                raise KautopsyError(event.detail or event.line, slug="not-saved")
            # Not every collector says that it is done: that the machine boots, says it too.
            said = (event.line or event.detail) if event is not None else ""
            view.detail = said or "its console does not say"

    def _bring_home(self, stages: Stages) -> None:
        session = self._session
        look, record = session.look, session.record
        expected = Expected(
            release=look.release if look else None,
            # A trigger's time by the machine's own clock.
            when=(look.clock if look and look.clock else record.when if record else None),
            before=session.before,
            boot_id=look.boot_id if look else None,
            nonce=session.nonce,
        )
        with stages.stage(HostStage.COLLECTED) as view:
            host = session.reopen()
            wishes = Wishes(
                out=self._out, wait=session.limits.save, strip=self._strip,
                more=session.machine.dumps,
            )  # fmt: skip
            self._harvest = collect(
                host,
                session.machine.name,
                wishes,
                expected=expected,
                on_file=self._on_file,
                witnesses=partial(witnesses, session.machine),
                reach=self._reach,
            )
            one = next((c for c in self._harvest.document.collected if c.dump), None)
            if one is None:
                raise KautopsyError(
                    "it left no dump: " + self._what_there_is(),
                    thing=session.machine.name,
                    hint="kautopsy doctor; the console that was recorded says how far it came",
                    slug="no-dump",
                )
            view.detail = f"{one.dump} ({one.capture.size / (1 << 20):.1f} MiB)"
        with stages.stage(HostStage.VERIFIED) as view:
            bad = [c for c in one.checks if c.status is CheckStatus.FAIL]
            if not is_good(one.checks):
                raise KautopsyError(
                    "; ".join(f"{c.id}: {c.summary}" for c in bad),
                    thing=str(one.dump),
                    hint="it is not the whole dump of this crash",
                    slug="not-verified",
                )
            view.detail = ", ".join(c.id for c in one.checks if c.status is CheckStatus.PASS)
        with stages.stage(HostStage.ANALYSED) as view:
            self._report = self._harvest.reports.get(str(one.dump))
            view.detail = self._judge()

    def _what_there_is(self) -> str:
        found = self._harvest.document.found if self._harvest else ()
        if not found:
            return "nothing is in its folders"
        return f"the newest is {found[0].dump or found[0].log}, {found[0].state}"

    def _judge(self) -> str:
        report = self._report
        if report is None:
            raise KautopsyError("the dump could not be read at home", slug="not-analysed")
        verdict = report.verdict
        if verdict is None or verdict.kind is Kind.UNKNOWN:
            return f"no verdict (symbols: {report.symbols.source})"
        assert self._aim is not None
        wanted = _EXPECTED[self._aim.way.effect]
        # A machine that was hung when it was panicked has a better verdict than the operator.
        if self._session.look is not None and verdict.kind not in wanted:
            raise KautopsyError(
                f"the verdict is {verdict.kind} ({verdict.title}), but the drill made {wanted[0]}",
                hint="read the report: the machine died of something else first, or was not well",
                slug="wrong-verdict",
            )
        return f"{verdict.kind}: {verdict.title}"

    def _look_for_witnesses(self) -> None:
        """No dump, or none that is good: whoever else tells of the crash."""
        if self._fired_at is None or self._session.state.startswith(("alive", "untouched")):
            return
        for witness in witnesses(self._session.machine, None):
            if witness.title:
                self._tell(
                    f"its {witness.kind} tells of the crash: {witness.title} ({witness.where})"
                )

    # -- the record --------------------------------------------------------------------------

    def _record(self, stages: Stages) -> Outcome:
        record = self._make_record(stages)
        with contextlib.suppress(DrillFailedError), stages.stage(HostStage.RECORDED) as view:
            view.detail = str(write_record(self._folder, record))
            if self._fired_at is not None and self._session.state.startswith(("back", "alive")):
                view.detail += f"; on the machine: {self._tell_machine(record)}"
        record = self._make_record(stages)
        return Outcome(record, write_record(self._folder, record), stages.failed)

    def _tell_machine(self, record: DrillRecord) -> str:
        """The machine keeps it too: the next doctor may come from somewhere else."""
        try:
            return keep_on_machine(self._session.host, record)
        except KautopsyError as error:
            return f"not kept: {error.what}"

    def _make_record(self, stages: Stages) -> DrillRecord:
        session = self._session
        every = stages.all()
        collected = self._harvest.document.collected if self._harvest else ()
        watch = session.watch
        passed = stages.failed is None and any(
            stage.name == HostStage.ANALYSED and stage.status is StageStatus.PASSED
            for stage in every
        )
        record = DrillRecord(
            passed=passed,
            stages=every,
            nonce=session.nonce or "",
            dump=next((c.dump for c in collected if c.dump), None),
            report=self._report,
            host=session.machine.name,
            nodename=self._crash,
            via=self._asked.via,
            when=self._fired_at,
            release=session.look.release if session.look else None,
            who=who_am_i(),
            console_log=str(watch.recording.log) if watch and watch.recording.log else None,
        )
        if passed:
            return record
        return msgspec.structs.replace(record, state=session.state)
