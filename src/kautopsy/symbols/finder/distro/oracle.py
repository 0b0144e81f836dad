"""Oracle Linux: its own kernel (UEK) and the one compatible with RHEL's, flat in one directory.

"Installing the crash Packages" (Oracle Linux 6) to "Installing DebugInfo Packages" (10).
"""

from __future__ import annotations

import re

from kautopsy.symbols.finder.distro.elrelease import ElRelease, download_commands
from kautopsy.symbols.finder.distro.offer import Lead, Offer, PackageFile

_HOST = "https://oss.oracle.com"
_UEK = re.compile(
    r"(?P<full>\d+\.\d+\.\d+-[0-9.]+\.el(?P<major>\d+)uek\.(?:x86_64|i686|aarch64))"
    r"(?P<debug>[.+]debug)?"
)


def leads(release: str, arch: str) -> tuple[Lead, ...]:
    """UEK kernels are Oracle's alone."""
    if match := _UEK.fullmatch(release):
        variant = "-debug" if match["debug"] else ""
        packages = (
            f"kernel-uek{variant}-debuginfo-{match['full']}",
            f"kernel-uek-debuginfo-common-{match['full']}",
        )
        return (_lead(int(match["major"]), packages, "Unbreakable Enterprise Kernel of "),)
    kernel = ElRelease.parse(release)
    if kernel is None or kernel.major < 6 or kernel.is_stream:
        return ()
    return (_lead(kernel.major, kernel.packages, ""),)


def _lead(major: int, packages: tuple[str, str], kind: str) -> Lead:
    folder = f"{_HOST}/ol{major}/debuginfo/"
    # The directory has been a repository since 2014; without an index the build-id decides alone.
    file = PackageFile(f"{folder}{packages[0]}.rpm", folder)
    offer = Offer(
        distribution="oracle",
        title=f"{kind}Oracle Linux {major}",
        packages=packages,
        addresses=(file.url,),
        commands=download_commands(folder, packages),
    )
    return Lead(offer, (file,))
