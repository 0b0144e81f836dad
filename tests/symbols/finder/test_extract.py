import io
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kautopsy.model.errors import UnreadableError
from kautopsy.symbols.finder.elf import identify
from kautopsy.symbols.finder.extract import extract_kernel

from .conftest import MIRROR

RELEASE = "6.1.0-9-test"
BUILD_ID = "5a" * 20

Maker = Callable[..., bytes]


def _deb(path: Path, members: dict[str, bytes | str], *, cut: int = 0) -> Path:
    """A Debian package; a string is a symbolic link's target."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    out = b"!<arch>\n"
    for name, body in (("debian-binary", b"2.0\n"), ("data.tar.xz", data.getvalue())):
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(body):<10}`\n"
        out += header.encode() + body + b"\n" * (len(body) % 2)
    path.write_bytes(out[: len(out) - cut])
    return path


def test_a_deb_gives_the_vmlinux_and_the_modules_asked_for(
    tmp_path: Path, make_vmlinux: Maker
) -> None:
    modules = f"./usr/lib/debug/lib/modules/{RELEASE}/kernel/drivers"
    package = _deb(
        tmp_path / "dbg.deb",
        {
            "./usr/lib/debug/boot/vmlinux-6.1.0-8-test": make_vmlinux("77" * 20, "6.1.0-8-test"),
            f"./usr/lib/debug/vmlinux-{RELEASE}": f"boot/vmlinux-{RELEASE}",
            f"./usr/lib/debug/boot/vmlinux-{RELEASE}": make_vmlinux(BUILD_ID, RELEASE),
            f"{modules}/block/virtio_blk.ko": b"\x7fELF blk",
            f"{modules}/net/virtio-net.ko.debug": b"\x7fELF net",
            f"{modules}/net/tun.ko": b"\x7fELF tun",
        },
    )
    into = tmp_path / "into"
    into.mkdir()
    found = extract_kernel(package, RELEASE, into, modules=("virtio-blk", "virtio_net", "nope"))
    assert found.vmlinux is not None
    identity = identify(found.vmlinux)
    assert identity is not None
    assert identity.build_id == BUILD_ID
    assert sorted(p.name for p in into.iterdir()) == [
        "virtio_blk.ko.debug",
        "virtio_net.ko.debug",
        "vmlinux",
    ]
    assert (into / "virtio_net.ko.debug").read_bytes() == b"\x7fELF net"


@pytest.mark.parametrize(
    ("package", "release"),
    [
        (
            "debuginfo.centos.org/6/x86_64/kernel-debuginfo-2.6.32-754.35.1.el6.x86_64.rpm",
            "2.6.32-754.35.1.el6.x86_64",
        ),
        (
            "debuginfo.centos.org/7/x86_64/kernel-debuginfo-3.10.0-1160.118.1.el7.x86_64.rpm",
            "3.10.0-1160.118.1.el7.x86_64",
        ),
        (
            "download.opensuse.org/debug/update/leap/15.6/sle/x86_64/"
            "kernel-default-debuginfo-6.4.0-150600.23.7.3.x86_64.rpm",
            "6.4.0-150600.23.7-default",
        ),
        (
            "ddebs.ubuntu.com/pool/main/l/linux/"
            "linux-image-unsigned-5.15.0-124-generic-dbgsym_5.15.0-124.134_amd64.ddeb",
            "5.15.0-124-generic",
        ),
    ],
    ids=["rpm-gzip", "rpm-xz", "rpm-zstd", "ddeb-zstd"],
)
def test_real_packages_of_every_compression(package: str, release: str, tmp_path: Path) -> None:
    found = extract_kernel(MIRROR / package, release, tmp_path, modules=("virtio_blk",))
    assert found.vmlinux is not None
    identity = identify(found.vmlinux)
    assert identity is not None
    assert identity.has_dwarf
    assert len(found.modules) == (0 if "ubuntu" in package else 1)


@pytest.mark.parametrize(
    "name",
    [
        f"./usr/lib/debug/../../../boot/vmlinux-{RELEASE}",
        f"/usr/lib/debug/boot/vmlinux-{RELEASE}",
        "./usr/\x1b]0;hello\x07",
    ],
)
def test_hostile_names_are_refused(name: str, tmp_path: Path, make_vmlinux: Maker) -> None:
    package = _deb(tmp_path / "bad.deb", {name: make_vmlinux(BUILD_ID, RELEASE)})
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(UnreadableError) as caught:
        extract_kernel(package, RELEASE, into)
    assert caught.value.slug == "hostile-package"
    assert "\x1b" not in caught.value.what
    assert list(into.iterdir()) == []


def test_damage_is_named(tmp_path: Path, make_vmlinux: Maker) -> None:
    # Bytes that do not compress, so that the cut is within the file.
    vmlinux = make_vmlinux(BUILD_ID, RELEASE) + random.Random(1).randbytes(200_000)
    members: dict[str, bytes | str] = {f"./usr/lib/debug/boot/vmlinux-{RELEASE}": vmlinux}
    for cut in (50_000, 150_000):
        with pytest.raises(UnreadableError):
            extract_kernel(_deb(tmp_path / "cut.deb", members, cut=cut), RELEASE, tmp_path)
    for content in (b"!<arch>\n", b"no package", b"\xed\xab\xee\xdb" + b"\0" * 200):
        (tmp_path / "odd").write_bytes(content)
        with pytest.raises(UnreadableError):
            extract_kernel(tmp_path / "odd", RELEASE, tmp_path)


def test_any_damage_is_named_or_harmless(tmp_path: Path) -> None:
    rng = random.Random(7)
    packages = [
        (next(MIRROR.glob("debuginfo.centos.org/7/**/*.rpm")), "3.10.0-1160.118.1.el7.x86_64"),
        (next(MIRROR.glob("ddebs.ubuntu.com/pool/main/l/linux/*")), "5.15.0-124-generic"),
    ]
    whole = 0
    for package, release in packages * 150:
        data = bytearray(package.read_bytes())
        for _ in range(rng.choice((1, 2, 8, 40))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        (tmp_path / "package").write_bytes(data)
        try:
            extract_kernel(tmp_path / "package", release, tmp_path, modules=("virtio_blk",))
            whole += 1
        except UnreadableError:
            pass
    # Most of an rpm is its header, which nothing of is needed.
    assert 0 < whole < 300


def test_an_archive_that_names_other_files_reads_none_of_them(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    mtree = f"#mtree\n./usr/lib/debug/boot/vmlinux-{RELEASE} type=file content={secret}\n"
    (tmp_path / "package").write_text(mtree)
    with pytest.raises(UnreadableError):
        extract_kernel(tmp_path / "package", RELEASE, tmp_path)
    assert not (tmp_path / "vmlinux").exists()


def test_no_vmlinux_of_that_release_is_none(tmp_path: Path, make_vmlinux: Maker) -> None:
    package = _deb(
        tmp_path / "dbg.deb",
        {"./usr/lib/debug/boot/vmlinux-6.1.0-8-test": make_vmlinux(BUILD_ID, "6.1.0-8-test")},
    )
    assert extract_kernel(package, RELEASE, tmp_path).vmlinux is None
