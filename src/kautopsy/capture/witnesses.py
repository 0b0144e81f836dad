"""What tells of a crash where no dump came: pstore, the BMC's event log, the recorded console.

With kdump loaded pstore stays empty (panic() runs kmsg_dump() after the capture kernel would have
taken over), so a record there means that kdump did not take over. A BMC logs "OS stop" where the
kernel was built to tell it (CONFIG_IPMI_PANIC_EVENT; sensor type 0x20).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from kautopsy.capture.layouts import is_pstore
from kautopsy.capture.listing import Listing
from kautopsy.model.capture import Witness

_SEL_STOP = re.compile(
    r"OS (?:Critical )?Stop|OS Boot|OS stop|Run-time critical stop|Critical Interrupt|"
    r"NMI|Panic|Watchdog",
    re.I,
)


def from_pstore(listing: Listing) -> tuple[Witness, ...]:
    """A witness for each record, its parts in the order in which they were printed.

    The text of a record is spread over files whose highest number is its oldest part.
    """
    parts: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for file in listing.files:
        if not is_pstore(file.path) or file.path not in listing.texts:
            continue
        text = listing.texts[file.path]
        match = re.match(r"(\w+)#(\d+) Part(\d+)", text)
        record = f"{match[1]}#{match[2]}" if match else file.name
        key = f"{file.folder}/{record}"
        parts[key].append((int(match[3]) if match else 0, file.path, text))
    found = []
    for pieces in parts.values():
        pieces.sort(reverse=True)
        found.append(
            Witness(kind="pstore", where=pieces[0][1], text="\n".join(text for *_, text in pieces))
        )
    return tuple(found)


def from_event_log(lines: Iterable[str], where: str) -> tuple[Witness, ...]:
    """The entries of a BMC's event log that tell of a stop."""
    found = [line.strip() for line in lines if _SEL_STOP.search(line)]
    return (Witness(kind="sel", where=where, text="\n".join(found[-20:])),) if found else ()


def from_console(path: Path) -> tuple[Witness, ...]:
    """A console that was recorded."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return ()
    return (Witness(kind="console", where=str(path), text=text),) if text.strip() else ()
