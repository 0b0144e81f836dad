"""Ubuntu: ``-dbgsym`` packages (``.ddeb``) in an archive of their own, ddebs.ubuntu.com.

The package's version is not in ``uname -r`` (``5.15.0-124-generic`` is of ``5.15.0-124.134``), so
the pool's listing is asked. Which source package a flavour is built from depends on the release it
was backported to. ddebs drops old kernels; Launchpad keeps them (``pull-lp-ddebs``).
"""

from __future__ import annotations

import re

from kautopsy.symbols.finder.distro.offer import Lead, Listing, Offer

_POOL = "http://ddebs.ubuntu.com/pool/main/l"
_DISTS = "http://ddebs.ubuntu.com/dists"
# A backport's version ends in the release it was made for (~20.04.1); else the series tells.
_BACKPORT = re.compile(r"~(\d\d\.\d\d)")
_SUITES = {
    "4.4": "xenial",
    "16.04": "xenial",
    "4.15": "bionic",
    "18.04": "bionic",
    "5.4": "focal",
    "20.04": "focal",
    "5.15": "jammy",
    "22.04": "jammy",
    "6.8": "noble",
    "24.04": "noble",
}
_RELEASE = re.compile(
    r"(?P<version>(?P<series>\d+\.\d+)\.\d+-\d+)-(?P<flavour>generic|lowlatency|server|virtual|aws|"
    r"azure|gcp|gke|gkeop|ibm|kvm|nvidia|oem|oracle|raspi|realtime|azure-fde|xilinx-zynqmp)"
    r"(?P<pages>-64k|-hwe|-lpae)?"
)
_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "armhf",
    "i686": "i386",
    "ppc64le": "ppc64el",
    "s390x": "s390x",
    "riscv64": "riscv64",
}


def leads(release: str, arch: str) -> tuple[Lead, ...]:
    """``5.15.0-124-generic``, ``6.8.0-1015-aws``."""
    match = _RELEASE.fullmatch(release)
    if match is None:
        return ()
    architecture = _ARCHITECTURES.get(arch, "amd64")
    flavour, series = match["flavour"], match["series"]
    if flavour in ("generic", "server", "virtual"):
        sources = ["linux", f"linux-hwe-{series}", "linux-hwe"]
    elif flavour == "lowlatency":
        sources = ["linux-lowlatency", f"linux-lowlatency-hwe-{series}", "linux"]
    else:
        sources = [f"linux-{flavour}", f"linux-{flavour}-{series}"]
    # Images that are signed by a separate package are "unsigned" where they are built, since 4.15.
    number = tuple(int(part) for part in series.split("."))
    unsigned = number >= (4, 15) and flavour not in ("raspi", "kvm", "server", "virtual")
    package = f"linux-image-{'unsigned-' if unsigned else ''}{release}-dbgsym"
    pattern = (
        rf"linux-image-(?:unsigned-)?{re.escape(release)}-dbgsym"
        rf"_[0-9A-Za-z.~+-]+_{architecture}\.d?deb"
    )

    def indexes(name: str) -> tuple[str, ...]:
        backport = _BACKPORT.search(name)
        suite = _SUITES.get(backport[1] if backport else series)
        return tuple(
            f"{_DISTS}/{suite}{pocket}/main/binary-{architecture}/Packages.gz"
            for pocket in ("-updates", "")
            if suite
        )

    files = tuple(Listing(f"{_POOL}/{source}/", pattern, indexes=indexes) for source in sources)
    archive = "deb http://ddebs.ubuntu.com $(lsb_release -cs)%s main restricted universe multiverse"
    offer = Offer(
        distribution="ubuntu",
        title="Ubuntu",
        packages=(package,),
        addresses=tuple(f"{file.url}{package}_VERSION_{architecture}.ddeb" for file in files),
        commands=(
            "sudo apt install ubuntu-dbgsym-keyring",
            f'echo "{archive % ""}" | sudo tee /etc/apt/sources.list.d/ddebs.list',
            f'echo "{archive % "-updates"}" | sudo tee -a /etc/apt/sources.list.d/ddebs.list',
            "sudo apt update",
            f"sudo apt install {package}",
        ),
        debuginfod="https://debuginfod.ubuntu.com",
        note=(
            "what ddebs.ubuntu.com has dropped: pull-lp-ddebs (ubuntu-dev-tools) "
            f"{package.removesuffix('-dbgsym')} VERSION"
        ),
    )
    return (Lead(offer, files),)
