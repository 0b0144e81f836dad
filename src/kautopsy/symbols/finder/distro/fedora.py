"""Fedora: the build system keeps every released kernel; its debuginfod has them too.

Koji publishes no checksums; the build-id decides.
"""

from __future__ import annotations

import re

from kautopsy.symbols.finder.distro.elrelease import download_commands
from kautopsy.symbols.finder.distro.offer import Lead, Offer, PackageFile

_BUILDS = "https://kojipkgs.fedoraproject.org/packages/kernel"
_RELEASE = re.compile(
    r"(?P<version>\d+\.\d+\.\d+)-(?P<build>[0-9][0-9A-Za-z.]*\.fc(?P<fedora>\d+))"
    r"\.(?P<arch>x86_64|i686|aarch64|ppc64le|s390x)(?:\+(?P<variant>debug|16k|16k-debug|rt))?"
)


def leads(release: str, arch: str) -> tuple[Lead, ...]:
    """``6.8.11-300.fc40.x86_64``, with ``+debug`` for the kernel with debugging options."""
    match = _RELEASE.fullmatch(release)
    if match is None:
        return ()
    full = f"{match['version']}-{match['build']}.{match['arch']}"
    variant = f"-{match['variant']}" if match["variant"] else ""
    packages = (
        f"kernel{variant}-debuginfo-{full}",
        f"kernel-debuginfo-common-{match['arch']}-{full}",
    )
    folder = f"{_BUILDS}/{match['version']}/{match['build']}/{match['arch']}/"
    file = PackageFile(f"{folder}{packages[0]}.rpm")
    offer = Offer(
        distribution="fedora",
        title=f"Fedora {match['fedora']}",
        packages=packages,
        addresses=(file.url,),
        commands=download_commands(folder, packages),
        debuginfod="https://debuginfod.fedoraproject.org/",
    )
    return (Lead(offer, (file,)),)
