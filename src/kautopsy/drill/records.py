"""What drills left: a record each, failed ones too."""

from __future__ import annotations

import os
import time
from pathlib import Path

from kautopsy.model.base import to_json
from kautopsy.model.drill import DrillRecord
from kautopsy.model.errors import KautopsyError


def drills_folder() -> Path:
    """``$XDG_STATE_HOME/kautopsy/drills`` (or below ``~/.local/state``)."""
    base = os.environ.get("XDG_STATE_HOME", "")
    root = Path(base) if base.startswith("/") else Path("~/.local/state").expanduser()
    return root / "kautopsy" / "drills"


def new_folder(label: str) -> Path:
    """A folder of its own for a drill that starts now: ``drills/20261123T101500Z-LABEL``.

    :raises KautopsyError: it cannot be made
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for number in range(1000):
        folder = drills_folder() / (f"{stamp}-{label}" + (f"-{number}" if number else ""))
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise KautopsyError(
                f"cannot be made: {error.strerror}",
                thing=str(folder),
                hint="set XDG_STATE_HOME to a directory with room",
                slug="no-state",
            ) from None
        return folder
    raise KautopsyError("is full of drills of this second", thing=str(drills_folder()))


def write_record(folder: Path, record: DrillRecord) -> Path:
    """Keep ``record`` in ``folder``; it appears whole or not at all."""
    path = folder / "record.json"
    partial = folder / ".record.json"
    partial.write_text(to_json(record) + "\n")
    partial.rename(path)
    return path
