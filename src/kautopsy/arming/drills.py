"""What is remembered of drills: by the machine (kdumpctl test) and by kautopsy here."""

from __future__ import annotations

import calendar
import os
import re
import time
from pathlib import Path

from kautopsy.model.base import from_json
from kautopsy.model.drill import DrillNote, DrillRecord
from kautopsy.model.errors import UnreadableError
from kautopsy.model.host import LastDrill

NOTE = "/var/lib/kautopsy/last-drill.json"
_STATUS = re.compile(r"^(\w+)\s+kdump_test_id=(\d{1,11})")
_FOLDER = re.compile(r"^(\d{8}T\d{6}Z)-(.+)$")


def on_the_machine(status: str) -> LastDrill | None:
    """Of kdump-utils' vmcore-creation.status: ``success kdump_test_id=EPOCH-NANOSECONDS``."""
    match = _STATUS.match(status)
    if match is None:
        return None
    return LastDrill(
        passed=match[1] == "success",
        when=int(match[2]),
        source="/var/lib/kdump/vmcore-creation.status",
    )


def in_our_note(text: str) -> LastDrill | None:
    """What a drill of ours, from wherever it came, left on the machine."""
    try:
        note = from_json(text, DrillNote)
    except UnreadableError:
        return None
    return LastDrill(passed=note.passed, when=note.when, source=NOTE, release=note.release)


def in_our_records(node: str) -> LastDrill | None:
    """The newest ``drills/STAMP-NODE/record.json`` below $XDG_STATE_HOME/kautopsy."""
    base = os.environ.get("XDG_STATE_HOME", "")
    root = Path(base) if base.startswith("/") else Path("~/.local/state").expanduser()
    try:
        folders = sorted((root / "kautopsy" / "drills").iterdir(), reverse=True)
    except OSError:
        return None
    for folder in folders:
        match = _FOLDER.match(folder.name)
        # A second drill of the same second is called STAMP-NODE-1.
        if not match or not node or not re.fullmatch(re.escape(node) + r"(-\d+)?", match[2]):
            continue
        try:
            record = from_json((folder / "record.json").read_bytes(), DrillRecord)
            moment = time.strptime(match[1], "%Y%m%dT%H%M%SZ")
        except (OSError, UnreadableError, ValueError):
            continue
        system = record.report.system if record.report else None
        return LastDrill(
            passed=record.passed,
            when=calendar.timegm(moment),
            source=str(folder / "record.json"),
            release=system.release
            if system and isinstance(system.release, str)
            else record.release or "",
        )
    return None


def newest(*drills: LastDrill | None) -> LastDrill | None:
    """The latest of those there are."""
    return max((d for d in drills if d is not None), key=lambda drill: drill.when, default=None)
