"""This machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kautopsy.host.files import pull_file, read_file, replace_file
from kautopsy.host.host import RunResult
from kautopsy.host.paths import ShellPaths
from kautopsy.model.errors import MissingToolError, UnreachableError


class LocalHost(ShellPaths):
    """The machine kautopsy runs on, with the rights of the user who runs it."""

    name = "local"
    live = True

    def read(self, path: str) -> bytes:
        """See :meth:`kautopsy.host.host.Host.read`."""
        if os.geteuid() == 0 or os.access(path, os.R_OK) or not _sudo_works():
            return read_file(Path(path))
        return super().read(path)

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> RunResult:
        """See :meth:`kautopsy.host.host.Host.run`."""
        prefix = [] if os.geteuid() == 0 or not _sudo_works() else ["sudo", "-n", "--"]
        return run_here([*prefix, *argv], stdin=stdin, timeout=timeout, name=self.name)

    def write(self, path: str, contents: bytes, *, mode: int | None = None) -> None:
        """See :meth:`kautopsy.host.host.Host.write`."""
        if os.geteuid() == 0 or not _sudo_works():
            replace_file(Path(path).resolve(), contents, mode=mode)
        else:
            super().write(path, contents, mode=mode)

    def script(self, text: str, *arguments: str, timeout: float = 120.0) -> RunResult:
        """See :meth:`kautopsy.host.host.Host.script`."""
        return self.run(["sh", "-s", "--", *arguments], stdin=text.encode(), timeout=timeout)

    def pull(self, path: str, *, offset: int = 0, squeeze: bool = False) -> Iterator[bytes]:
        """See :meth:`kautopsy.host.host.Host.pull`."""
        return pull_file(Path(path), offset)


def _sudo_works() -> bool:
    try:
        return run_here(["sudo", "-n", "true"], timeout=10.0, name="sudo").status == 0
    except (MissingToolError, UnreachableError):
        return False


def run_here(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    timeout: float,
    name: str,
    environment: Mapping[str, str] | None = None,
) -> RunResult:
    """Run a program on this machine.

    :raises MissingToolError: there is no such program
    :raises UnreachableError: it did not end in ``timeout`` seconds; it was killed
    """
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
            env={**os.environ, "LC_ALL": "C", **(environment or {})},
        )
    except FileNotFoundError:
        raise MissingToolError(
            "is not installed", thing=argv[0], hint="install it, or put it on PATH"
        ) from None
    except PermissionError:
        raise MissingToolError("may not be run", thing=argv[0]) from None
    except subprocess.TimeoutExpired:
        raise UnreachableError(
            f"{argv[0]} did not end in {timeout:.0f} s", thing=name, slug="timed-out"
        ) from None
    return RunResult(done.returncode, done.stdout, done.stderr)
