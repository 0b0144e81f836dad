"""The report on a log: which crash, how sure, and which lines."""

from pathlib import Path

import msgspec
import pytest

from kautopsy.model.base import Unreadable
from kautopsy.model.crash import Crash, Kind, TaskRef, Trigger
from kautopsy.model.finding import Severity
from kautopsy.model.report import Report, Symbols, SymbolSource
from kautopsy.triage.textual import add_log, choose, finding, report_on_log, report_on_logs

OOPS = """\
[   61.022113] ledger: module loaded, 2 books
[  431.100001] BUG: kernel NULL pointer dereference, address: 0000000000000010
[  431.100102] #PF: supervisor read access in kernel mode
[  431.100203] #PF: error_code(0x0000) - not-present page
[  431.100304] PGD 0 P4D 0
[  431.100405] Oops: 0000 [#1] PREEMPT SMP NOPTI
[  431.100506] CPU: 1 PID: 990 Comm: auditd Not tainted 6.1.0-56-cloud-amd64 #1  Debian 6.1.192-2
[  431.100607] Hardware name: QEMU Standard PC (i440FX + PIIX, 1996), BIOS 1.16.2 04/01/2014
[  431.100708] RIP: 0010:ledger_audit+0x14/0x60 [ledger]
[  431.100809] RSP: 0018:ffffb8f0c0a37e10 EFLAGS: 00010246
[  431.100910] RAX: 0000000000000000 RBX: ffff9b4d41a2c000 RCX: 0000000000000000
[  431.101011] CR2: 0000000000000010 CR3: 0000000101f2a000 CR4: 00000000000006f0
[  431.101112] Call Trace:
[  431.101213]  <TASK>
[  431.101314]  ledger_write+0x3c/0x70 [ledger]
[  431.101415]  vfs_write+0xc7/0x3f0
[  431.101516]  ksys_write+0x6b/0xf0
[  431.101617]  do_syscall_64+0x5d/0x90
[  431.101718]  entry_SYSCALL_64_after_hwframe+0x6e/0xd8
[  431.101819]  </TASK>
[  431.101920] Modules linked in: ledger(OE) virtio_net
[  431.102021] ---[ end trace 0000000000000000 ]---
[  431.102122] Kernel panic - not syncing: Fatal exception
"""


def _crash(kind: Kind, trigger: Trigger | None = None, *tainted: str) -> Crash:
    return Crash(kind=kind, title=f"{kind.value} {trigger} {tainted}", trigger=trigger,
                 tainted=tainted, task=TaskRef(pid=1, comm="x"))  # fmt: skip


def test_an_oops_is_reported_with_its_function(tmp_path: Path) -> None:
    log = tmp_path / "console"
    log.write_text("boot\n" * 1000 + OOPS + "[    0.000000] Linux version 6.1 next boot\n" * 50)
    report = report_on_log(log)
    assert report.dump is None and report.system is None
    assert report.crash is not None and report.verdict is not None
    assert report.verdict.kind is Kind.NULL_DEREFERENCE
    assert 0.5 < report.verdict.confidence < 0.95
    assert report.verdict.culprit is not None
    assert report.verdict.culprit.function == "ledger_audit"
    assert report.verdict.culprit.module == "ledger"
    assert report.log_file == str(log)
    # The lines carried end with the crash, and begin some way before it.
    assert isinstance(report.log, tuple)
    assert report.log_start is not None and report.crash.text is not None
    assert report.log[report.crash.text.first_line - report.log_start] == OOPS.split("\n")[1]
    assert report.log[-1] == "[  431.102122] Kernel panic - not syncing: Fatal exception"
    assert 300 <= len(report.log) <= 330


def test_a_log_without_a_crash_is_no_crash(tmp_path: Path) -> None:
    log = tmp_path / "console"
    log.write_text("[    1.000000] all is well\n" * 500)
    report = report_on_log(log)
    assert report.crash is None and report.findings == ()
    assert report.verdict is not None
    assert report.verdict.kind is Kind.UNKNOWN and report.verdict.confidence == 0
    assert len(report.log) == 300 if isinstance(report.log, tuple) else False


WARNING = _crash(Kind.WARNING)
OOPS_1 = _crash(Kind.NULL_DEREFERENCE, Trigger.OOPS)
OOPS_2 = _crash(Kind.BAD_POINTER, Trigger.OOPS, "D")
SOFT = _crash(Kind.SOFT_LOCKUP, Trigger.SOFT_LOCKUP)
HUNG = _crash(Kind.HUNG_TASK)


@pytest.mark.parametrize(
    ("crashes", "chosen"),
    [
        ([], None),
        ([WARNING], WARNING),
        ([OOPS_1, WARNING], OOPS_1),
        ([WARNING, HUNG, WARNING], HUNG),
        ([SOFT, OOPS_1, HUNG], OOPS_1),
        # The second oops is what a dying kernel stumbles over ...
        ([OOPS_1, OOPS_2], OOPS_1),
        # ... but one is better than none.
        ([OOPS_2, WARNING], OOPS_2),
        # Two boots: the later one.
        ([OOPS_1, SOFT, msgspec.structs.replace(OOPS_1, title="later")], "later"),
    ],
)
def test_which_crash_ended_the_machine(crashes: list[Crash], chosen: Crash | str | None) -> None:
    best, others, count = choose(crashes)
    assert (best.title if isinstance(chosen, str) and best else best) == chosen
    assert count == len(crashes)
    assert len(others) == max(len(crashes) - 1, 0)


@pytest.mark.parametrize("kind", list(Kind))
def test_text_is_never_certain(kind: Kind) -> None:
    found = finding(_crash(kind, Trigger.PANIC))
    assert found.confidence <= 0.85
    assert found.explanation and found.next


def test_a_victim_is_called_one() -> None:
    found = finding(HUNG)
    assert found.confidence < finding(OOPS_1).confidence
    assert found.tasks[0].role == "victim"
    assert "names the victim" in found.explanation
    assert found.severity is Severity.WARNING


def test_a_garbled_crash_is_no_verdict() -> None:
    garbled = msgspec.structs.replace(OOPS_1, corrupted=True, corrupted_reason="lines are mixed")
    assert finding(garbled).confidence < 0.5
    assert "lines are mixed" in finding(garbled).explanation


def test_the_first_log_with_a_crash_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("nothing\n")
    (tmp_path / "b").write_text(OOPS)
    assert report_on_logs([tmp_path / "a", tmp_path / "b"]).log_file == str(tmp_path / "b")
    assert report_on_logs([tmp_path / "a"]).crash is None


def test_a_dump_that_lost_its_log_gets_the_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "dmesg").write_text(OOPS)
    lost = Report(
        dump=None, symbols=Symbols(source=SymbolSource.NONE), system=None, crash=None,
        log=Unreadable("page excluded"),
    )  # fmt: skip
    report = add_log(lost, [tmp_path / "dmesg"])
    assert report.crash is not None and report.crash.kind is Kind.NULL_DEREFERENCE
    assert report.verdict is not None and report.verdict.finding == 0
    assert report.findings[0].kind is Kind.NULL_DEREFERENCE
    assert any("the log is that of" in note for note in report.symbols.notes)


def test_a_lockup_that_panicked_counts_more_than_one_of_the_capture_kernel() -> None:
    died = msgspec.structs.replace(
        _crash(Kind.SOFT_LOCKUP, Trigger.SOFT_LOCKUP),
        follow_ups=("Kernel panic - not syncing: softlockup: hung tasks",),
    )
    while_saving = _crash(Kind.SOFT_LOCKUP, Trigger.SOFT_LOCKUP, "W")
    best, others, _ = choose((died, while_saving))
    assert best == died
    assert others == (while_saving,)
