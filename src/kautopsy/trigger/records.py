"""Who panicked what, when and how: one file each, on disk before it is done."""

from __future__ import annotations

import getpass
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from kautopsy.model.base import from_json, to_json
from kautopsy.model.errors import KautopsyError, UnreadableError
from kautopsy.model.trigger import TriggerRecord


def triggers_folder() -> Path:
    """``$XDG_STATE_HOME/kautopsy/triggers`` (or below ``~/.local/state``)."""
    base = os.environ.get("XDG_STATE_HOME", "")
    root = Path(base) if base.startswith("/") else Path("~/.local/state").expanduser()
    return root / "kautopsy" / "triggers"


def who_am_i() -> str:
    """``user@machine``, and for whom sudo was asked."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    asked = os.environ.get("SUDO_USER")
    return f"{user}@{socket.gethostname()}" + (f" (sudo of {asked})" if asked else "")


def keep(record: TriggerRecord) -> Path:
    """Write ``record`` down, synced to the disk: what comes next may kill this very machine.

    :raises KautopsyError: it cannot be written, and so nothing may be done
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(record.when))
    name = f"{stamp}-{re.sub(r'[^A-Za-z0-9._-]', '_', record.nodename)}"
    folder = triggers_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(1000):
            path = folder / (name + (f"-{number}" if number else "") + ".json")
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                continue
            with os.fdopen(descriptor, "w") as file:
                file.write(to_json(record) + "\n")
                file.flush()
                os.fsync(file.fileno())
            _sync(folder)
            return path
    except OSError as error:
        raise _not_kept(folder, error.strerror or str(error)) from None
    raise _not_kept(folder, "is full of records of this second")


def finish(path: Path, record: TriggerRecord, outcome: str) -> TriggerRecord:
    """Add what came of it; that this fails loses nothing that was promised."""
    done = msgspec.structs.replace(record, outcome=outcome)
    partial = path.with_name(f".{path.name}")
    try:
        partial.write_text(to_json(done) + "\n")
        partial.chmod(0o600)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
    return done


def records_of(node: str) -> Iterator[tuple[Path, TriggerRecord]]:
    """The records of the machine ``node``, the newest first."""
    try:
        paths = sorted(triggers_folder().glob("*.json"), reverse=True)
    except OSError:
        return
    for path in paths:
        try:
            record = from_json(path.read_bytes(), TriggerRecord)
        except (OSError, UnreadableError):
            continue
        if record.nodename == node:
            yield path, record


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_kept(folder: Path, why: str) -> KautopsyError:
    return KautopsyError(
        f"no record can be kept: {why}",
        thing=str(folder),
        hint="what is not written down is not done; set XDG_STATE_HOME to a place with room",
        slug="no-record",
    )
