"""Dumps that a machine saves on another one: an ssh server, or an NFS export that is mounted here.

Many machines save to one server, so only folders count that are called after this one, by its name
or an address of it, as every kdump does: ``10.0.0.7-2026-11-26-09:14:03``, ``db-7-202611260914``.
"""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kautopsy.capture.layouts import captures
from kautopsy.capture.listing import Elsewhere, Listing, list_captures
from kautopsy.host.host import Host
from kautopsy.host.local import LocalHost
from kautopsy.model.capture import Capture
from kautopsy.model.errors import KautopsyError

Reach = Callable[[str, int | None], AbstractContextManager[Host]]
"""Opens ``user@server`` at a port, as the inventory and the user's ssh know it."""

_DATED = re.compile(r"(.+?)-(?:\d{4}-\d\d-\d\d[-:\d]*|\d{12})$")
_MOUNTS = Path("/proc/mounts")


@dataclass(frozen=True)
class Place:
    """Where captures were found."""

    host: Host
    listing: Listing
    found: tuple[Capture, ...]


def others(
    listing: Listing, reach: Reach | None, stack: contextlib.ExitStack, notes: list[str]
) -> list[Place]:
    """The servers that ``listing`` names, looked at; what cannot be is said in ``notes``."""
    places = []
    for elsewhere in listing.elsewhere:
        try:
            place = _look(elsewhere, listing.names, reach, stack)
        except KautopsyError as error:
            notes.append(
                f"dumps of this machine go to {elsewhere}, which cannot be looked at: {error}"
            )
            continue
        if place is None:
            notes.append(f"dumps of this machine go to {elsewhere}; {_by_hand(elsewhere)}")
            continue
        places.append(place)
        if not place.found:
            count = len(captures(place.listing))
            strangers = f"; {count} of other machines are there" if count else ""
            notes.append(
                f"dumps of this machine go to {elsewhere}, and none there is called after it"
                f" ({', '.join(listing.names) or 'it does not say its name'}){strangers}"
            )
    return places


def _look(
    elsewhere: Elsewhere,
    names: Sequence[str],
    reach: Reach | None,
    stack: contextlib.ExitStack,
) -> Place | None:
    host: Host
    if elsewhere.kind == "nfs":
        path = mounted_here(f"{elsewhere.server.rstrip('/')}{elsewhere.path}")
        if path is None:
            return None
        host = LocalHost()
    else:
        if reach is None:
            return None
        host, path = stack.enter_context(reach(elsewhere.server, elsewhere.port)), elsewhere.path
    there = list_captures(host, (path,), usual=False)
    found = [
        msgspec.structs.replace(capture, host=elsewhere.server)
        for capture in captures(there)
        if _is_of(capture, path, names)
    ]
    return Place(host, there, tuple(found))


def _is_of(capture: Capture, root: str, names: Sequence[str]) -> bool:
    """Whether a folder below ``root`` is called after the machine."""
    known = {name.lower() for name in names} | {name.partition(".")[0].lower() for name in names}
    below = capture.folder.removeprefix(root.rstrip("/")).strip("/").lower()
    parts = below.split("/")
    dated = [match[1] for part in parts if (match := _DATED.match(part))]
    return not known.isdisjoint((*parts, *dated))


def mounted_here(share: str, mounts: Path = _MOUNTS) -> str | None:
    """Where ``server:/path`` lies on this machine; None if no mount has it."""
    best, found = "", None
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.split()
        if len(words) < 3 or not words[2].startswith("nfs"):
            continue
        what = _unescaped(words[0]).rstrip("/")
        if f"{share.rstrip('/')}/".startswith(f"{what}/") and len(what) > len(best):
            below = _unescaped(words[1]).rstrip("/") + share[len(what) :].rstrip("/")
            best, found = what, below or "/"
    return found


def _unescaped(word: str) -> str:
    """/proc/mounts writes blanks and backslashes in octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), word)


def _by_hand(elsewhere: Elsewhere) -> str:
    if elsewhere.kind == "nfs":
        share = shlex.quote(f"{elsewhere.server.rstrip('/')}{elsewhere.path}".rstrip("/"))
        return f"mount it here and collect again: mount -o ro {share} /mnt"
    server = shlex.quote(elsewhere.server)
    return f"kautopsy collect {server} --path {shlex.quote(elsewhere.path)}"
