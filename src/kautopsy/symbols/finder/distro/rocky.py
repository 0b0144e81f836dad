"""Rocky Linux: the newest minor release under pub, the others under vault."""

from __future__ import annotations

from kautopsy.symbols.finder.distro.elrelease import ElRelease, download_commands
from kautopsy.symbols.finder.distro.offer import Lead, Offer, PackageFile

_HOST = "https://dl.rockylinux.org"


def leads(release: str, arch: str) -> tuple[Lead, ...]:
    """From 8 on. A kernel without a minor release is CentOS Stream's."""
    kernel = ElRelease.parse(release)
    if kernel is None or kernel.major < 8 or kernel.is_stream:
        return ()
    minor = f"{kernel.major}.{kernel.minor}"
    trees = tuple(
        f"{_HOST}/{where}/BaseOS/{kernel.arch}/debug/tree/"
        for where in (f"vault/rocky/{minor}", f"pub/rocky/{kernel.major}")
    )
    files = tuple(PackageFile(f"{tree}Packages/k/{kernel.debuginfo}.rpm", tree) for tree in trees)
    offer = Offer(
        distribution="rocky",
        title=f"Rocky Linux {minor}",
        packages=kernel.packages,
        addresses=tuple(file.url for file in files),
        commands=download_commands(f"{trees[0]}Packages/k/", kernel.packages),
        note=f"while {minor} is the newest release, its packages are at {trees[1]}Packages/k/",
    )
    return (Lead(offer, files),)
