"""A drill's short record on the machine itself: whoever asks doctor next finds it there."""

from __future__ import annotations

import time

from kautopsy.arming.drills import NOTE
from kautopsy.host.host import Host
from kautopsy.model.base import to_json
from kautopsy.model.drill import DrillNote, DrillRecord
from kautopsy.model.errors import UnreadableError


def keep_on_machine(host: Host, record: DrillRecord) -> str:
    """Write the note; where it is.

    :raises KautopsyError: it cannot be written
    """
    note = DrillNote(
        passed=record.passed,
        when=int(record.when or time.time()),
        release=record.release or "",
        via=record.via or "",
        who=record.who or "",
        nonce=record.nonce,
    )
    done = host.script('mkdir -p -- "${1%/*}"', NOTE, timeout=30.0)
    if done.status:
        raise UnreadableError(done.complaint, thing=f"{host.name}:{NOTE}", slug="not-written")
    host.write(NOTE, (to_json(note, indent=0) + "\n").encode())
    return NOTE
