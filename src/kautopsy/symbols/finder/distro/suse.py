"""SUSE Linux Enterprise, openSUSE Leap and Tumbleweed: ``kernel-FLAVOUR-debuginfo``.

The package's release has one number more than ``uname -r`` (how often it was rebuilt), so the
listing is asked. Since 15.3 Leap takes SLE's own packages, which makes them public.
"""

from __future__ import annotations

import re

from kautopsy.symbols.finder.distro.offer import Lead, Listing, Offer

_HOST = "https://download.opensuse.org/debug"
_RELEASE = re.compile(
    r"(?P<version>\d+\.\d+\.\d+)-(?P<build>(?:lp\d+\.)?[0-9][0-9A-Za-z.]*)"
    r"-(?P<flavour>default|debug|preempt|azure|rt|rt_debug|64kb|vanilla|kvmsmall)"
)
# 150600 is 15 SP6, 160000 is 16.0 (RELEASE in config.sh of SUSE's kernel-source).
_CODED = re.compile(r"(?P<major>1\d)0(?P<minor>\d)00\.")
_LEAP = re.compile(r"lp(?P<major>\d\d)(?P<minor>\d)\.")
# Before 15 SP3's updates the release had no such code, but each service pack its own series.
_SERIES = {
    "4.4.180-94": (12, 3),
    "4.12.14-95": (12, 4),
    "4.12.14-122": (12, 5),
    "4.12.14-25": (15, 0),
    "4.12.14-150": (15, 0),
    "4.12.14-197": (15, 1),
    "5.3.18-24": (15, 2),
    "5.3.18-57": (15, 3),
    "5.3.18-59": (15, 3),
}


def leads(release: str, arch: str) -> tuple[Lead, ...]:
    """``6.4.0-150600.23.7-default``, ``5.3.18-lp152.75-default``, ``6.11.8-1-default``."""
    match = _RELEASE.fullmatch(release)
    if match is None:
        return ()
    package = f"kernel-{match['flavour']}-debuginfo"
    version = f"{match['version']}-{match['build']}"
    title, folders = _product(match)
    # Other architectures' packages lie in trees of their own.
    trees = tuple(f"{_HOST}/{folder}/" for folder in folders) if arch == "x86_64" else ()
    pattern = rf"{re.escape(package)}-{re.escape(version)}(?:\.\d+)*\.x86_64\.rpm"
    files = tuple(Listing(f"{tree}x86_64/", pattern, repository=tree) for tree in trees)
    offer = Offer(
        distribution="suse",
        title=title,
        packages=(f"{package}-{version}",),
        addresses=tuple(f"{file.url}{package}-{version}.N.x86_64.rpm" for file in files),
        commands=(
            f"zypper --plus-content debug search --details --match-exact {package}",
            f"sudo zypper --plus-content debug install {package}={version}.N",
        ),
        debuginfod="https://debuginfod.opensuse.org/",
        note="N counts rebuilds: the first command shows it",
    )
    return (Lead(offer, files),)


def _product(match: re.Match[str]) -> tuple[str, tuple[str, ...]]:
    """What it is, and the folders of openSUSE's debug tree that may have it."""
    release = match["build"] + "."
    coded = _CODED.match(release) or _LEAP.match(release)
    product = (int(coded["major"]), int(coded["minor"])) if coded else None
    for series, number in _SERIES.items():
        if f"{match['version']}-{release}".startswith(f"{series}."):
            product = number
    if product is None:
        return "openSUSE Tumbleweed", ("tumbleweed/repo/oss",)
    major, minor = product
    number_ = f"{major}.{minor}"
    if major < 15:
        return f"SUSE Linux Enterprise {major} SP{minor}", ()
    folders = (
        f"update/leap/{number_}/sle",
        f"update/leap/{number_}/oss",
        f"distribution/leap/{number_}/repo/oss",
    )
    enterprise = number_ if major >= 16 else f"{major} SP{minor}" if minor else str(major)
    if _LEAP.match(release):
        return f"openSUSE Leap {number_}", folders[1:]
    return f"SUSE Linux Enterprise {enterprise} or openSUSE Leap {number_}", folders
