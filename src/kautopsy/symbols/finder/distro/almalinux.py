"""AlmaLinux: the vault has all of a major release together, and each minor release once more."""

from __future__ import annotations

from kautopsy.symbols.finder.distro.elrelease import ElRelease, download_commands
from kautopsy.symbols.finder.distro.offer import Lead, Offer, PackageFile

_VAULT = "https://vault.almalinux.org"
_MINORS = "https://repo.almalinux.org/vault"


def leads(release: str, arch: str) -> tuple[Lead, ...]:
    """From 8 on. A kernel without a minor release is CentOS Stream's."""
    kernel = ElRelease.parse(release)
    if kernel is None or kernel.major < 8 or kernel.is_stream:
        return ()
    minor = f"{kernel.major}.{kernel.minor}"
    repositories = tuple(
        f"{where}/BaseOS/debug/{kernel.arch}/"
        for where in (f"{_VAULT}/{kernel.major}", f"{_MINORS}/{minor}")
    )
    files = tuple(PackageFile(f"{r}Packages/{kernel.debuginfo}.rpm", r) for r in repositories)
    offer = Offer(
        distribution="almalinux",
        title=f"AlmaLinux {minor}",
        packages=kernel.packages,
        addresses=tuple(file.url for file in files),
        commands=download_commands(f"{repositories[0]}Packages/", kernel.packages),
    )
    return (Lead(offer, files),)
