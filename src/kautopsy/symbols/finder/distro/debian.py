"""Debian: ``linux-image-RELEASE-dbg``, resolved by a private apt in the suite the kernel is of.

A suite keeps few versions; older ones are in Debian's snapshots, which ``debsnap`` of devscripts
downloads from.
"""

from __future__ import annotations

import re

from kautopsy.symbols.finder.distro.offer import DebianFile, Lead, Offer

# Flavours of src:linux, by what they end with (debian/config/defines); the rest is Debian's name
# of the architecture.
_ARCHITECTURES = {
    "amd64": "amd64",
    "686": "i386",
    "686-pae": "i386",
    "arm64": "arm64",
    "arm64-16k": "arm64",
    "armmp": "armhf",
    "armmp-lpae": "armhf",
    "powerpc64le": "ppc64el",
    "powerpc64le-64k": "ppc64el",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "loong64": "loong64",
}
_RELEASE = re.compile(
    r"(?P<version>\d+\.\d+)(?:\.\d+)?"
    r"(?:(?P<backport>\+bpo)(?:\.\d+)?|\+deb(?P<suite>\d+)(?:\.\d+)?|-0\.(?:bpo|deb(?P<old>\d+))\.\d+"
    r"|-\d+)"
    r"-(?:(?:cloud|rt)-)?(?P<flavour>[a-z0-9]+(?:-(?:pae|lpae|16k|64k))?)"
)
_SUITES = {10: "buster", 11: "bullseye", 12: "bookworm", 13: "trixie", 14: "forky"}
# Kernels before 6.12 name no suite; each release of Debian stays with one series.
_SERIES = {"4.19": "buster", "5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie"}


def leads(release: str, arch: str) -> tuple[Lead, ...]:
    """``6.1.0-56-cloud-amd64``, ``6.12.107+deb13-amd64``, ``6.1.0-0.deb11.21-amd64``."""
    match = _RELEASE.fullmatch(release)
    architecture = _ARCHITECTURES.get(match["flavour"]) if match else None
    if match is None or architecture is None:
        return ()
    suites = _suites(match)
    package = f"linux-image-{release}-dbg"
    offer = Offer(
        distribution="debian",
        title=f"Debian {suites[0]}",
        packages=(package,),
        commands=(
            f"sudo apt install -t {suites[0]} {package}",
            f"debsnap --list --architecture {architecture} {package}",
            f"debsnap --architecture {architecture} {package} VERSION",
        ),
        note=(
            f"apt needs {suites[0]} among its sources; debsnap (devscripts) has the versions "
            "that the suite no longer has"
        ),
    )
    return (Lead(offer, (DebianFile(package, architecture, suites),)),)


def _suites(match: re.Match[str]) -> tuple[str, ...]:
    series = _SERIES.get(match["version"])
    if match["suite"]:
        own = _SUITES.get(int(match["suite"]))
        # What is to become the next stable is uploaded to unstable under its name.
        return ("sid",) if own in (None, "forky") else (own or "sid", "sid")
    if match["old"]:
        own = _SUITES.get(int(match["old"]))
        return (f"{own}-backports",) if own else ("sid",)
    if match["backport"]:
        # 6.12 and later in bookworm, and so on: backports are to the release before.
        return ("trixie-backports", "bookworm-backports")
    return (series,) if series else ("sid",)
