"""Panic one machine, and see what becomes of it: what ``trigger`` and ``drill`` have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kautopsy.drill.session import Session, Verdict
from kautopsy.model.errors import KautopsyError, RefusedError
from kautopsy.model.trigger import ConsoleEventKind, TriggerDocument
from kautopsy.trigger.guard import Leave, Order, must_be_named, one_name
from kautopsy.trigger.obedience import would_obey
from kautopsy.trigger.way import Way
from kautopsy.trigger.ways import explain

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What the operator wants.

    :param via: the way, as ``--via`` names it
    :param crash: the node name; None is a dry run
    :param repeat: how often a trigger that was lost is repeated
    :param watch: wait until the dump is saved and the machine is back
    """

    via: str
    crash: str | None
    even_if_not_ready: bool = False
    again: bool = False
    repeat: int = 0
    watch: bool = True
    nonce: bool = True

    def order(self, crash: str) -> Order:
        """For the guard."""
        return Order(crash, self.even_if_not_ready, self.again)


@dataclass(frozen=True)
class Aim:
    """Everything the guard wants is there."""

    way: Way
    leave: Leave
    why: str


def explain_ways(session: Session) -> TriggerDocument:
    """Which ways there are, and whether the kernel would obey."""
    look = session.ask()
    return TriggerDocument(
        host=session.machine.name,
        nodename=look.node if look is not None else None,
        via=None,
        fired=False,
        ways=explain(session.ways(), look),
        notes=(f"it does not answer over ssh: {session.trouble}",) if look is None else (),
    )


def aim(session: Session, asked: Asked, crash: str) -> Aim:
    """Ask everybody who has a say, and change nothing.

    :raises KautopsyError: it would not work, or is refused
    """
    way = session.way(asked.via)
    ability = way.can()
    if ability.possible is False:
        raise RefusedError(ability.why, thing=f"{session.machine.name}, {way.name}", slug="no-way")
    obedience = would_obey(way.effect, session.look)
    if obedience.obeyed is False and not asked.even_if_not_ready:
        raise RefusedError(
            f"its kernel would not panic: {obedience.why}",
            thing=session.machine.name,
            hint="--even-if-not-ready sends it all the same",
            slug="would-be-ignored",
        )
    leave = session.leave(asked.order(crash), way.whose())
    return Aim(way, leave, f"{ability.why}; kernel: {obedience.why}")


def trigger(
    session: Session, asked: Asked, *, folder: Path | None = None, tell: Tell = lambda _line: None
) -> TriggerDocument:
    """Panic the machine, or with no ``crash`` say what would be done.

    :param folder: where the console is recorded; None: nowhere, and nobody watches
    :raises KautopsyError: it was refused, or not done
    """
    if asked.crash is not None:
        # Before anybody is asked anything: a pattern is refused whatever the machines say.
        one_name(asked.crash)
    look = session.ask()
    if asked.crash is not None and look is not None:
        must_be_named(asked.crash, session.machine, look)
    session.examine()
    if asked.crash is None:
        return _rehearse(session, asked)
    notes = _prepare(session, asked, folder, tell)
    aimed = aim(session, asked, asked.crash)
    tell(f"proof: {aimed.leave.proof}")
    said = session.fire(aimed.way, aimed.leave)
    tell(f"{aimed.way.name}: {said}; written down in {session.record_file}")
    verdict = confirm(session, aimed, asked.repeat, tell)
    if verdict.panicked is not False and asked.watch:
        notes += _follow(session, tell)
    elif verdict.panicked is False:
        notes.append(f"{verdict.saw}; fix: {verdict.fix}" if verdict.fix else verdict.saw)
    confirmed = verdict.panicked
    if confirmed is None and session.state.startswith("back"):
        confirmed = True
    session.finish(f"{session.state} ({verdict.saw})")
    watch = session.watch
    return TriggerDocument(
        host=session.machine.name,
        nodename=aimed.leave.node,
        via=aimed.way.name,
        fired=True,
        confirmed=confirmed,
        ready=session.ready,
        notes=(*notes, f"the machine is {session.state}"),
        events=tuple(watch.events) if watch is not None else (),
        console_log=str(watch.recording.log) if watch is not None else None,
        record=str(session.record_file),
    )


def confirm(session: Session, aimed: Aim, repeat: int, tell: Tell) -> Verdict:
    """Wait for the panic; a trigger that was surely lost is repeated as often as was asked."""
    verdict = session.wait_for_panic()
    while verdict.panicked is False and repeat > 0 and session.state.startswith("alive: it took"):
        repeat -= 1
        tell(f"{verdict.saw}; once more")
        session.fire(aimed.way, aimed.leave)
        verdict = session.wait_for_panic()
    return verdict


def _prepare(session: Session, asked: Asked, folder: Path | None, tell: Tell) -> list[str]:
    """The console first, so that nothing of it is missed; then the nonce, and what is there."""
    notes = []
    if folder is not None and session.has_console():
        try:
            tell(f"console: {session.open_console(folder)}, kept in {folder}")
        except KautopsyError as error:
            notes.append(f"nobody watches its console: {error}")
            tell(notes[-1])
    if session.look is None:
        notes.append(f"it does not answer over ssh: {session.trouble}")
        return notes
    for step in (session.write_nonce, session.remember_captures):
        try:
            step()
        except KautopsyError as error:
            notes.append(str(error))
    return notes


def _rehearse(session: Session, asked: Asked) -> TriggerDocument:
    """The dry run: what would be done, and what the guard would say."""
    look = session.look
    node = look.node if look is not None else session.machine.nodename
    notes = []
    refused = None
    way = session.way(asked.via)
    try:
        aimed = aim(session, asked, node or "unknown")
        notes.append(f"would do: {aimed.way.what}")
        notes.append(f"because: {aimed.leave.proof}; {aimed.why}")
        notes.append(f"nothing was done; to do it: --crash {node}")
    except KautopsyError as error:
        refused = str(error)
        notes.append(f"would not do: {way.what}")
        notes.append(f"because: {refused}")
    if session.ready is None:
        notes.append("nobody can tell whether it would leave a dump")
    return TriggerDocument(
        host=session.machine.name,
        nodename=look.node if look is not None else None,
        via=way.name,
        fired=False,
        refused=refused,
        ready=session.ready,
        notes=tuple(notes),
    )


def _follow(session: Session, tell: Tell) -> list[str]:
    """Until the dump is saved, and the machine is back if it ever answered."""
    notes = []
    if session.watch is not None and not session.state.startswith("back"):
        session.wait_for_capture()
        event = session.wait_for_save()
        if event is None:
            notes.append("its console did not tell of a dump in time")
        elif event.kind is ConsoleEventKind.SAVED:
            tell("its dump is saved")
        elif event.kind is ConsoleEventKind.SAVE_FAILED:
            notes.append(f"no dump was saved: {event.detail or event.line}")
    if session.wait_for_return() is None:
        notes.append(f"it did not answer again in {session.limits.back:.0f} s")
    return notes
