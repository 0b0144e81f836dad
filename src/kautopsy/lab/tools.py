"""What runs inside guests: busybox, kexec and makedumpfile of one suite, with their libraries.

They run with their own suite's loader and C library, so the host's distribution does not matter.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from kautopsy.host.debian import DebianPackage
from kautopsy.lab.archive import fresh_suite, unpack
from kautopsy.lab.cache import lab_cache, locked
from kautopsy.lab.errors import LabError

_PACKAGES = ["busybox-static", "kexec-tools", "makedumpfile"]
_LOADER = "lib64/ld-linux-x86-64.so.2"
_LIBRARY = re.compile(r"=> (\S+)")
_COMPLETE = ".complete"


@dataclass(frozen=True)
class Tools:
    """The unpacked tools of a suite, below ``root``."""

    root: Path

    @property
    def busybox(self) -> Path:
        """A static busybox."""
        return self._program("busybox")

    @property
    def kexec(self) -> Path:
        """kexec(8)."""
        return self._program("kexec")

    @property
    def makedumpfile(self) -> Path:
        """makedumpfile(8)."""
        return self._program("makedumpfile")

    def with_libraries(self, program: Path) -> dict[str, Path]:
        """``program`` and all it needs to run: path in the guest → file on the host.

        :raises LabError: a library is not among the packages
        """
        loader = self.root / _LOADER
        done = self._load("--list", str(program))
        if done.returncode:
            raise LabError(done.stderr.strip(), thing=str(program), slug="no-library")
        files = {f"usr/bin/{program.name}": program, _LOADER: loader}
        for path in map(Path, _LIBRARY.findall(done.stdout)):
            if path.name != loader.name:
                files[f"usr/lib/{path.name}"] = path
        return files

    def kernel_log(self, vmcore: Path) -> list[str]:
        """The whole kernel log of a dump, as makedumpfile reads it: it needs no debuginfo.

        :raises LabError: makedumpfile cannot read it
        """
        with tempfile.TemporaryDirectory(prefix="kautopsy-log-") as folder:
            log = Path(folder) / "dmesg"
            program = str(self.makedumpfile)
            done = self._load(program, "--dump-dmesg", str(vmcore), str(log))
            if done.returncode or not log.exists():
                raise LabError(
                    f"makedumpfile cannot read its log: {done.stderr.strip()[-200:]}",
                    thing=str(vmcore),
                    slug="no-log",
                )
            return log.read_text(errors="replace").splitlines()

    def _load(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the suite's own loader on this host."""
        libraries = str(self.root / "usr/lib/x86_64-linux-gnu")
        return subprocess.run(
            [str(self.root / _LOADER), "--inhibit-cache", "--library-path", libraries, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )

    def _program(self, name: str) -> Path:
        for folder in ("usr/bin", "usr/sbin"):
            if (path := self.root / folder / name).is_file():
                return path
        raise LabError("is not in its package", thing=name, slug="no-tool")


def cached_tools(suite: str) -> Tools | None:
    """The tools of ``suite`` if they are in the cache."""
    root = lab_cache() / "tools" / suite
    return Tools(root) if (root / _COMPLETE).exists() else None


def fetch_tools(suite: str) -> Tools:
    """The tools of ``suite``, fetched if they are not in the cache."""
    if (cached := cached_tools(suite)) is not None:
        return cached
    with locked(lab_cache()):
        if (cached := cached_tools(suite)) is None:
            archive = fresh_suite(suite)
            root = lab_cache() / "tools" / suite
            unpack(archive, archive.resolve(*_PACKAGES, keep=_is_library), root)
            (root / _COMPLETE).touch()
            cached = Tools(root)
    return cached


def _is_library(package: DebianPackage) -> bool:
    # makedumpfile depends on perl for a script that we do not use, kexec-tools on debconf.
    return package.section == "libs" and package.name.startswith(("lib", "zlib"))
