"""From a release to a verified vmlinux in the cache, over the recorded tree."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kautopsy.cli.main import main
from kautopsy.host.debian import DebianPackage, DebianSuite
from kautopsy.model.errors import KautopsyError, MissingToolError, UnreachableError
from kautopsy.symbols.finder.cache import DebuginfoCache
from kautopsy.symbols.finder.distro import leads
from kautopsy.symbols.finder.elf import identify
from kautopsy.symbols.finder.fetch import Fetched, Fetcher
from kautopsy.symbols.finder.find import find
from kautopsy.symbols.finder.http import Watch
from kautopsy.symbols.finder.repodata import published_checksum
from kautopsy.symbols.finder.target import Target, parse_target

from .conftest import MIRROR, Server


def _recorded_id(folder: str, release: str) -> str:
    return hashlib.sha1(f"{folder}{release}".encode()).hexdigest()


def _quiet(stage: str) -> Watch | None:
    return None


def _fetch(
    release: str,
    *,
    build_id: str | None = None,
    only: str | None = None,
    **options: tuple[str, ...],
) -> Fetched:
    target = Target(name=release, build_id=build_id, release=release, arch="x86_64")
    ways = leads(release, "x86_64", distribution=only)
    return Fetcher(target, DebuginfoCache(), _quiet, **options).run(ways)


@pytest.mark.parametrize(
    ("release", "folder", "checked"),
    [
        ("2.6.32-754.35.1.el6.x86_64", "debuginfo.centos.org/6/x86_64", "sha256"),
        ("3.10.0-1160.118.1.el7.x86_64", "debuginfo.centos.org/7/x86_64", "sha256"),
        (
            "4.18.0-348.7.1.el8_5.x86_64",
            "vault.centos.org/8.5.2111/BaseOS/x86_64/debug/tree/Packages",
            "sha256",
        ),
        (
            "5.14.0-687.el9.x86_64",
            "mirror.stream.centos.org/9-stream/BaseOS/x86_64/debug/tree/Packages",
            "sha256",
        ),
        (
            "6.12.0-30.el10.x86_64",
            "kojihub.stream.centos.org/kojifiles/packages/kernel/6.12.0/30.el10/x86_64",
            "no checksum",
        ),
        ("5.15.0-202.135.2.el8uek.x86_64", "oss.oracle.com/ol8/debuginfo", "index cannot be had"),
        (
            "6.8.11-300.fc40.x86_64",
            "kojipkgs.fedoraproject.org/packages/kernel/6.8.11/300.fc40/x86_64",
            "no checksum",
        ),
        (
            "6.4.0-150600.23.7-default",
            "download.opensuse.org/debug/update/leap/15.6/sle/x86_64",
            "sha256",
        ),
        ("5.15.0-124-generic", "ddebs.ubuntu.com/pool/main/l/linux", "sha256"),
        ("5.15.0-52-generic", "ddebs.ubuntu.com/pool/main/l/linux-hwe-5.15", "sha256"),
        ("5.13.0-1007-oem", "ddebs.ubuntu.com/pool/main/l/linux-oem-5.13", "no checksum"),
    ],
)
def test_every_distribution(release: str, folder: str, checked: str, mirror: Server) -> None:
    build_id = _recorded_id(folder, release)
    fetched = _fetch(release, build_id=build_id)
    assert fetched.path == DebuginfoCache().root / build_id / "vmlinux"
    identity = identify(fetched.path)
    assert identity is not None
    assert identity.build_id == build_id
    assert f"/{folder}/" in fetched.source
    assert checked in fetched.notes[-1]
    (kernel,) = DebuginfoCache().kernels()
    assert kernel.release == release
    assert list((DebuginfoCache().root / ".downloads").iterdir()) == []


def test_another_rebuild_is_refused_with_both_ids(mirror: Server) -> None:
    release = "4.18.0-372.19.1.el8_6.x86_64"
    rocky = _recorded_id(
        "dl.rockylinux.org/vault/rocky/8.6/BaseOS/x86_64/debug/tree/Packages/k", release
    )
    alma = _recorded_id("vault.almalinux.org/8/BaseOS/debug/x86_64/Packages", release)
    fetched = _fetch(release, build_id=rocky, only="almalinux")
    assert fetched.path is None
    assert any(alma in note and rocky in note for note in fetched.notes)
    assert DebuginfoCache().kernels() == ()
    # Without saying whose, AlmaLinux is asked, refused, and the next has it.
    fetched = _fetch(release, build_id=rocky)
    assert "rockylinux" in fetched.source


def test_a_ddeb_that_the_index_does_not_mean_is_refused(mirror: Server) -> None:
    path = "/ddebs.ubuntu.com/pool/main/l/linux/"
    (package,) = (MIRROR / path[1:]).iterdir()
    mirror.answers[path + package.name] = package.read_bytes() + b"\0"
    fetched = _fetch("5.15.0-124-generic")
    assert fetched.path is None
    assert any(hashlib.sha256(package.read_bytes()).hexdigest() in note for note in fetched.notes)


def test_modules_come_along(mirror: Server) -> None:
    release = "3.10.0-1160.118.1.el7.x86_64"
    fetched = _fetch(release, modules=("virtio-blk", "ext4"))
    assert fetched.path is not None
    assert list(DebuginfoCache().modules_of(fetched.path.parent.name)) == ["virtio_blk"]
    assert any("no module ext4" in note for note in fetched.notes)


def test_a_wrong_checksum_is_refused(mirror: Server, tmp_path: Path) -> None:
    package = "kernel-debuginfo-3.10.0-1160.118.1.el7.x86_64.rpm"
    path = f"/debuginfo.centos.org/7/x86_64/{package}"
    tampered = bytearray((MIRROR / path[1:]).read_bytes())
    tampered[-100] ^= 1
    mirror.answers[path] = bytes(tampered)
    fetched = _fetch("3.10.0-1160.118.1.el7.x86_64", only="centos")
    assert fetched.path is None
    expected = hashlib.sha256((MIRROR / path[1:]).read_bytes()).hexdigest()
    assert any(expected in note for note in fetched.notes)


@pytest.mark.parametrize(
    ("repository", "package"),
    [
        ("debuginfo.centos.org/7/x86_64", "kernel-debuginfo-3.10.0-1160.118.1.el7.x86_64.rpm"),
        (
            "vault.centos.org/8.5.2111/BaseOS/x86_64/debug/tree",
            "Packages/kernel-debuginfo-4.18.0-348.7.1.el8_5.x86_64.rpm",
        ),
        (
            "vault.almalinux.org/8/BaseOS/debug/x86_64",
            "Packages/kernel-debuginfo-4.18.0-372.19.1.el8_6.x86_64.rpm",
        ),
    ],
    ids=["gzip", "xz", "bzip2"],
)
def test_checksums_out_of_an_index(
    repository: str, package: str, mirror: Server, tmp_path: Path
) -> None:
    name = package.rpartition("/")[2]
    checksum = published_checksum(f"https://{repository}/", name, tmp_path)
    assert checksum is not None
    data = (MIRROR / repository / package).read_bytes()
    assert checksum.value == hashlib.new(checksum.algorithm, data).hexdigest()
    assert published_checksum(f"https://{repository}/", "other.rpm", tmp_path) is None


@pytest.mark.parametrize(
    "repomd",
    [b"", b"<repomd", b"<a/>", b'<repomd xmlns="http://linux.duke.edu/metadata/repo">'
     b'<data type="primary"><location href="../../etc/passwd"/></data></repomd>'],
)  # fmt: skip
def test_a_bad_index_is_said_and_the_build_id_decides(repomd: bytes, mirror: Server) -> None:
    mirror.answers["/debuginfo.centos.org/7/x86_64/repodata/repomd.xml"] = repomd
    release = "3.10.0-1160.118.1.el7.x86_64"
    build_id = _recorded_id("debuginfo.centos.org/7/x86_64", release)
    fetched = _fetch(release, build_id=build_id)
    assert fetched.path is not None
    assert "index cannot be had" in fetched.notes[-1]


def test_snapshots_have_what_the_archive_dropped(
    server: Server, tmp_path: Path, make_vmlinux: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from .test_extract import _deb

    release = "6.1.0-9-test"
    right, wrong = "5a" * 20, "5b" * 20
    name = "linux-image-6.1.0-9-test-dbg"
    versions = []
    for version, build_id in (("6.1.20-2", wrong), ("6.1.20-1", right)):
        deb = _deb(
            tmp_path / "x.deb",
            {f"./usr/lib/debug/boot/vmlinux-{release}": make_vmlinux(build_id, release)},
        ).read_bytes()
        sha1 = hashlib.sha1(deb).hexdigest()
        versions.append({"name": name, "binary_version": version, "source": "linux"})
        server.answers[f"/file/{sha1}"] = deb
        server.answers[f"/mr/binary/{name}/{version}/binfiles?fileinfo=1"] = json.dumps(
            {
                "result": [
                    {"hash": "f" * 40, "architecture": "arm64"},
                    {"hash": sha1, "architecture": "amd64"},
                ],
                "fileinfo": {sha1: [{"size": len(deb)}]},
            }
        ).encode()
    server.answers[f"/mr/binary/{name}/"] = json.dumps({"result": versions}).encode()
    monkeypatch.setenv("KAUTOPSY_DEBIAN_SNAPSHOT", server.url)
    from kautopsy.symbols.finder.distro.offer import DebianFile, Lead, Offer

    offer = Offer(distribution="debian", title="Debian", packages=(name,), commands=())
    lead = Lead(offer, (DebianFile(name, "amd64", ()),))
    target = Target(name=release, build_id=right, release=release, arch="x86_64")
    fetched = Fetcher(target, DebuginfoCache(), _quiet).run((lead,))
    assert fetched.source == f"{name} 6.1.20-1"
    assert any(wrong in note and "6.1.20-2" in note for note in fetched.notes)


@pytest.mark.parametrize(
    "error",
    [
        UnreachableError("does not answer", thing="archive"),
        MissingToolError("is not installed", thing="apt-cache"),
    ],
)
def test_without_archive_or_apt_the_snapshots_are_asked(
    error: KautopsyError, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def versions(self: DebianSuite, package: str) -> tuple[DebianPackage, ...]:
        raise error

    monkeypatch.setattr(DebianSuite, "versions", versions)
    monkeypatch.setenv("KAUTOPSY_DEBIAN_SNAPSHOT", server.url)
    fetched = _fetch("4.19.0-27-amd64")
    assert fetched.path is None
    assert [path for path, _ in server.asked] == ["/mr/binary/linux-image-4.19.0-27-amd64-dbg/"]
    assert error.what in fetched.notes[0]
    assert len(fetched.notes) == 2


def test_find_asks_no_network_and_prints_commands(
    mirror: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["symbols", "find", "3.10.0-1160.118.1.el7.x86_64"]) == 1
    out = capsys.readouterr().out
    assert "http://debuginfo.centos.org/7/x86_64/kernel-debuginfo-3.10.0" in out
    assert "rhel-7-server-debug-rpms" in out
    assert mirror.asked == []


def test_the_command_fetches_lists_and_prunes(
    mirror: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    release = "3.10.0-1160.118.1.el7.x86_64"
    build_id = _recorded_id("debuginfo.centos.org/7/x86_64", release)
    find_it = ["symbols", "find", release]
    assert main([*find_it, "--fetch", "--distribution", "centos", "--module", "virtio_blk"]) == 0
    path = DebuginfoCache().root / build_id / "vmlinux"
    assert capsys.readouterr().out.splitlines() == [
        str(path),
        str(path.with_name("virtio_blk.ko.debug")),
    ]
    asked = len(mirror.asked)
    assert main([*find_it, "--fetch", "--module", "virtio_blk", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "kautopsy.symbols-find/1"
    assert document["path"] == str(path)
    assert len(mirror.asked) == asked
    assert main(["symbols", "list", "--json"]) == 0
    assert [k["build_id"] for k in json.loads(capsys.readouterr().out)["kernels"]] == [build_id]
    assert main(["symbols", "list"]) == 0
    assert release in capsys.readouterr().out
    assert main(["symbols", "prune", "--max-size", "0"]) == 0
    assert f"removed {build_id}" in capsys.readouterr().out
    assert main(["symbols", "find", build_id]) == 1


@pytest.mark.parametrize(
    ("arguments", "slug"),
    [
        (["find", "nonsense"], "usage"),
        (["find", "3.10.0-957.el7.x86_64", "--distribution", "slackware"], "usage"),
        (["find", "3.10.0-957.el7.x86_64", "--module", "ext4"], "usage"),
        (["find", "/etc/passwd"], "not-a-dump"),
        (["find", "./no/vmcore"], "no-such-file"),
        (["prune", "--max-size", "much"], "bad-size"),
    ],
)
def test_bad_input_is_named(
    arguments: list[str], slug: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["symbols", *arguments]) in (2, 3)
    error = capsys.readouterr().err
    assert error.startswith(f"kautopsy: {slug}: ")
    assert error.count("\n") == 1


def test_a_wrong_file_in_the_way_is_said(
    tmp_path: Path, make_vmlinux: Callable[..., bytes]
) -> None:
    release = "6.1.0-56-cloud-amd64"
    (tmp_path / f"vmlinux-{release}").write_bytes(make_vmlinux("22" * 20, release))
    target = Target(
        name="vmcore", build_id="11" * 20, release=release, arch="x86_64", near=tmp_path
    )
    finding = find(target)
    assert finding.path is None
    assert any("22" * 20 in note and "11" * 20 in note for note in finding.notes)
    assert [offer.distribution for offer in finding.offers] == ["debian"]


@pytest.mark.parametrize(
    ("text", "build_id", "release", "arch"),
    [
        ("AB" * 20, "ab" * 20, None, None),
        ("5.14.0-427.el9.aarch64", None, "5.14.0-427.el9.aarch64", "aarch64"),
        ("6.1.0-56-cloud-amd64", None, "6.1.0-56-cloud-amd64", "x86_64"),
        ("6.1.0-26-arm64", None, "6.1.0-26-arm64", "aarch64"),
    ],
)
def test_targets(text: str, build_id: str | None, release: str | None, arch: str | None) -> None:
    target = parse_target(text)
    assert (target.build_id, target.release) == (build_id, release)
    assert arch is None or target.arch == arch
