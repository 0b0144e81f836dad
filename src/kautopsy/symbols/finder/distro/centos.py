"""CentOS Linux 6 to 8 and CentOS Stream 8 to 10.

All debug packages of a release up to 8 lie flat in one directory of debuginfo.centos.org; vault
has those of 8 once more, by minor release. Stream keeps the newest in the mirrors and all builds
in its build system (which publishes no index of checksums).
"""

from __future__ import annotations

from kautopsy.symbols.finder.distro.elrelease import ElRelease, download_commands
from kautopsy.symbols.finder.distro.offer import Lead, Offer, PackageFile

_DEBUGINFO = "http://debuginfo.centos.org"
_VAULT = "https://vault.centos.org"
_MIRROR = "https://mirror.stream.centos.org"
_BUILDS = "https://kojihub.stream.centos.org/kojifiles/packages/kernel"
# vault.centos.org's directories of CentOS Linux 8.
_MINORS = {0: "8.0.1905", 1: "8.1.1911", 2: "8.2.2004", 3: "8.3.2011", 4: "8.4.2105", 5: "8.5.2111"}


def leads(release: str, arch: str) -> tuple[Lead, ...]:
    """CentOS Linux ended with 8.5; kernels of later minor releases are not CentOS'."""
    kernel = ElRelease.parse(release)
    if kernel is None:
        return ()
    if kernel.major in (6, 7):
        return (_flat(kernel, f"{_DEBUGINFO}/{kernel.major}/{kernel.arch}/"),)
    if kernel.major == 8 and kernel.minor is not None and kernel.minor in _MINORS:
        repository = f"{_DEBUGINFO}/8/{kernel.arch}/"
        tree = f"{_VAULT}/{_MINORS[kernel.minor]}/BaseOS/{kernel.arch}/debug/tree/"
        return (
            _lead(
                kernel,
                title=f"CentOS 8.{kernel.minor}",
                folder=f"{repository}Packages/",
                files=(
                    PackageFile(f"{repository}Packages/{kernel.debuginfo}.rpm", repository),
                    PackageFile(f"{tree}Packages/{kernel.debuginfo}.rpm", tree),
                ),
            ),
        )
    if kernel.major == 8 and kernel.minor is None:
        linux = f"{_DEBUGINFO}/8/{kernel.arch}/"
        stream = f"{_DEBUGINFO}/8-stream/{kernel.arch}/"
        return (
            _lead(
                kernel,
                title="CentOS 8 or CentOS Stream 8",
                folder=f"{stream}Packages/",
                files=(
                    PackageFile(f"{stream}Packages/{kernel.debuginfo}.rpm", stream),
                    PackageFile(f"{linux}Packages/{kernel.debuginfo}.rpm", linux),
                ),
            ),
        )
    if kernel.major >= 9 and kernel.minor is None:
        tree = f"{_MIRROR}/{kernel.major}-stream/BaseOS/{kernel.arch}/debug/tree/"
        builds = f"{_BUILDS}/{kernel.version}/{kernel.build}/{kernel.arch}/"
        return (
            _lead(
                kernel,
                title=f"CentOS Stream {kernel.major}",
                folder=builds,
                files=(
                    PackageFile(f"{tree}Packages/{kernel.debuginfo}.rpm", tree),
                    PackageFile(f"{builds}{kernel.debuginfo}.rpm"),
                ),
                debuginfod="https://debuginfod.centos.org/",
            ),
        )
    return ()


def _flat(kernel: ElRelease, folder: str) -> Lead:
    return _lead(
        kernel,
        title=f"CentOS {kernel.major}",
        folder=folder,
        files=(PackageFile(f"{folder}{kernel.debuginfo}.rpm", folder),),
    )


def _lead(
    kernel: ElRelease,
    *,
    title: str,
    folder: str,
    files: tuple[PackageFile, ...],
    debuginfod: str | None = None,
) -> Lead:
    offer = Offer(
        distribution="centos",
        title=title,
        packages=kernel.packages,
        addresses=tuple(file.url for file in files),
        commands=download_commands(folder, kernel.packages),
        debuginfod=debuginfod,
    )
    return Lead(offer, files)
