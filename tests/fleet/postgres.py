"""A PostgreSQL of our own: initdb in a temporary directory, a socket in it, no network."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_START_SECONDS = 60


def binaries() -> Path | None:
    """Where Debian's package puts initdb and postgres; None without it."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: p.parts[4])
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).parent if initdb else None


def _as_nobody_special() -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam("postgres")
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]


@contextmanager
def server() -> Iterator[str]:
    """A running server: the URL of its database ``postgres``."""
    bin_ = binaries()
    assert bin_ is not None
    prefix = _as_nobody_special()
    folder = Path(tempfile.mkdtemp(prefix="kautopsy-pg-"))
    try:
        if prefix:
            shutil.chown(folder, "postgres", "postgres")
        data = folder / "data"
        subprocess.run(
            [*prefix, str(bin_ / "initdb"), "-D", str(data), "-U", "fleet", "-A", "trust",
             "-E", "UTF8", "--no-sync", "--locale=C.UTF-8"],
            check=True, capture_output=True, timeout=_START_SECONDS, cwd=folder,
        )  # fmt: skip
        # A server whose tests were killed ends with them.
        options = f"-k {folder} -c listen_addresses= -c fsync=off -c max_connections=60"
        start = [*prefix, str(bin_ / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log")]
        subprocess.run(
            [*start, "-o", options, "start"],
            check=True, timeout=_START_SECONDS, cwd=folder, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield f"postgresql://fleet@/postgres?host={folder}"
        finally:
            subprocess.run(
                [*start, "-m", "immediate", "stop"],
                check=False, timeout=_START_SECONDS, cwd=folder, stdout=subprocess.DEVNULL,
            )  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)
