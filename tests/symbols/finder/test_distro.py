"""The addresses are those that people's own notes, scripts and manuals have (see each comment)."""

import pytest

from kautopsy.model.errors import UsageError
from kautopsy.symbols.finder.distro import distributions, leads
from kautopsy.symbols.finder.distro.offer import DebianFile, Lead


def _lead(release: str, distribution: str, arch: str = "x86_64") -> Lead:
    (lead,) = leads(release, arch, distribution=distribution)
    return lead


CENTOS = "http://debuginfo.centos.org"


@pytest.mark.parametrize(
    ("distribution", "release", "address"),
    [
        # wget lines for crash and systemtap on CentOS 6 and 7
        (
            "centos",
            "2.6.32-431.20.5.el6.x86_64",
            f"{CENTOS}/6/x86_64/kernel-debuginfo-2.6.32-431.20.5.el6.x86_64.rpm",
        ),
        (
            "centos",
            "3.10.0-693.5.2.el7.x86_64",
            f"{CENTOS}/7/x86_64/kernel-debuginfo-3.10.0-693.5.2.el7.x86_64.rpm",
        ),
        (
            "centos",
            "2.6.32-279.el6.x86_64.debug",
            f"{CENTOS}/6/x86_64/kernel-debug-debuginfo-2.6.32-279.el6.x86_64.rpm",
        ),
        (
            "centos",
            "4.18.0-193.14.2.el8_2.x86_64+debug",
            f"{CENTOS}/8/x86_64/Packages/kernel-debug-debuginfo-4.18.0-193.14.2.el8_2.x86_64.rpm",
        ),
        (
            "centos",
            "5.14.0-687.el9.x86_64",
            "https://mirror.stream.centos.org/9-stream/BaseOS/x86_64/debug/tree/Packages/"
            "kernel-debuginfo-5.14.0-687.el9.x86_64.rpm",
        ),
        # kojihub.stream.centos.org/kojifiles/packages/kernel/6.12.0/30.el10/x86_64/kernel-core-…
        (
            "centos",
            "6.12.0-30.el10.x86_64",
            "https://kojihub.stream.centos.org/kojifiles/packages/kernel/6.12.0/30.el10/x86_64/"
            "kernel-debuginfo-6.12.0-30.el10.x86_64.rpm",
        ),
        (
            "rocky",
            "4.18.0-372.19.1.el8_6.x86_64",
            "https://dl.rockylinux.org/vault/rocky/8.6/BaseOS/x86_64/debug/tree/Packages/k/"
            "kernel-debuginfo-4.18.0-372.19.1.el8_6.x86_64.rpm",
        ),
        # baseurl=https://repo.almalinux.org/vault/$releasever/BaseOS/debug/$basearch/
        (
            "almalinux",
            "5.14.0-427.40.1.el9_4.x86_64",
            "https://repo.almalinux.org/vault/9.4/BaseOS/debug/x86_64/Packages/"
            "kernel-debuginfo-5.14.0-427.40.1.el9_4.x86_64.rpm",
        ),
        # Oracle's own instructions
        (
            "oracle",
            "4.18.0-477.27.1.el8_8.x86_64",
            "https://oss.oracle.com/ol8/debuginfo/kernel-debuginfo-4.18.0-477.27.1.el8_8.x86_64.rpm",
        ),
        (
            "oracle",
            "5.15.0-202.135.2.el8uek.x86_64",
            "https://oss.oracle.com/ol8/debuginfo/"
            "kernel-uek-debuginfo-5.15.0-202.135.2.el8uek.x86_64.rpm",
        ),
        # kojipkgs.fedoraproject.org/packages/kernel/6.8.11/300.fc40/x86_64/kernel…
        (
            "fedora",
            "6.8.11-300.fc40.x86_64",
            "https://kojipkgs.fedoraproject.org/packages/kernel/6.8.11/300.fc40/x86_64/"
            "kernel-debuginfo-6.8.11-300.fc40.x86_64.rpm",
        ),
        (
            "ubuntu",
            "5.15.0-43-generic",
            "http://ddebs.ubuntu.com/pool/main/l/linux/"
            "linux-image-unsigned-5.15.0-43-generic-dbgsym_VERSION_amd64.ddeb",
        ),
        (
            "ubuntu",
            "4.4.0-1061-aws",
            "http://ddebs.ubuntu.com/pool/main/l/linux-aws/"
            "linux-image-4.4.0-1061-aws-dbgsym_VERSION_amd64.ddeb",
        ),
        (
            "ubuntu",
            "5.13.0-1007-oem",
            "http://ddebs.ubuntu.com/pool/main/l/linux-oem-5.13/"
            "linux-image-unsigned-5.13.0-1007-oem-dbgsym_VERSION_amd64.ddeb",
        ),
        # download.opensuse.org/debug/update/leap/$releasever/sle/
        (
            "suse",
            "6.4.0-150600.23.7-default",
            "https://download.opensuse.org/debug/update/leap/15.6/sle/x86_64/"
            "kernel-default-debuginfo-6.4.0-150600.23.7.N.x86_64.rpm",
        ),
        (
            "suse",
            "5.3.18-lp152.75-default",
            "https://download.opensuse.org/debug/update/leap/15.2/oss/x86_64/"
            "kernel-default-debuginfo-5.3.18-lp152.75.N.x86_64.rpm",
        ),
        (
            "suse",
            "6.11.8-1-default",
            "https://download.opensuse.org/debug/tumbleweed/repo/oss/x86_64/"
            "kernel-default-debuginfo-6.11.8-1.N.x86_64.rpm",
        ),
    ],
)
def test_addresses(distribution: str, release: str, address: str) -> None:
    assert address in _lead(release, distribution).offer.addresses


def test_el7_needs_the_common_package_too() -> None:
    offer = _lead("3.10.0-957.el7.x86_64", "centos").offer
    assert offer.packages == (
        "kernel-debuginfo-3.10.0-957.el7.x86_64",
        "kernel-debuginfo-common-x86_64-3.10.0-957.el7.x86_64",
    )
    assert offer.commands == (
        f"curl -fLO -C - {CENTOS}/7/x86_64/kernel-debuginfo-3.10.0-957.el7.x86_64.rpm",
        f"curl -fLO -C - {CENTOS}/7/x86_64/"
        "kernel-debuginfo-common-x86_64-3.10.0-957.el7.x86_64.rpm",
        "sudo rpm -ivh kernel-debuginfo-3.10.0-957.el7.x86_64.rpm "
        "kernel-debuginfo-common-x86_64-3.10.0-957.el7.x86_64.rpm",
    )


@pytest.mark.parametrize(
    ("release", "repository"),
    [
        ("2.6.32-754.el6.x86_64", "rhel-6-server-debug-rpms"),
        ("3.10.0-1160.el7.x86_64", "rhel-7-server-debug-rpms"),
        ("4.18.0-553.el8_10.x86_64", "rhel-8-for-x86_64-baseos-debug-rpms"),
        ("5.14.0-427.13.1.el9_4.aarch64", "rhel-9-for-aarch64-baseos-debug-rpms"),
        ("6.12.0-55.9.1.el10_0.x86_64", "rhel-10-for-x86_64-baseos-debug-rpms"),
    ],
)
def test_rhel_is_for_subscribers(release: str, repository: str) -> None:
    lead = _lead(release, "rhel")
    assert lead.sources == ()
    assert lead.offer.commands[0] == f"sudo subscription-manager repos --enable {repository}"


@pytest.mark.parametrize(
    ("release", "architecture", "suite"),
    [
        ("4.19.0-27-amd64", "amd64", "buster"),
        ("5.10.0-32-cloud-amd64", "amd64", "bullseye"),
        ("6.1.0-56-amd64", "amd64", "bookworm"),
        ("6.1.0-26-arm64", "arm64", "bookworm"),
        ("6.1.0-37-rt-amd64", "amd64", "bookworm"),
        ("6.1.0-40-686-pae", "i386", "bookworm"),
        ("6.1.0-0.deb11.21-amd64", "amd64", "bullseye-backports"),
        ("6.12.107+deb13-cloud-amd64", "amd64", "trixie"),
        ("7.2.13+deb14-cloud-amd64", "amd64", "sid"),
    ],
)
def test_debian_suites(release: str, architecture: str, suite: str) -> None:
    (source,) = _lead(release, "debian").sources
    assert isinstance(source, DebianFile)
    assert source.package == f"linux-image-{release}-dbg"
    assert (source.architecture, source.suites[0]) == (architecture, suite)


@pytest.mark.parametrize(
    ("release", "names"),
    [
        ("3.10.0-1160.el7.x86_64", ["centos", "oracle", "rhel"]),
        ("4.18.0-305.el8.x86_64", ["almalinux", "centos", "oracle", "rhel", "rocky"]),
        ("4.18.0-372.19.1.el8_6.x86_64", ["almalinux", "oracle", "rhel", "rocky"]),
        ("5.14.0-687.el9.x86_64", ["centos"]),
        ("5.15.0-202.135.2.el8uek.x86_64", ["oracle"]),
        ("6.1.0-56-amd64", ["debian"]),
        ("5.15.0-124-generic", ["ubuntu"]),
        ("5.4.260-1.el7.elrepo.x86_64", []),
        ("6.18.44", []),
        ("6.6.8-zen1-1-zen", []),
        ("", []),
        ("\x1b[2J", []),
    ],
)
def test_who_answers(release: str, names: list[str]) -> None:
    found = leads(release, "x86_64")
    assert sorted(lead.offer.distribution for lead in found) == names


def test_every_page_is_asked_and_no_other() -> None:
    assert {"centos", "debian", "fedora", "rhel", "rocky", "suse", "ubuntu"} <= set(distributions())
    with pytest.raises(UsageError):
        leads("6.1.0-56-amd64", "x86_64", distribution="slackware")
