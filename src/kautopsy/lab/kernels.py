"""Distribution kernels for guests: fetched once, then found in the cache without any network."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from kautopsy.host.debian import DebianPackage
from kautopsy.lab.archive import downloaded, fresh_suite, unpack
from kautopsy.lab.cache import lab_cache, locked
from kautopsy.lab.errors import LabError, NoKernelError
from kautopsy.lab.modules import ModuleTree
from kautopsy.lab.series import Series, find_series
from kautopsy.model.base import Noun, from_json, to_json

_ABOUT = "kernel.json"


class _About(Noun, frozen=True, kw_only=True):
    release: str
    package: str
    version: str


@dataclass(frozen=True)
class GuestKernel:
    """One kernel in the cache.

    :param release: ``uname -r``
    :param package: the Debian package it came from, of ``version``
    :param root: its packages, unpacked (merged /usr)
    """

    series: Series
    release: str
    package: str
    version: str
    root: Path

    @property
    def vmlinuz(self) -> Path:
        """The bootable image; Debian 14 moved it from /boot beside the modules."""
        for path in (
            self.root / "boot" / f"vmlinuz-{self.release}",
            self.root / "usr/lib/modules" / self.release / "vmlinuz",
        ):
            if path.is_file():
                return path
        raise LabError("its package has no vmlinuz", thing=self.package, slug="no-vmlinuz")

    def modules(self) -> ModuleTree:
        """Its modules."""
        return ModuleTree.read(self.root / "usr/lib/modules" / self.release)

    @property
    def cached_vmlinux(self) -> Path | None:
        """The DWARF, if it was fetched before."""
        path = self.root / "vmlinux"
        return path if path.is_file() else None

    def vmlinux(self) -> Path:
        """The kernel's DWARF, from Debian's -dbg package; fetched (about 350 MB) if need be.

        :raises NoKernelError: the archive no longer has the package of this very version
        """
        with locked(lab_cache()):
            if (cached := self.cached_vmlinux) is not None:
                return cached
            suite = fresh_suite(self.series.suite)
            package = suite.show(f"linux-image-{self.release}-dbg", self.version)
            if package is None:
                raise NoKernelError(
                    f"the archive has no debuginfo of {self.version}",
                    thing=f"linux-image-{self.release}-dbg",
                    hint=f"remove {self.root} to take the newest kernel that has",
                )
            with downloaded(suite, package) as deb:
                extract_vmlinux(deb, self.release, self.root / "vmlinux")
        return self.root / "vmlinux"


def cached_kernel(name: str) -> GuestKernel | None:
    """The kernel of series ``name`` if it is in the cache."""
    series = find_series(name)
    root = lab_cache() / "kernels" / series.name
    try:
        about = from_json((root / _ABOUT).read_bytes(), _About)
    except OSError:
        return None
    return GuestKernel(series, about.release, about.package, about.version, root)


def fetch_kernel(name: str) -> GuestKernel:
    """The kernel of series ``name`` (``6.1``), fetched if it is not in the cache.

    :raises UsageError: the lab knows no such series
    :raises NoKernelError: its suite has none
    """
    series = find_series(name)
    if (cached := cached_kernel(name)) is not None:
        return cached
    with locked(lab_cache()):
        if (cached := cached_kernel(name)) is None:
            _fetch(series)
    kernel = cached_kernel(name)
    assert kernel is not None
    return kernel


def image_pattern(series: str) -> re.Pattern[str]:
    """Matches the names of ``series``' image packages for clouds, not of their variants."""
    return re.compile(rf"linux-image-({re.escape(series)}\.\d\S*-cloud-amd64)")


def _fetch(series: Series) -> None:
    suite = fresh_suite(series.suite)
    pattern = image_pattern(series.name)
    names = suite.names(f"linux-image-{series.name}.")
    found = [suite.show(name) for name in names if pattern.fullmatch(name)]
    packages = [package for package in found if package is not None]
    if not packages:
        raise NoKernelError(
            f"{series.suite} has no cloud kernel of this series",
            thing=series.name,
            hint="the suite moved on: KAUTOPSY_DEBIAN_MIRROR may name a snapshot that has it",
        )
    newest = max(packages, key=_newest_last)
    match = pattern.fullmatch(newest.name)
    assert match is not None
    release = match[1]
    # Debian 14 splits the image into linux-binary-RELEASE, linux-modules-RELEASE, ...
    wanted = suite.resolve(newest.name, keep=lambda package: release in package.name)
    root = lab_cache() / "kernels" / series.name
    unpack(suite, wanted, root)
    if not (root / "usr/lib/modules" / release / "modules.dep").exists():
        _depmod(root, release)
    about = _About(release=release, package=newest.name, version=newest.version)
    # Written last: whoever finds it finds the whole kernel.
    (root / _ABOUT).write_text(to_json(about))


def _compare(left: DebianPackage, right: DebianPackage) -> int:
    if left.version == right.version:
        return 0
    argv = ["dpkg", "--compare-versions", left.version, "gt", right.version]
    return 1 if subprocess.run(argv, check=False).returncode == 0 else -1


_newest_last = functools.cmp_to_key(_compare)


def _depmod(root: Path, release: str) -> None:
    done = subprocess.run(
        ["depmod", "--basedir", str(root), release],
        capture_output=True,
        text=True,
        check=False,
        # depmod is in sbin, which an ordinary user's PATH may lack.
        env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
    )
    if done.returncode:
        raise LabError(done.stderr.strip(), thing=f"depmod {release}", slug="no-modules")


def extract_vmlinux(deb: Path, release: str, final: Path) -> None:
    """Unpack only the vmlinux of a -dbg package, as a stream; ``final`` appears whole or not.

    ``usr/lib/debug/boot/vmlinux-RELEASE`` is the file itself, or since Debian 14 a link to
    ``usr/lib/debug/lib/modules/RELEASE/vmlinux``.

    :raises NoKernelError: the package has none
    """
    names = {
        f"usr/lib/debug/boot/vmlinux-{release}",
        f"usr/lib/debug/lib/modules/{release}/vmlinux",
        f"usr/lib/debug/usr/lib/modules/{release}/vmlinux",
    }
    partial = final.with_name(f".{final.name}-{os.getpid()}")
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as dpkg:
        try:
            with tarfile.open(fileobj=dpkg.stdout, mode="r|") as tar:
                for member in tar:
                    if member.isreg() and member.name.removeprefix("./") in names:
                        source = tar.extractfile(member)
                        assert source is not None
                        with partial.open("wb") as file:
                            while block := source.read(1 << 20):
                                file.write(block)
                        partial.rename(final)
                        return
        finally:
            dpkg.kill()
            with contextlib.suppress(OSError):
                partial.unlink()
    raise NoKernelError("has no vmlinux", thing=deb.name)
