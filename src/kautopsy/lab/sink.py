"""The disk a guest's capture kernel saves to, read on the host without mounting it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from kautopsy.lab.errors import LabError
from kautopsy.model.errors import MissingToolError

DUMP = "vmcore"


def make_sink(path: Path, mebibytes: int) -> None:
    """A sparse file with an empty ext4; without a journal, so that debugfs sees all after a crash.

    :raises LabError: there is no room
    """
    with path.open("wb") as file:
        file.truncate(mebibytes << 20)
    _run("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", str(path))


def take_dump(sink: Path, final: Path) -> bool:
    """Copy the dump out of ``sink``; False if there is none."""
    listing = _run("debugfs", "-R", "ls -p /", str(sink))
    if f"/{DUMP}/" not in listing:
        return False
    partial = final.with_name(f".{final.name}-{os.getpid()}")
    # debugfs splits its request at blanks and has no way to quote: copy under a plain name.
    _run("debugfs", "-R", f"dump /{DUMP} {DUMP}", str(sink.absolute()), cwd=sink.parent)
    shutil.move(sink.parent / DUMP, partial)
    partial.rename(final)
    return True


def _run(*argv: str, cwd: Path | None = None) -> str:
    tool = shutil.which(argv[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if tool is None:
        raise MissingToolError("is not installed", thing=argv[0], hint="install e2fsprogs")
    done = subprocess.run([tool, *argv[1:]], capture_output=True, text=True, cwd=cwd, check=False)
    if done.returncode:
        raise LabError(done.stderr.strip(), thing=argv[0], slug="sink")
    return done.stdout
