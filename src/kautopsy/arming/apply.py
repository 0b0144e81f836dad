"""Doing a plan so that it can be taken back: undo on disk first, then the step, then a look."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from kautopsy.arming import journal as store
from kautopsy.arming.deeds import CommandDeed, Deed, FileDeed, LinkDeed, Work
from kautopsy.host.host import Host
from kautopsy.model.errors import KautopsyError, RefusedError, UnreadableError
from kautopsy.model.plan import Before, Change, Journal, Progress

Tell = Callable[[str], None]


@dataclass
class Undone:
    """What became of taking things back.

    :ivar restored: paths that are as they were
    :ivar changed: paths that somebody changed since: they were left alone
    :ivar renewed: commands that made generated files anew, because they had changed since
    :ivar failed: what could not be taken back, and why
    """

    restored: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    renewed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return not self.changed and not self.failed


def apply(host: Host, work: Work, tell: Tell) -> None:
    """Do every step in order; if one fails, take back all of this run.

    :param tell: is told each step in words before it is done
    :raises KautopsyError: a step failed; the message says whether everything is as before
    """
    journal = recover(host, tell) or Journal()
    session = max([journal.finished, *(change.session for change in journal.changes)]) + 1
    written: list[str] = []
    try:
        for deed in work.deeds:
            tell(deed.what)
            journal = _do(host, journal, session, deed, written)
        journal = store.save(host, msgspec.structs.replace(journal, finished=session))
    except BaseException as error:
        what = error.what if isinstance(error, KautopsyError) else type(error).__name__
        tell(f"failed ({what}): everything is taken back")
        try:
            undone = take_back(host, store.load(host), lambda c: c.session == session, tell)
        except KautopsyError as second:
            raise KautopsyError(
                f"{error}; and taking it back failed: {second}",
                thing=host.name,
                hint="the next `arm --apply` or `disarm` finishes that",
                slug="half-armed",
            ) from error
        if not undone.complete:
            raise KautopsyError(
                f"{error}; not taken back: {', '.join(undone.changed + undone.failed)}",
                thing=host.name,
                slug="half-armed",
            ) from error
        _tidy(host)
        raise


def recover(host: Host, tell: Tell) -> Journal | None:
    """Take back what a run left that did not come to its end; the journal that remains."""
    journal = store.load(host)
    if journal is not None and unfinished(journal):
        _refuse_if_busy(host, journal)
        store.sweep(host, (store.FOLDER,))
        tell("an earlier run was interrupted: it is taken back first")
        limit = journal.finished
        undone = take_back(host, journal, lambda change: change.session > limit, tell)
        if not undone.complete:
            raise RefusedError(
                "an interrupted run could not be taken back:"
                f" {', '.join(undone.changed + undone.failed)}",
                thing=host.name,
                hint="kautopsy disarm --force restores files that were changed since",
            )
    return _tidy(host)


def _tidy(host: Host) -> Journal | None:
    """The journal of a machine; one that holds nothing goes."""
    journal = store.load(host)
    if journal is not None and not journal.changes:
        store.remove(host, journal)
        return None
    return journal


def _refuse_if_busy(host: Host, journal: Journal) -> None:
    if who := store.busy(journal):
        raise RefusedError(
            f"is being armed by {who}",
            thing=host.name,
            hint="wait for it; if it is dead, in half an hour at most nobody waits for it any more",
            slug="busy",
        )


def unfinished(journal: Journal) -> bool:
    """Whether a run was interrupted."""
    return any(change.session > journal.finished for change in journal.changes)


def disarm(host: Host, tell: Tell, *, force: bool = False) -> Undone | None:
    """Take back everything; None if nothing was armed.

    :param force: restore files too that were changed since
    """
    journal = store.load(host)
    if journal is None:
        store.remove(host, None)
        return None
    if unfinished(journal) and not force:
        _refuse_if_busy(host, journal)
    undone = take_back(host, journal, lambda change: True, tell, force=force)
    if undone.complete:
        store.remove(host, journal)
    return undone


def take_back(
    host: Host,
    journal: Journal | None,
    which: Callable[[Change], bool],
    tell: Tell,
    *,
    force: bool = False,
) -> Undone:
    """Undo changes, the last one first; the journal keeps those that could not be undone."""
    undone = Undone()
    stale: list[Change] = []
    if journal is None:
        return undone
    for change in reversed(journal.changes):
        if not which(change):
            continue
        tell(f"take back: {change.what}")
        if _undo(host, change, undone, stale, force=force):
            journal = _without(host, journal, change)
    # What generated files are made from is as it was; now they can be made again.
    for change in stale:
        command = shlex.join(change.renew)
        if command not in undone.renewed:
            tell(f"run {command}")
            done = host.run(change.renew, timeout=600.0)
            if done.status:
                undone.failed.append(f"{command}: {done.complaint}")
                continue
            undone.renewed.append(command)
        journal = _without(host, journal, change)
    return undone


def _without(host: Host, journal: Journal, change: Change) -> Journal:
    rest = tuple(other for other in journal.changes if other is not change)
    return store.save(host, msgspec.structs.replace(journal, changes=rest))


def _do(host: Host, journal: Journal, session: int, deed: Deed, written: list[str]) -> Journal:
    """One step: its undo to disk, the deed, the look at what it did, that to disk too."""
    change, goal = _prepared(host, session, deed, written)
    journal = store.save(host, msgspec.structs.replace(journal, changes=(*journal.changes, change)))
    for folder in reversed(change.folders):
        host.make_folder(folder, 0o755)
    match deed:
        case FileDeed():
            if goal is None:
                host.remove(deed.path)
            else:
                host.write(deed.path, goal, mode=None if change.before[0].mode else deed.mode)
        case LinkDeed():
            if deed.target is None:
                host.remove(deed.path)
            else:
                host.link(deed.path, deed.target)
        case CommandDeed():
            done = host.run(deed.argv, timeout=deed.timeout)
            if done.status:
                raise KautopsyError(
                    f"{shlex.join(deed.argv)}: {done.complaint}",
                    thing=host.name,
                    slug="step-failed",
                )
            if deed.verify is not None and (trouble := deed.verify(host)):
                raise KautopsyError(
                    f"{shlex.join(deed.argv)} ran, but {trouble}",
                    thing=host.name,
                    slug="step-failed",
                )
    paths = _paths(host, change)
    after = {p: store.digest(store.snapshot(host, p, follow=not change.link)) for p in paths}
    if not isinstance(deed, CommandDeed) and after != change.after:
        raise KautopsyError("is not as it was written", thing=deed.path, slug="step-failed")
    written += paths
    done_change = msgspec.structs.replace(change, progress=Progress.DONE, after=after)
    changes = (*journal.changes[:-1], done_change)
    return store.save(host, msgspec.structs.replace(journal, changes=changes))


def _prepared(
    host: Host, session: int, deed: Deed, written: list[str]
) -> tuple[Change, bytes | None]:
    """The journal's entry of a step that is about to be done, and a file's new contents."""
    if isinstance(deed, CommandDeed):
        found = [path for pattern in deed.touches for path in host.expand(pattern)]
        befores = tuple(store.snapshot(host, path) for path in dict.fromkeys(found))
        change = Change(
            session=session,
            what=deed.what,
            before=befores,
            patterns=deed.touches,
            command=deed.argv,
            undo=deed.undo,
            renew=deed.renew,
            always=deed.always,
        )
        return change, None
    before = store.snapshot(host, deed.path, follow=isinstance(deed, FileDeed))
    goal: bytes | None = None
    if isinstance(deed, FileDeed):
        if deed.settled and before.contents != deed.before and deed.path not in written:
            raise RefusedError(
                "changed after the plan was made", thing=deed.path, hint="plan again"
            )
        goal = deed.wanted(before.contents)
        mode = before.mode or deed.mode
        wanted = msgspec.structs.replace(before, contents=goal, mode=mode)
        if goal is None:
            wanted = Before(path=deed.path)
    else:
        wanted = Before(path=deed.path, target=deed.target)
    folder = deed.path.rpartition("/")[0]
    change = Change(
        session=session,
        what=deed.what,
        before=(before,),
        after={deed.path: store.digest(wanted)},
        folders=store.missing_folders(host, folder),
        link=isinstance(deed, LinkDeed),
    )
    return change, goal


def _paths(host: Host, change: Change) -> list[str]:
    """The paths of a change: those that were there before it, and those that are there now."""
    paths = [before.path for before in change.before]
    paths += [path for pattern in change.patterns for path in host.expand(pattern)]
    return list(dict.fromkeys(paths))


def _undo(
    host: Host,
    change: Change,
    undone: Undone,
    stale: list[Change],
    *,
    force: bool,
) -> bool:
    """Take one change back; whether it is gone."""
    store.sweep(host, tuple(b.path.rpartition("/")[0] for b in change.before))
    known = {before.path: before for before in change.before}
    command = bool(change.patterns or change.command)
    todo, changed = [], []
    for path in _paths(host, change):
        before = known.get(path, Before(path=path))
        now = store.digest(store.snapshot(host, path, follow=not change.link))
        if now == store.digest(before):
            continue
        started = command and change.progress is Progress.DOING
        if force or started or now == change.after.get(path):
            todo.append(before)
        else:
            changed.append(path)
    if change.undo:
        done = host.run(change.undo, timeout=600.0)
        if done.status and change.progress is Progress.DONE:
            undone.failed.append(f"{shlex.join(change.undo)}: {done.complaint}")
            return False
    for before in todo:
        try:
            store.restore(host, before)
        except UnreadableError as error:
            undone.failed.append(str(error))
            return False
        undone.restored.append(before.path)
    for folder in change.folders:
        store.remove_if_empty(host, folder)
    if change.renew and (changed or change.always):
        stale.append(change)
        return False
    if changed:
        undone.changed += [path for path in changed if path not in undone.changed]
        return False
    return True
