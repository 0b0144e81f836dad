"""Debian's packages as the lab takes them: from a suite's main archive, unpacked, not kept."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from kautopsy.host.debian import DebianPackage, DebianSuite
from kautopsy.lab.cache import lab_cache, staged
from kautopsy.lab.errors import LabError
from kautopsy.model.errors import MissingToolError


def fresh_suite(name: str) -> DebianSuite:
    """The suite without its security updates, its lists as new as the archive's.

    :raises UnreachableError: the archive does not answer
    """
    if shutil.which("dpkg-deb") is None:
        raise MissingToolError("is not installed", thing="dpkg-deb", hint="the lab needs dpkg")
    suite = DebianSuite(name, root=lab_cache() / "apt" / name, security=False)
    suite.refresh()
    return suite


@contextlib.contextmanager
def downloaded(suite: DebianSuite, package: DebianPackage) -> Iterator[Path]:
    """The package's file, for as long as the block lasts."""
    deb = suite.download(package.name, package.version)
    try:
        yield deb
    finally:
        deb.unlink(missing_ok=True)


def unpack(suite: DebianSuite, packages: Iterable[DebianPackage], final: Path) -> None:
    """Fetch ``packages`` and unpack them all into ``final``, which appears whole or not."""
    with staged(final) as folder:
        for package in packages:
            with downloaded(suite, package) as deb:
                _extract(deb, folder)
        # Without merged /usr (bullseye) a package may have /lib; /usr/lib is where we look.
        merge_usr(folder)


def merge_usr(root: Path) -> None:
    """Move ``root``'s bin, sbin and lib* below usr, and leave links, as merged /usr has them."""
    for name in ("bin", "sbin", "lib", "lib64"):
        old, new = root / name, root / "usr" / name
        if old.is_dir() and not old.is_symlink():
            shutil.copytree(old, new, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(old)
        if not old.exists() and new.is_dir():
            old.symlink_to(f"usr/{name}")


def _extract(deb: Path, folder: Path) -> None:
    done = subprocess.run(
        ["dpkg-deb", "--extract", str(deb), str(folder)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise LabError(
            f"cannot be unpacked: {done.stderr.strip()[-300:]}", thing=deb.name, slug="bad-package"
        )
