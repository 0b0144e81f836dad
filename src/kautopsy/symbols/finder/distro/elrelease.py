"""What ``uname -r`` of an Enterprise Linux kernel says; shared by the pages of RHEL's family.

=========================================  ==========================================
``2.6.32-754.35.1.el6.x86_64``             6
``2.6.32-279.el6.x86_64.debug``            6, the kernel with debugging options
``3.10.0-1160.118.1.el7.x86_64``           7
``3.10.0-1160.rt56.1131.el7.x86_64``       7, realtime, a package of its own
``4.18.0-372.19.1.el8_6.x86_64+debug``     8.6
``5.14.0-427.el9.aarch64+64k``             9 Stream, 64 KiB pages
=========================================  ==========================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_RELEASE = re.compile(
    r"(?P<version>\d+\.\d+\.\d+)-(?P<build>[0-9][0-9A-Za-z.]*\.el(?P<major>\d+)(?:_(?P<minor>\d+))?)"
    r"(?:\.(?P<arch>x86_64|i686|i386|aarch64|ppc64le|ppc64|s390x))"
    r"(?P<flavour>(?:[.+](?:debug|rt|rt-debug|64k|64k-debug|kdump|PAE))?)"
)

# The first kernel of each minor release of 8 does not name it; later ones, and all of 9 and 10, do.
_FIRST_OF_8 = {
    f"{number}.el8": minor
    for minor, number in enumerate((80, 147, 193, 240, 305, 348, 372, 425, 477, 513, 553))
}


@dataclass(frozen=True)
class ElRelease:
    """A kernel of RHEL or of a rebuild.

    :param build: RPM's release: ``1160.118.1.el7``
    :param minor: of ``el8_6``: 6; None for CentOS Stream and before 8
    :param variant: what stands between ``kernel`` and the package's version: ``-debug``, ``-rt``
    """

    version: str
    build: str
    major: int
    minor: int | None
    arch: str
    variant: str

    @classmethod
    def parse(cls, release: str) -> ElRelease | None:
        """None if it is no such kernel; other vendors' builds for ``elN`` are none either."""
        match = _RELEASE.fullmatch(release)
        if match is None:
            return None
        flavour = match["flavour"].lstrip(".+")
        # Realtime kernels up to 8 are built from a package of their own, with rtNN in the version.
        own_rt = re.search(r"\.rt\d", match["build"]) is not None and not flavour.startswith("rt")
        parts = [""] + (["rt"] if own_rt else []) + ([flavour] if flavour else [])
        return cls(
            version=match["version"],
            build=match["build"],
            major=int(match["major"]),
            minor=int(match["minor"]) if match["minor"] else _FIRST_OF_8.get(match["build"]),
            arch=match["arch"],
            variant="-".join(parts),
        )

    @property
    def is_stream(self) -> bool:
        """A kernel of CentOS Stream, which belongs to no minor release."""
        return self.major >= 8 and self.minor is None

    @property
    def full(self) -> str:
        """Version, release and architecture as they end a package's file name."""
        return f"{self.version}-{self.build}.{self.arch}"

    @property
    def debuginfo(self) -> str:
        """The package with the vmlinux."""
        return f"kernel{self.variant}-debuginfo-{self.full}"

    @property
    def common(self) -> str:
        """The package with the sources, without which rpm does not install the other."""
        base = "kernel-rt" if self.variant.startswith("-rt") and ".rt" in self.build else "kernel"
        return f"{base}-debuginfo-common-{self.arch}-{self.full}"

    @property
    def packages(self) -> tuple[str, str]:
        """Both, in the order in which one downloads them."""
        return self.debuginfo, self.common


def download_commands(folder: str, packages: tuple[str, ...]) -> tuple[str, ...]:
    """Commands that fetch and install packages which lie under their names at ``folder``."""
    return (
        *(f"curl -fLO -C - {folder}{package}.rpm" for package in packages),
        "sudo rpm -ivh " + " ".join(f"{package}.rpm" for package in packages),
    )
