"""Bring a crash home: find it, wait until it is saved, fetch it, verify it, read it."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kautopsy.capture.fetch import Fetcher, worth_squeezing
from kautopsy.capture.layouts import captures, newest_first
from kautopsy.capture.listing import Listing, list_captures
from kautopsy.capture.strip import strip
from kautopsy.capture.unpack import unpack
from kautopsy.capture.verify import Expected, is_good, matches, verify
from kautopsy.capture.witnesses import from_pstore
from kautopsy.drill.elsewhere import Place, Reach, others
from kautopsy.host.host import Host
from kautopsy.model.base import Unreadable
from kautopsy.model.capture import (
    Capture,
    CaptureState,
    CollectDocument,
    Collected,
    Fetched,
    Witness,
)
from kautopsy.model.errors import KautopsyError, UnreadableError
from kautopsy.model.report import Report
from kautopsy.triage.isolation import Limits, analyse

_GROWING = 3.0
"""Seconds between two looks at a dump that does not have its final name."""
_LARGEST_TEXT = 256 << 20
"""Bytes of what lies beside a dump that is brought along."""

OnFile = Callable[[str, int, int], None]
"""Called with a file's name, the bytes that are here, and all there are."""


@dataclass(frozen=True)
class Wishes:
    """What shall come home, and how.

    :param out: the folder in which a folder for the machine is made
    :param every: all that is there, not only the newest
    :param strip: filter on the machine first, with makedumpfile's level
    :param squeeze: compress on the way; None where it is worth it
    :param analyse: read the dump at home, which is the only sure way to its log
    :param wait: seconds for a dump that is still being written
    :param more: folders to look in beside the usual ones
    """

    out: Path
    every: bool = False
    strip: int | None = None
    squeeze: bool | None = None
    analyse: bool = True
    wait: float = 0.0
    more: tuple[str, ...] = ()
    tries: int = 5


@dataclass(frozen=True)
class Harvest:
    """What came of it; ``reports`` are those of the dumps that could be read, by their path."""

    document: CollectDocument
    reports: dict[str, Report]

    @property
    def good(self) -> bool:
        """Something came, and all of it is whole."""
        collected = self.document.collected
        return bool(collected) and all(one.dump and is_good(one.checks) for one in collected)


def look_for(host: Host, more: Sequence[str] = ()) -> tuple[Listing, tuple[Capture, ...]]:
    """What crashes left on ``host``; one that is not whole is looked at twice."""
    listing = list_captures(host, more)
    found = captures(listing)
    if host.live and any(c.state is CaptureState.INCOMPLETE for c in found[:3]):
        time.sleep(_GROWING)
        again = list_captures(host, more)
        return again, captures(again, listing)
    return listing, found


def look_everywhere(
    host: Host, more: Sequence[str], reach: Reach | None
) -> tuple[tuple[Capture, ...], tuple[str, ...]]:
    """What crashes left on ``host`` and on the servers it saves to; and what could not be seen."""
    listing, here = look_for(host, more)
    notes: list[str] = []
    with contextlib.ExitStack() as stack:
        places = others(listing, reach, stack, notes)
    found = newest_first((*here, *(c for place in places for c in place.found)))
    return found, (*notes, *listing.notes)


def collect(
    host: Host,
    machine: str,
    wishes: Wishes,
    *,
    expected: Expected | None = None,
    on_file: OnFile | None = None,
    witnesses: Callable[[Listing], tuple[Witness, ...]] = from_pstore,
    reach: Reach | None = None,
) -> Harvest:
    """Bring home what is there, or on the server that its dumps go to.

    :param machine: its name, of which the folder at home is called
    :param expected: the crash that is meant; without it the newest
    :param witnesses: asked where no dump came
    :param reach: opens a server that dumps go to; None: it is only named
    :raises KautopsyError: it cannot be reached, read or kept
    """
    listing, here = _wait_until_saved(host, wishes)
    collected = []
    reports: dict[str, Report] = {}
    notes: list[str] = []
    with contextlib.ExitStack() as stack:
        places = [Place(host, listing, here), *others(listing, reach, stack, notes)]
        of = {id(c): place for place in places for c in place.found}
        found = newest_first(c for place in places for c in place.found)
        meant = [c for c in found if expected is None or matches(c, expected)]
        chosen = _choose(meant, wishes)
        for capture in chosen:
            one, report = _bring(
                of[id(capture)], machine, capture, wishes, expected, listing.boot_id, on_file
            )
            collected.append(one)
            if report is not None and one.dump is not None:
                reports[one.dump] = report
    notes += listing.notes
    if not listing.folders and len(places) == 1:
        notes.append("none of the folders that dumps go to is there")
    older = [c for c in meant if c.state is CaptureState.COMPLETE and c not in chosen]
    if chosen and chosen[0].state is not CaptureState.COMPLETE and older:
        notes.append(f"an older one is whole: {older[0].folder} (--all brings it too)")
    document = CollectDocument(
        host=machine,
        found=found,
        collected=tuple(collected),
        witnesses=() if any(one.dump for one in collected) else witnesses(listing),
        notes=tuple(notes),
    )
    return Harvest(document, reports)


def _choose(meant: Sequence[Capture], wishes: Wishes) -> list[Capture]:
    """All, or the newest that has a dump, or the newest there is.

    A newer crash whose dump failed is not hidden behind an older one that succeeded.
    """
    if wishes.every:
        return list(meant)
    return [c for c in meant if c.dump][:1] or list(meant[:1])


def _wait_until_saved(host: Host, wishes: Wishes) -> tuple[Listing, tuple[Capture, ...]]:
    deadline = time.monotonic() + wishes.wait
    while True:
        listing, found = look_for(host, wishes.more)
        if not any(c.state is CaptureState.RUNNING for c in found):
            return listing, found
        if time.monotonic() > deadline:
            if not wishes.wait:
                return listing, found
            raise UnreadableError(
                f"is still being written after {wishes.wait:.0f} s",
                thing=next(c.folder for c in found if c.state is CaptureState.RUNNING),
                slug="still-saving",
                hint="wait longer with --wait",
            )
        time.sleep(_GROWING)


def _bring(
    place: Place,
    machine: str,
    capture: Capture,
    wishes: Wishes,
    expected: Expected | None,
    boot_id: str | None,
    on_file: OnFile | None,
) -> tuple[Collected, Report | None]:
    host, listing = place.host, place.listing
    folder = wishes.out / _safe(machine) / _safe(capture.folder.rpartition("/")[2])
    files: list[Fetched] = []
    heads = {file.path: file for file in listing.files}

    def fetch(source: str, name: str, *, squeeze: bool) -> Fetched:
        fetcher = Fetcher(
            host,
            capture.host or machine,
            squeeze=squeeze,
            tries=wishes.tries,
            on_progress=(lambda there, size: on_file(name, there, size)) if on_file else None,
        )
        done = fetcher.fetch(source, folder / _safe(name))
        files.append(done)
        return done

    # The small ones first: should the dump not come, they tell most of the story.
    for path in capture.files:
        small = path in heads and heads[path].size <= _LARGEST_TEXT and not heads[path].is_dump
        if path != capture.dump and small:
            fetch(path, path.rpartition("/")[2], squeeze=True)
    dump: Path | None = None
    if capture.dump is not None:
        name = capture.dump.rpartition("/")[2]
        if wishes.strip is not None:
            stripped = strip(host, capture.dump, wishes.strip)
            dump = Path(fetch(stripped.path, f"{name}.d{wishes.strip}", squeeze=False).path)
            stripped.remove()
        else:
            head = heads[capture.dump].head if capture.dump in heads else b""
            squeeze = worth_squeezing(head) if wishes.squeeze is None else wishes.squeeze
            dump = Path(fetch(capture.dump, name, squeeze=squeeze).path)
            if capture.dump in heads and heads[capture.dump].is_squeezed:
                dump = unpack(dump)
    beside = next((Path(f.path) for f in files if f.source == capture.log), None)
    if dump is None:
        return Collected(capture=capture, folder=str(folder), files=tuple(files)), None
    report, trouble = _read(dump) if wishes.analyse else (None, "")
    log = log_of(report, beside)
    checks = verify(capture, dump, log, expected, boot_id=boot_id)
    collected = Collected(
        capture=capture, folder=str(folder), dump=str(dump), files=tuple(files), checks=checks
    )
    if trouble:
        collected = msgspec.structs.replace(
            collected, capture=_with_status(capture, f"not readable at home: {trouble}")
        )
    return collected, report


def log_of(report: Report | None, beside: Path | None) -> tuple[str, ...] | None:
    """The dead kernel's log: the dump's own last lines, and what was saved beside it."""
    lines: list[str] = []
    if beside is not None:
        try:
            lines += beside.read_text(errors="replace").splitlines()
        except OSError:
            beside = None
    own = () if report is None or isinstance(report.log, Unreadable) else report.log
    lines += own
    return tuple(lines) if own or beside is not None else None


def _read(dump: Path) -> tuple[Report | None, str]:
    fullest = None
    try:
        for report in analyse(dump, limits=Limits()):
            fullest = report
    except KautopsyError as error:
        return fullest, error.what
    return fullest, ""


def _with_status(capture: Capture, more: str) -> Capture:
    return msgspec.structs.replace(capture, status="; ".join(filter(None, (capture.status, more))))


def _safe(name: str) -> str:
    """A name of the machine's as one of ours: no folder, nothing hidden, nothing odd."""
    name = re.sub(r"[^\w.:@+-]", "_", name.rpartition("/")[2]).lstrip(".-")
    return name[:200] or "_"
