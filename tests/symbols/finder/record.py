"""Records the tree that the finder's tests serve: what distributions' servers look like, in small.

Real packages, made by rpmbuild, createrepo_c and dpkg-deb (Debian: rpm, createrepo-c, dpkg), with
the paths and names that the servers use; only the vmlinux in them is a few hundred bytes. Run it to
make ``mirror/`` anew: ``python tests/symbols/finder/record.py``.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

MIRROR = Path(__file__).parents[1] / "finder_data/mirror"

SPEC = """\
Name: {name}
Version: {version}
Release: {release}
Summary: Debug information for package kernel
License: GPLv2
AutoReqProv: no
%description
This package provides debug information for package kernel.
%files
%dir /usr/lib/debug
{files}
"""


@dataclass(frozen=True)
class Rpm:
    """One package: what it is called, where it lies, what its kernel is called."""

    folder: str
    name: str
    version: str
    release: str
    uname: str
    vmlinux: str
    payload: str = "w2.xzdio"
    arch: str = "x86_64"
    repodata: str = ""
    compression: str = "gz"

    @property
    def build_id(self) -> str:
        """Differs by server: rebuilds of one release are different files."""
        return hashlib.sha1(f"{self.folder}{self.uname}".encode()).hexdigest()


RPMS = (
    Rpm(
        "debuginfo.centos.org/6/x86_64", "kernel-debuginfo", "2.6.32", "754.35.1.el6",
        "2.6.32-754.35.1.el6.x86_64", "lib/modules/{uname}/vmlinux", "w9.gzdio",
        repodata="debuginfo.centos.org/6/x86_64",
    ),
    Rpm(
        "debuginfo.centos.org/7/x86_64", "kernel-debuginfo", "3.10.0", "1160.118.1.el7",
        "3.10.0-1160.118.1.el7.x86_64", "lib/modules/{uname}/vmlinux",
        repodata="debuginfo.centos.org/7/x86_64",
    ),
    Rpm(
        "vault.centos.org/8.5.2111/BaseOS/x86_64/debug/tree/Packages", "kernel-debuginfo",
        "4.18.0", "348.7.1.el8_5", "4.18.0-348.7.1.el8_5.x86_64", "lib/modules/{uname}/vmlinux",
        repodata="vault.centos.org/8.5.2111/BaseOS/x86_64/debug/tree", compression="xz",
    ),
    Rpm(
        "dl.rockylinux.org/vault/rocky/8.6/BaseOS/x86_64/debug/tree/Packages/k",
        "kernel-debuginfo", "4.18.0", "372.19.1.el8_6", "4.18.0-372.19.1.el8_6.x86_64",
        "lib/modules/{uname}/vmlinux",
        repodata="dl.rockylinux.org/vault/rocky/8.6/BaseOS/x86_64/debug/tree",
    ),
    Rpm(
        "vault.almalinux.org/8/BaseOS/debug/x86_64/Packages", "kernel-debuginfo", "4.18.0",
        "372.19.1.el8_6", "4.18.0-372.19.1.el8_6.x86_64", "lib/modules/{uname}/vmlinux",
        repodata="vault.almalinux.org/8/BaseOS/debug/x86_64", compression="bz2",
    ),
    Rpm(
        "oss.oracle.com/ol8/debuginfo", "kernel-uek-debuginfo", "5.15.0", "202.135.2.el8uek",
        "5.15.0-202.135.2.el8uek.x86_64", "lib/modules/{uname}/vmlinux",
    ),
    Rpm(
        "mirror.stream.centos.org/9-stream/BaseOS/x86_64/debug/tree/Packages",
        "kernel-debuginfo", "5.14.0", "687.el9", "5.14.0-687.el9.x86_64",
        "lib/modules/{uname}/vmlinux",
        repodata="mirror.stream.centos.org/9-stream/BaseOS/x86_64/debug/tree",
    ),
    Rpm(
        "kojihub.stream.centos.org/kojifiles/packages/kernel/6.12.0/30.el10/x86_64",
        "kernel-debuginfo", "6.12.0", "30.el10", "6.12.0-30.el10.x86_64",
        "lib/modules/{uname}/vmlinux",
    ),
    Rpm(
        "kojipkgs.fedoraproject.org/packages/kernel/6.8.11/300.fc40/x86_64", "kernel-debuginfo",
        "6.8.11", "300.fc40", "6.8.11-300.fc40.x86_64", "lib/modules/{uname}/vmlinux",
        "w19.zstdio",
    ),
    Rpm(
        "download.opensuse.org/debug/update/leap/15.6/sle/x86_64", "kernel-default-debuginfo",
        "6.4.0", "150600.23.7.3", "6.4.0-150600.23.7-default",
        "usr/lib/modules/{uname}/vmlinux.debug", "w19.zstdio",
        repodata="download.opensuse.org/debug/update/leap/15.6/sle",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Ddeb:
    """One of Ubuntu's."""

    folder: str
    package: str
    version: str
    uname: str
    suite: str = ""

    @property
    def build_id(self) -> str:
        """Of its vmlinux."""
        return hashlib.sha1(f"{self.folder}{self.uname}".encode()).hexdigest()


DDEBS = (
    Ddeb(
        "ddebs.ubuntu.com/pool/main/l/linux", "linux-image-unsigned-5.15.0-124-generic-dbgsym",
        "5.15.0-124.134", "5.15.0-124-generic", "jammy-updates",
    ),
    Ddeb(
        "ddebs.ubuntu.com/pool/main/l/linux-hwe-5.15",
        "linux-image-unsigned-5.15.0-52-generic-dbgsym", "5.15.0-52.58~20.04.1",
        "5.15.0-52-generic", "focal",
    ),
    Ddeb(
        "ddebs.ubuntu.com/pool/main/l/linux-oem-5.13",
        "linux-image-unsigned-5.13.0-1007-oem-dbgsym", "5.13.0-1007.7", "5.13.0-1007-oem",
    ),
)  # fmt: skip


def main() -> None:
    """Make everything anew."""
    shutil.rmtree(MIRROR, ignore_errors=True)
    for rpm in RPMS:
        build_rpm(rpm)
    for rpm in RPMS:
        if rpm.repodata:
            run(
                "createrepo_c", "--quiet", "--no-database", "--simple-md-filenames",
                f"--general-compress-type={rpm.compression}", str(MIRROR / rpm.repodata),
            )  # fmt: skip
    for ddeb in DDEBS:
        build_ddeb(ddeb)


def build_rpm(rpm: Rpm) -> None:
    """Make one package where its server has it."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "root"
        vmlinux = rpm.vmlinux.format(uname=rpm.uname)
        module = f"{vmlinux.rpartition('/')[0]}/kernel/drivers/block/virtio_blk.ko.debug"
        files = {
            f"usr/lib/debug/{module}": make_vmlinux("cd" * 20, None),
            f"usr/lib/debug/{vmlinux}": make_vmlinux(rpm.build_id, rpm.uname),
        }
        spec = SPEC.format(
            name=rpm.name,
            version=rpm.version,
            release=rpm.release,
            files="\n".join(f"/{name}" for name in files),
        )
        (Path(temporary) / "kernel.spec").write_text(spec)
        for name, data in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)
        folder = MIRROR / rpm.folder
        folder.mkdir(parents=True, exist_ok=True)
        # Without the build's own post-processing, which would strip the little ELF files.
        run(
            "rpmbuild", "-bb", "--quiet", "--target", rpm.arch, "--buildroot", str(root),
            "--define", f"_binary_payload {rpm.payload}", "--define", f"_topdir {temporary}/top",
            "--define", "debug_package %{nil}", "--define", "__os_install_post %{nil}",
            "--define", "clamp_mtime_to_source_date_epoch 1",
            "--define", "__spec_install_pre %{nil}", "--define", "_build_id_links none",
            "--define", "_buildhost localhost", f"{temporary}/kernel.spec",
        )  # fmt: skip
        built = next(Path(temporary).glob("top/RPMS/*/*.rpm"))
        shutil.copy(built, folder / built.name)


def build_ddeb(ddeb: Ddeb) -> None:
    """Make one package in the pool."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        control = (
            f"Package: {ddeb.package}\nVersion: {ddeb.version}\nArchitecture: amd64\n"
            "Maintainer: nobody <nobody@localhost>\nDescription: debug symbols\n"
        )
        (root / "DEBIAN").mkdir()
        (root / "DEBIAN/control").write_text(control)
        boot = root / "usr/lib/debug/boot"
        boot.mkdir(parents=True)
        (boot / f"vmlinux-{ddeb.uname}").write_bytes(make_vmlinux(ddeb.build_id, ddeb.uname))
        folder = MIRROR / ddeb.folder
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{ddeb.package}_{ddeb.version}_amd64.ddeb"
        run("dpkg-deb", "--root-owner-group", "-Zzstd", "-b", str(root), str(folder / name))
    if ddeb.suite:
        body = (folder / name).read_bytes()
        index = MIRROR / f"ddebs.ubuntu.com/dists/{ddeb.suite}/main/binary-amd64/Packages.gz"
        index.parent.mkdir(parents=True)
        stanza = (
            f"Package: {ddeb.package}\nFilename: {ddeb.folder.partition('/')[2]}/{name}\n"
            f"SHA256: {hashlib.sha256(body).hexdigest()}\n"
        )
        other = stanza.replace(ddeb.version, "0").replace("SHA256: ", "SHA256: 0")
        index.write_bytes(gzip.compress(f"{other}\n{stanza}\n{other}".encode(), mtime=0))


def run(*argv: str) -> None:
    """Run, quietly unless it fails."""
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/"}
    environment["SOURCE_DATE_EPOCH"] = "1700000000"
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, env=environment)


def make_vmlinux(build_id: str | None, release: str | None, *, dwarf: bool = True) -> bytes:
    """A little-endian x86-64 executable with notes, a banner and a ``.debug_info``."""
    notes = b""
    if build_id is not None:
        # Xen's notes come first in a real one; their names are not "GNU".
        notes += struct.pack("<III4s8s", 4, 6, 6, b"Xen\0", b"linux\0\0\0")
        raw = bytes.fromhex(build_id)
        notes += struct.pack("<III4s", 4, len(raw), 3, b"GNU\0") + raw.ljust((len(raw) + 3) & ~3)
    banner = (
        f"Linux version {release} (builder@example) (gcc) #1 SMP\n".encode() if release else b""
    )
    bodies = {
        b"": (0, b""),
        b".rodata": (1, b"\0" * 64 + banner),
        b".notes": (7, notes),
        b".debug_info": (1 if dwarf else 8, b"\x0b\0\0\0\x05\0\x01\x08" + b"\0" * 8),
        b".shstrtab": (3, b"\0.rodata\0.notes\0.debug_info\0.shstrtab\0"),
    }
    strings = bodies[b".shstrtab"][1]
    data = b""
    headers = b""
    for name, (kind, body) in bodies.items():
        offset = 64 + len(data)
        stored = b"" if kind == 8 else body
        headers += struct.pack(
            "<IIQQQQIIQQ",
            strings.index(name + b"\0") if name else 0,
            kind, 0, 0, offset if name else 0, len(body), 0, 0, 4 if name else 0, 0,
        )  # fmt: skip
        data += stored + b"\0" * (-len(stored) % 8)
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 2, 62, 1, 0, 0, 64 + len(data), 0, 64, 56, 0, 64, len(bodies), 4
    )
    return header + data + headers


if __name__ == "__main__":
    main()
