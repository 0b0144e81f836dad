"""The journal on the machine's own disk: what was changed, and how everything was before.

It is one file, replaced at once and synced before a step begins, so that whoever was killed, and
whatever lost its power, leaves either the old or the new state and a journal that tells which.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import time
from pathlib import Path

import msgspec

from kautopsy.host.host import Host
from kautopsy.host.paths import PARTIAL, PathKind
from kautopsy.model.base import from_json, to_json
from kautopsy.model.errors import UnreadableError
from kautopsy.model.plan import Before, Journal

FOLDER = "/var/lib/kautopsy/arm"
PATH = f"{FOLDER}/journal.json"
_SILENT = 1800


def load(host: Host) -> Journal | None:
    """The journal of a machine; None if nothing was ever armed, or all was taken back.

    :raises UnreadableError: there is one that cannot be read
    """
    try:
        text = host.read(PATH)
    except UnreadableError as error:
        if error.slug == "no-file":
            return None
        raise
    try:
        return from_json(text, Journal)
    except UnreadableError as error:
        raise UnreadableError(
            error.what,
            thing=f"{host.name}:{PATH}",
            hint="it was written by a newer kautopsy, or edited: nothing was touched",
            slug="bad-journal",
        ) from None


def save(host: Host, journal: Journal) -> Journal:
    """Put the journal on the machine's disk; nobody but root may read what it holds of files."""
    if host.look(PATH).kind is PathKind.ABSENT:
        made = make_folders(host, FOLDER, 0o700)
        journal = msgspec.structs.replace(journal, folders=made or journal.folders)
    journal = msgspec.structs.replace(journal, owner=_owner(os.getpid()), when=int(time.time()))
    host.write(PATH, to_json(journal, indent=0).encode(), mode=0o600)
    return journal


def remove(host: Host, journal: Journal | None) -> None:
    """Remove the journal, and the folders that were made for it."""
    sweep(host, (FOLDER,))
    host.remove(PATH)
    folder = FOLDER
    while folder.startswith("/var/lib/kautopsy"):
        remove_if_empty(host, folder)
        folder = folder.rpartition("/")[0]
    for made in journal.folders if journal else ():
        remove_if_empty(host, made)


def remove_if_empty(host: Host, folder: str) -> None:
    """Remove a folder that was made for a file, if nothing else lies there by now."""
    if host.look(folder).kind is PathKind.FOLDER and not host.expand(f"{folder}/*"):
        with contextlib.suppress(UnreadableError):
            host.remove(folder)


def make_folders(host: Host, path: str, mode: int) -> tuple[str, ...]:
    """Make ``path`` and what is missing above it; what was made, the innermost first."""
    missing = missing_folders(host, path)
    for folder in reversed(missing):
        host.make_folder(folder, mode)
    return missing


def missing_folders(host: Host, path: str) -> tuple[str, ...]:
    """``path`` and the folders above it that are not there, the innermost first."""
    missing = []
    while path not in ("", "/") and host.look(path).kind is PathKind.ABSENT:
        missing.append(path)
        path = path.rpartition("/")[0]
    return tuple(missing)


def sweep(host: Host, folders: tuple[str, ...]) -> None:
    """Remove half-written files that someone who was killed left in ``folders``."""
    for folder in sorted(set(folders)):
        for partial in host.expand(f"{folder}/{PARTIAL}*"):
            host.remove(partial)


def snapshot(host: Host, path: str, *, follow: bool = True) -> Before:
    """A path as it is now.

    :param follow: where it is a symbolic link, keep also the contents of what it points to
    """
    state = host.look(path)
    if state.kind is PathKind.FILE:
        return Before(path=path, contents=host.read(path), mode=state.mode)
    if state.kind is PathKind.LINK:
        contents = None
        if follow:
            try:
                contents = host.read(path)
            except UnreadableError:
                contents = None
        return Before(path=path, contents=contents, target=state.target)
    return Before(path=path)


def digest(before: Before) -> str:
    """What tells one state of a path from another; "" where nothing is."""
    if before.contents is None and before.target is None:
        return ""
    hashed = hashlib.sha256(before.contents).hexdigest() if before.contents is not None else ""
    place = f"link {before.target} " if before.target is not None else f"{before.mode:o} "
    return place + hashed


def restore(host: Host, before: Before) -> None:
    """Make a path as it was.

    :raises UnreadableError: slug ``not-written``
    """
    if before.target is not None:
        if host.look(before.path).target != before.target:
            host.link(before.path, before.target)
        if before.contents is not None:
            host.write(before.path, before.contents)
    elif before.contents is not None:
        if host.look(before.path).kind is PathKind.LINK:
            host.remove(before.path)
        host.write(before.path, before.contents, mode=before.mode)
    else:
        host.remove(before.path)


def busy(journal: Journal) -> str:
    """Who is at work on an unfinished journal; "" if nobody can be.

    Of a process on this node that can be known. One elsewhere writes the journal with every step:
    it is taken for dead when it has not for half an hour, longer than any step may take.
    """
    node, _, rest = journal.owner.partition(" ")
    pid = rest.partition(" ")[0]
    if node == _node():
        alive = pid.isdecimal() and int(pid) != os.getpid() and _owner(int(pid)) == journal.owner
        return f"process {pid} on this machine" if alive else ""
    silent = time.time() - journal.when
    return f"kautopsy on {node}" if node and silent < _SILENT else ""


def _node() -> str:
    return platform.node().replace(" ", "_") or "unknown"


def _owner(pid: int) -> str:
    """The node, a process, and its start time (field 22 of proc(5)'s stat): no later one's."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return f"{_node()} {pid} gone"
    return f"{_node()} {pid} {stat.rpartition(')')[2].split()[19]}"
