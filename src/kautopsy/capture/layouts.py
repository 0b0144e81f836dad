"""From files to captures: whose layout a folder is, and how far its producer came.

============ ======================================= =========================== =================
producer     folder                                  dump, log                   not yet whole
============ ======================================= =========================== =================
dracut       HOST-YYYY-MM-DD-HH:MM:SS, kdump-test-*  vmcore, vmcore-dmesg.txt    vmcore-incomplete
mkdumprd     HOST-YYYY-MM-DD-HH:MM:SS (el6)          vmcore alone                vmcore-incomplete
kdump-tools  YYYYMMDDHHMM, HOST-YYYYMMDDHHMM         dump.STAMP, dmesg.STAMP     dump-incomplete
suse-kdump   YYYY-MM-DD-HH-MM (older HH:MM)          vmcore, dmesg, README.txt   README.txt says so
============ ======================================= =========================== =================

kdump-utils' kdump.sh renames after the collector and sync have succeeded; kdump-config of
kdump-tools renames by ``mv``; SUSE writes README.txt first with a warning, and again at the end.
Elsewhere (other tools, ``kdump_post`` scripts) whatever begins as a dump does is one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from kautopsy.capture.listing import Listing, RemoteFile
from kautopsy.model.capture import Capture, CaptureState, Producer

_INCOMPLETE = re.compile(r"incomplete", re.I)
_LOGS = ("vmcore-dmesg.txt", "dmesg.txt", "dmesg", "vmcore-dmesg-incomplete.txt")
_DEBIAN_DUMP = re.compile(r"(?:dump|vmcore)(?:\.\d{12}|-incomplete)(?:\.(?:gz|lz4|xz|bz2|zst))?$")
_DEBIAN_LOG = re.compile(r"dmesg\.\d{12}$")
_SUSE_STATUS = re.compile(r"^\s*vmcore status:\s*(.*)$", re.M)
_SUSE_WARNING = "the crash dump is likely incomplete"
_DRACUT_DONE = re.compile(r"saving vmcore complete")
_DRACUT_FAILED = re.compile(r"saving vmcore failed[^\n]*")
_PSTORE = re.compile(r"^/(?:sys/fs|var/lib/systemd)/pstore/")


def captures(listing: Listing, earlier: Listing | None = None) -> tuple[Capture, ...]:
    """What crashes left, the newest first.

    :param earlier: the answer of a moment ago; a dump that has grown since is being written
    """
    by_folder: dict[str, list[RemoteFile]] = defaultdict(list)
    for file in listing.files:
        if not _PSTORE.match(file.path):
            by_folder[file.folder].append(file)
    sizes = {file.path: file.size for file in earlier.files} if earlier else {}
    found: list[Capture] = []
    for folder, files in by_folder.items():
        found += _in_folder(folder, files, listing, sizes)
    return newest_first(found)


def newest_first(found: Iterable[Capture]) -> tuple[Capture, ...]:
    """In the order that :func:`captures` gives them."""
    return tuple(sorted(found, key=lambda capture: (capture.when, capture.folder), reverse=True))


def is_pstore(path: str) -> bool:
    """It is one of pstore's records, or one that systemd-pstore took out of there."""
    return _PSTORE.match(path) is not None


def _in_folder(
    folder: str, files: list[RemoteFile], listing: Listing, sizes: dict[str, int]
) -> Iterable[Capture]:
    names = {file.name for file in files}
    dumps = [
        file
        for file in files
        if file.is_dump
        or _DEBIAN_DUMP.fullmatch(file.name)
        or re.fullmatch(r"vmcore(?:-incomplete|\.flat)?", file.name)
    ]
    logs = [file for file in files if _is_log(file)]
    producer = _producer(folder, names)
    if not dumps:
        # A folder that only holds the log of a crash; lone files called dmesg lie in many places.
        if logs and producer is not Producer.OTHER:
            yield _capture(folder, producer, None, logs, files, listing, sizes)
        return
    # Several dumps in one folder that is no producer's are several crashes.
    if producer is Producer.OTHER and len(dumps) > 1:
        for dump in dumps:
            yield _capture(folder, producer, dump, [], [dump], listing, sizes)
        return
    best = max(dumps, key=lambda f: (not _INCOMPLETE.search(f.name), f.mtime, f.name))
    yield _capture(folder, producer, best, logs, files, listing, sizes)


def _producer(folder: str, names: set[str]) -> Producer:
    if any(_DEBIAN_DUMP.fullmatch(name) or _DEBIAN_LOG.fullmatch(name) for name in names):
        # dump-incomplete is only ever kdump-tools'; a bare vmcore-incomplete is also dracut's.
        if names & {"vmcore-dmesg.txt", "kexec-dmesg.log", "vmcore-dmesg-incomplete.txt"}:
            return Producer.DRACUT
        if names != {"vmcore-incomplete"}:
            return Producer.KDUMP_TOOLS
    last = folder.rpartition("/")[2]
    if "README.txt" in names or re.fullmatch(r"(?:.+-)?\d{4}-\d\d-\d\d-\d\d[-:]\d\d", last):
        return Producer.SUSE
    if "kexec-dmesg.log" in names or last.startswith("kdump-test-"):
        return Producer.DRACUT
    if names & {"vmcore-dmesg.txt", "vmcore-dmesg-incomplete.txt"}:
        return Producer.DRACUT
    if re.fullmatch(r".+-\d{4}-\d\d-\d\d-\d\d:\d\d:\d\d", last):
        return Producer.MKDUMPRD
    return Producer.OTHER


def _is_log(file: RemoteFile) -> bool:
    return file.name in _LOGS or _DEBIAN_LOG.fullmatch(file.name) is not None


def _capture(
    folder: str,
    producer: Producer,
    dump: RemoteFile | None,
    logs: list[RemoteFile],
    files: list[RemoteFile],
    listing: Listing,
    sizes: dict[str, int],
) -> Capture:
    logs.sort(key=lambda file: (bool(_INCOMPLETE.search(file.name)), file.name))
    state, status = _state(folder, producer, dump, files, listing)
    if dump is not None and sizes.get(dump.path, dump.size) != dump.size:
        state = CaptureState.RUNNING
    return Capture(
        folder=folder,
        producer=producer,
        state=state,
        when=dump.mtime if dump else max(file.mtime for file in logs),
        dump=dump.path if dump else None,
        size=dump.size if dump else 0,
        log=logs[0].path if logs else None,
        status=status,
        files=tuple(sorted(file.path for file in files)),
    )


def _state(
    folder: str,
    producer: Producer,
    dump: RemoteFile | None,
    files: list[RemoteFile],
    listing: Listing,
) -> tuple[CaptureState, str]:
    """How far the producer came, and its own words."""
    readme = listing.texts.get(f"{folder}/README.txt")
    if producer is Producer.SUSE and readme is not None:
        said = _SUSE_STATUS.search(readme)
        words = f"README.txt: vmcore status: {said[1].strip()}" if said else ""
        if dump is None:
            return CaptureState.LOG_ONLY, words or "README.txt says nothing of a dump"
        if said and said[1].strip().startswith("saved successfully"):
            return _by_name(dump), words
        if said or _SUSE_WARNING in readme:
            return CaptureState.INCOMPLETE, words or f"README.txt: {_SUSE_WARNING}"
    if dump is None:
        return CaptureState.LOG_ONLY, "the log was saved, and no dump"
    log = listing.texts.get(f"{folder}/kexec-dmesg.log")
    if log is not None:
        failed = [match[0] for match in _DRACUT_FAILED.finditer(log)]
        done = _DRACUT_DONE.search(log) is not None
        if failed and not done:
            return CaptureState.INCOMPLETE, f"kexec-dmesg.log: {failed[-1].strip()}"
        if done:
            return _by_name(dump), "kexec-dmesg.log: saving vmcore complete"
    if _INCOMPLETE.search(dump.name):
        return CaptureState.INCOMPLETE, f"it is still called {dump.name}"
    leftover = next((f.name for f in files if f is not dump and _is_partial(f)), None)
    if leftover:
        return CaptureState.INCOMPLETE, f"{leftover} lies beside it"
    return CaptureState.COMPLETE, "it has its final name"


def _by_name(dump: RemoteFile) -> CaptureState:
    return CaptureState.INCOMPLETE if _is_partial(dump) else CaptureState.COMPLETE


def _is_partial(file: RemoteFile) -> bool:
    return re.match(r"(?:dump|vmcore)-incomplete", file.name) is not None
