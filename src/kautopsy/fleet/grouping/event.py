"""What names a crash, whatever file tells of it: a log read twice must not count twice.

A kernel stamps its reports with the time since boot, in microseconds: host, stamp and kind are the
event, whether the text came by netconsole, by the serial line or out of the dump. Without a stamp
it is what the text says and its place among reports that say the same. The fingerprint is not part
of it: its recipe changes, and what was taken in before an upgrade must be known after it.
"""

from __future__ import annotations

import hashlib

from kautopsy.fingerprint import VERSION, fingerprint
from kautopsy.fleet.grouping.sighting import Sighting
from kautopsy.model.crash import Crash


def exact_key(crash: Crash) -> str:
    """The exact key of ``crash`` by today's recipe."""
    own = crash.fingerprint
    return own.exact if own is not None and own.version == VERSION else fingerprint(crash).exact


def event_key(sighting: Sighting) -> str:
    """The name of the event: 40 hex digits."""
    crash = sighting.crash
    parts = [sighting.host, crash.kind.value]
    if crash.uptime_seconds is not None:
        parts.append(f"up {crash.uptime_seconds:.6f}")
    elif crash.wall_time:
        parts.append(f"wall {crash.wall_time}")
    elif sighting.at is not None:
        parts.append(f"at {sighting.at:.0f}")
    else:
        parts.append(f"stream {sighting.stream} number {sighting.ordinal}")
    if not sighting.host or crash.uptime_seconds is None:
        task = crash.task
        parts.append(f"{crash.release} {crash.cpu} {task.pid if task else ''}")
        parts.extend(f"{name}={value:x}" for name, value in sorted(crash.registers.items()))
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:40]
