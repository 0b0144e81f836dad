"""The crash(8) of each Debian suite, ready to run here: what benches and tests compare with.

A crash knows the kernels of its time. Each is unpacked with its suite's own loader and C library,
so that bookworm runs sid's. Nothing of the product needs it.
"""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from kautopsy.host.debian import DebianPackage
from kautopsy.lab.archive import fresh_suite, unpack
from kautopsy.lab.cache import lab_cache, locked
from kautopsy.lab.errors import LabError
from kautopsy.lab.series import find_series
from kautopsy.model.base import Noun, from_json, to_json
from kautopsy.model.errors import KautopsyError

_ABOUT = "crash.json"
# 8.0.2 sees 3 tasks of a 6.1.176, 8.0.6 all 60. 9.0.2 still asks a 7.2 for module.num_gpl_syms,
# which is gone, and ends; without modules it reads the rest.
_KNOWS = {
    "5.10": ("bookworm", ()),
    "6.1": ("trixie", ()),
    "6.12": ("trixie", ()),
    "7.2": ("sid", ("--no_modules",)),
}


class _About(Noun, frozen=True, kw_only=True):
    version: str
    files: dict[str, str]


@dataclass(frozen=True)
class CrashProgram:
    """One crash(8) in the cache.

    :param suite: ``bookworm``
    :param version: of its package, ``8.0.2-1``
    :param root: its package and its libraries, unpacked
    :param options: without which it cannot read the kernel it is meant for
    """

    suite: str
    version: str
    root: Path
    options: tuple[str, ...] = ()

    @property
    def argv(self) -> tuple[str, ...]:
        """How to call it; its own arguments follow. It sees and changes what any program does."""
        return (
            str(self.root / "usr/lib64/ld-linux-x86-64.so.2"),
            "--inhibit-cache",
            "--library-path",
            str(self.root / "usr/lib/x86_64-linux-gnu"),
            str(self.root / "usr/bin/crash"),
            *self.options,
        )

    def run(self, vmlinux: Path, vmcore: Path, commands: str, *, seconds: float = 300) -> str:
        """What ``crash -s`` prints when it is given ``commands``, one a line.

        :raises LabError: it does not start on this dump, or does not end in time
        """
        try:
            done = subprocess.run(
                [*self.argv, "-s", str(vmlinux), str(vmcore)],
                input=f"{commands.rstrip()}\nquit\n",
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise LabError(
                f"did not end within {seconds:.0f} s", thing=f"crash {self.version}"
            ) from None
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split())[-300:]
            raise LabError(f"cannot read the dump: {said}", thing=f"crash {self.version}")
        return done.stdout


def crash_for(series: str) -> CrashProgram:
    """The oldest crash that reads the kernels of ``series`` (``6.12``).

    :raises UsageError: the lab knows no such kernel
    """
    suite, options = _KNOWS[find_series(series).name]
    return replace(fetch_crash(suite), options=options)


def cached_crash(suite: str) -> CrashProgram | None:
    """The crash of ``suite`` if it is in the cache, every file as it was unpacked."""
    root = lab_cache() / "tools" / f"crash-{suite}"
    try:
        about = from_json((root / _ABOUT).read_bytes(), _About)
        whole = all(_digest(root / name) == digest for name, digest in about.files.items())
    except (OSError, KautopsyError):
        return None
    return CrashProgram(suite, about.version, root) if whole else None


def fetch_crash(suite: str) -> CrashProgram:
    """The crash of ``suite``, fetched (some 15 MB) if it is not in the cache.

    :raises UnreachableError: the archive does not answer
    """
    if (cached := cached_crash(suite)) is not None:
        return cached
    with locked(lab_cache()):
        if (cached := cached_crash(suite)) is None:
            _fetch(suite)
            cached = cached_crash(suite)
    if cached is None:
        raise LabError("is not what was just unpacked", thing=f"crash of {suite}")
    return cached


def _fetch(suite: str) -> None:
    archive = fresh_suite(suite)
    packages = archive.resolve("crash", keep=_is_library)
    root = lab_cache() / "tools" / f"crash-{suite}"
    unpack(archive, packages, root)
    # The files that run: the program, the loader, the libraries.
    found = [root / "usr/bin/crash", *sorted((root / "usr/lib").rglob("*.so*"))]
    files = {
        str(path.relative_to(root)): _digest(path)
        for path in found
        if path.is_file() and not path.is_symlink()
    }
    # Written last: whoever finds it finds all of it.
    (root / _ABOUT).write_text(to_json(_About(version=packages[0].version, files=files)))


def _is_library(package: DebianPackage) -> bool:
    # binutils, on which it depends too, are the host's.
    return package.section == "libs"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
