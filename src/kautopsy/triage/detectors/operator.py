"""Somebody asked for it: sysrq-c, or an NMI sent by an operator or a management controller.

sysrq-c calls ``panic("sysrq triggered crash")`` (drivers/tty/sysrq.c, ``sysrq_handle_crash``, since
8341f2f222d7, v4.20); before that it wrote to address 0 and looks like a NULL dereference in
``sysrq_handle_crash``. The function on the stack is the evidence; the message alone would do too.

An NMI that no handler owns panics with "NMI: Not continuing" where
``kernel.unknown_nmi_panic`` or ``kernel.panic_on_unrecovered_nmi`` is set
(arch/x86/kernel/nmi.c, ``unknown_nmi_error``): ``ipmitool chassis power diag``, ``virsh
inject-nmi`` and the NMI button all end there. Hardware that reports a fault through port 0x61
(IOCK, SERR) is somebody else's.

That somebody pulled the trigger does not say that the machine was well: the other detectors look
for what made them do it, and the verdict prefers what they find. Where they could not look, for
lack of types, of tasks or of a part of the dump, or did not come to their end, nobody can say that
the machine was well, and the confidence is low.
"""

from __future__ import annotations

from collections.abc import Iterator

from drgn import Object
from drgn.helpers.linux.mm import cmdline

from kautopsy.kernel.reading import READ_ERRORS, text
from kautopsy.model.crash import Kind, Trigger
from kautopsy.model.finding import Evidence, Finding, Severity, TaskRole
from kautopsy.triage.detector import detector
from kautopsy.triage.scene import Scene


def _command(task: Object) -> str | None:
    """The command line, where the dump holds user pages (dump level without 8)."""
    try:
        words = cmdline(task)
    except READ_ERRORS:
        return None
    return text(b" ".join(words)).strip() or None if words else None


@detector(last=True)
def detect(scene: Scene) -> Iterator[Finding]:
    """Yield at most one finding."""
    crash = scene.crash
    if crash.trigger is Trigger.SYSRQ:
        yield _sysrq(scene)
    elif crash.trigger is Trigger.NMI and crash.kind is Kind.OPERATOR_NMI:
        yield _nmi(scene)


def _was_looked_at(scene: Scene) -> bool:
    whole = scene.has_types and scene.dump.complete and not scene.unfinished
    return whole and not scene.locks_are_partial


def _confidence(scene: Scene, known: float) -> float:
    return known if _was_looked_at(scene) else 0.45


def _unless(scene: Scene) -> str:
    if _was_looked_at(scene):
        return "Unless another finding says what made them do it, nothing was wrong."
    return (
        "Whether something was wrong before, and made them do it, cannot be told: the dump lacks "
        "what the search for hangs needs."
    )


def _sysrq(scene: Scene) -> Finding:
    task = scene.crash.task
    who = "somebody"
    roles: tuple[TaskRole, ...] = ()
    evidence = [
        Evidence(what="panic message", value=scene.crash.title, show="log | tail"),
    ]
    frames = {frame.function for frame in scene.panic_frames}
    if "sysrq_handle_crash" in frames:
        evidence.append(
            Evidence(what="on the stack", value="sysrq_handle_crash", show="bt"),
        )
    by_key = not frames & {"write_sysrq_trigger", "proc_reg_write"}
    if task is not None and task.pid is not None and not by_key:
        command = None if scene.panic_task is None else _command(scene.panic_task)
        who = f"{task.comm} (pid {task.pid})"
        roles = (TaskRole(pid=task.pid, comm=task.comm, role="panicking"),)
        if command:
            evidence.append(
                Evidence(what="its command line", value=command, show=f"ps -a {task.pid}")
            )
    how = (
        "with the SysRq key or a serial break" if by_key else "by writing c to /proc/sysrq-trigger"
    )
    return Finding(
        kind=Kind.OPERATOR_SYSRQ,
        title=f"crash asked for through sysrq by {who}",
        explanation=(
            ("The kernel did not fail: " if _was_looked_at(scene) else "The kernel did not stop ")
            + ("" if _was_looked_at(scene) else "by itself: ")
            + f"{who} asked for a crash dump {how}. "
            + _unless(scene)
        ),
        confidence=_confidence(scene, 0.99 if "sysrq_handle_crash" in frames else 0.9),
        severity=Severity.INFO,
        tasks=roles,
        evidence=tuple(evidence),
        next=("Ask who or what triggered it: a drill, a watchdog script, an administrator.",),
    )


def _nmi(scene: Scene) -> Finding:
    return Finding(
        kind=Kind.OPERATOR_NMI,
        title="crash asked for by an NMI that no hardware fault explains",
        explanation=(
            "The kernel stopped because of an NMI whose reason it did not know, which is what an "
            "operator's diagnostic interrupt (ipmitool chassis power diag, virsh inject-nmi, the "
            "NMI button) looks like. " + _unless(scene)
        ),
        confidence=_confidence(scene, 0.9),
        severity=Severity.INFO,
        evidence=(Evidence(what="panic message", value=scene.crash.title, show="log | tail -40"),),
        next=(
            "Look in the management controller's event log for who sent a diagnostic interrupt.",
        ),
    )
