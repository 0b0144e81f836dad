"""The module of scenes, built for one of Debian's kernels.

A kernel's headers ask for the compiler it was built with, and the tools beside them for that
suite's C library: what a Debian 12 or 13 has will not do for a kernel of sid. So everything that
takes part (compiler, make, shell, headers, pahole) comes out of the kernel's own suite, is unpacked
into a directory of the cache and runs there, in namespaces where there is no need to be root.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kautopsy.host.debian import DebianSuite
from kautopsy.model.errors import KautopsyError, MissingToolError, UnreachableError, UnreadableError

MODULE_NAME = "kautopsy_faults"

Report = Callable[[str], None]
"""Called with what is being done, for people who wait."""

# Besides the headers and what they depend on. lz4 and zstd unpack the kernel image, pahole (from
# dwarves) writes the module's BTF, and busybox is every small tool that kbuild calls.
_TOOLS = ("make", "busybox-static", "dwarves", "lz4", "zstd")
# The headers depend on the kernel itself since 6.11, and on what its installation calls.
_UNNEEDED = ("linux-image-", "linux-binary-", "linux-modules-", "linux-base", "debconf", "perl")
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_UNPACKERS = {
    b"\x28\xb5\x2f\xfd": ["zstd", "-dc"],
    b"\x02\x21\x4c\x18": ["lz4", "-dc"],
    b"\xfd7zXZ\x00": ["xz", "-dc"],
    b"\x1f\x8b\x08": ["gzip", "-dc"],
}
_BUILD_SECONDS = 1200


@dataclass(frozen=True)
class KernelPackage:
    """A kernel to build for.

    :param suite: Debian's suite that has its headers (``bookworm``)
    :param release: as ``uname -r`` says it (``6.1.0-56-cloud-amd64``)
    :param vmlinuz: its bzImage, out of which the types of the kernel are taken
    """

    suite: str
    release: str
    vmlinuz: Path


def sources() -> dict[str, bytes]:
    """Name → contents of the module's source files."""
    folder = importlib.resources.files("kautopsy.lab.faults") / "module"
    return {
        entry.name: entry.read_bytes()
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name == "Kbuild" or entry.name.endswith((".c", ".h"))
    }


def sources_hash() -> str:
    """Identifies the module's sources: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, text in sources().items():
        digest.update(f"{name} {len(text)}\n".encode() + text)
    return digest.hexdigest()[:16]


def build_module(
    kernel: KernelPackage, *, cache: Path, report: Report = lambda what: None
) -> Path:
    """``kautopsy_faults.ko`` for ``kernel``, built unless the cache has it.

    The module carries BTF, split from the kernel's, as the modules of a distribution do.

    :param cache: a directory of the user's cache, shared by all kernels
    :raises UnreachableError: packages are missing from the cache and the archive does not answer
    :raises MissingToolError: this machine lacks dpkg-deb, tar or unshare
    :raises KautopsyError: the compiler refuses
    """
    result = cache / "modules" / f"{kernel.release}-{sources_hash()}" / f"{MODULE_NAME}.ko"
    if result.is_file():
        return result
    root = _toolchain(kernel, cache / "toolchains" / f"{kernel.suite}-{kernel.release}", report)
    report(f"build the scenes for {kernel.release}")
    headers = Path("/usr/src") / f"linux-headers-{kernel.release}"
    # Not where kbuild would look for it: of resolve_btfids, which it then wants, Debian has none.
    vmlinux = root / "build" / "vmlinux"
    if not vmlinux.is_file():
        _extract_vmlinux(kernel.vmlinuz, vmlinux, root)
    with tempfile.TemporaryDirectory(dir=root / "build") as name:
        work = Path(name)
        for file, text in sources().items():
            (work / file).write_bytes(text)
        inside = Path("/build") / work.name
        jobs = f"-j{min(4, os.cpu_count() or 1)}"
        _run_inside(root, ["make", "-s", jobs, "-C", str(headers), f"M={inside}", "modules"])
        built = str(inside / result.name)
        _run_inside(root, ["pahole", "-J", "--btf_base", "/build/vmlinux", built])
        result.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(work / result.name, result.with_suffix(".debug"))
        # As a distribution ships its modules: types and symbols, but no DWARF.
        _run_inside(root, ["x86_64-linux-gnu-strip", "--strip-debug", built])
        partial = result.with_suffix(".partial")
        shutil.copyfile(work / result.name, partial)
        partial.replace(result)
    return result


def _toolchain(kernel: KernelPackage, root: Path, report: Report) -> Path:
    """A directory with everything unpacked; complete or not there at all."""
    if root.is_dir():
        return root
    for tool in ("dpkg-deb", "tar", "unshare"):
        if shutil.which(tool) is None:
            raise MissingToolError("is not installed", thing=tool)
    suite = DebianSuite(suite=kernel.suite)
    report(f"fetch the compiler of {kernel.release}")
    headers = suite.show(f"linux-headers-{kernel.release}")
    if headers is None:
        raise KautopsyError(
            f"has no headers for {kernel.release}",
            thing=f"Debian {kernel.suite}",
            hint="the archive keeps a suite's newest kernel only; update the lab's",
            slug="no-such-package",
        )
    needed = [name for name in headers.depends if not name.startswith(_UNNEEDED)]
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix="unpacking-") as name:
        work = Path(name) / "root"
        for directory in _MERGED:
            (work / "usr" / directory).mkdir(parents=True)
            (work / directory).symlink_to(f"usr/{directory}")
        for directory in ("dev", "proc", "tmp", "build"):
            (work / directory).mkdir()
        packages = [suite.download(headers.name, headers.version)]
        packages += _download_together(suite, [*needed, *_TOOLS], Path(name) / "archives")
        report(f"unpack {len(packages)} packages")
        for package in packages:
            _unpack(package, work)
        _link_busybox(work)
        work.rename(root)
    return root


def _download_together(suite: DebianSuite, names: list[str], archives: Path) -> list[Path]:
    """``names`` and all they depend on, by one run of apt: fifty single ones take two minutes."""
    (archives / "partial").mkdir(parents=True)
    options = {
        "APT::Architecture": suite.architecture,
        "APT::Architectures::": suite.architecture,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "Acquire::Check-Valid-Until": "false",
        "Acquire::Retries": "2",
        "Dir::State": str(suite.root),
        "Dir::State::lists": str(suite.root / "lists"),
        # A machine with nothing installed: everything is needed.
        "Dir::State::status": "/dev/null",
        "Dir::Cache": str(suite.root),
        "Dir::Cache::archives": str(archives),
        "Dir::Log": str(suite.root),
        "Dir::Etc::sourcelist": str(suite.root / "etc/sources.list"),
        "Dir::Etc::sourceparts": "-",
        "Dir::Etc::preferences": "-",
        "Dir::Etc::preferencesparts": "-",
        "Debug::NoLocking": "true",
    }
    argv = ["apt-get", "-q", "-y", "--download-only", "install"]
    for key, value in options.items():
        argv += ["-o", f"{key}={value}"]
    done = subprocess.run(
        [*argv, *names], capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode != 0:
        raise UnreachableError(
            f"the compiler cannot be had: {done.stderr.strip()[-500:]}",
            thing=f"Debian {suite.suite}",
        )
    return sorted(archives.glob("*.deb"))


def _unpack(deb: Path, root: Path) -> None:
    """Like ``dpkg-deb --extract``, but a link such as /lib stays one where a package has it."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as archive:
        done = subprocess.run(
            ["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", root],
            stdin=archive.stdout,
            stderr=subprocess.PIPE,
            check=False,
        )
    if archive.returncode or done.returncode:
        raise UnreadableError(
            f"cannot be unpacked: {done.stderr.decode(errors='replace').strip()}", thing=str(deb)
        )


def _link_busybox(root: Path) -> None:
    busybox = next(
        path for path in (root / "usr/bin/busybox", root / "bin/busybox") if path.is_file()
    )
    listing = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    for applet in listing.stdout.split():
        # What a package brought itself (zstd, ar of binutils) is the real thing.
        if not any((root / "usr" / place / applet).exists() for place in ("bin", "sbin")):
            (root / "usr/bin" / applet).symlink_to("busybox")


def _extract_vmlinux(vmlinuz: Path, vmlinux: Path, root: Path) -> None:
    """The ELF file inside a bzImage, unpacked by the tools of its own suite.

    ``setup_sects``, ``payload_offset`` and ``payload_length`` are at 0x1f1, 0x248 and 0x24c
    (Documentation/arch/x86/boot.rst). The last four bytes of the payload are its unpacked length.
    """
    image = vmlinuz.read_bytes()
    if image[0x202:0x206] != b"HdrS":
        raise UnreadableError("is no x86 kernel image", thing=str(vmlinuz))
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = ((image[0x1F1] or 4) + 1) * 512 + offset
    payload = image[start : start + length - 4]
    for magic, argv in _UNPACKERS.items():
        if payload.startswith(magic):
            elf = _run_inside(root, argv, stdin=payload)
            break
    else:
        raise UnreadableError("is compressed in an unknown way", thing=str(vmlinuz))
    partial = vmlinux.with_suffix(".partial")
    partial.write_bytes(elf)
    partial.replace(vmlinux)


def _run_inside(root: Path, argv: list[str], *, stdin: bytes = b"") -> bytes:
    """Run ``argv`` with ``root`` as its root directory, and return what it prints.

    :raises KautopsyError: it failed
    """
    environment = ["env", "-i", "PATH=/usr/bin:/usr/sbin", "HOME=/tmp", "LC_ALL=C"]
    # pahole asks for LLVM's objcopy where it is not told of another.
    environment.append("LLVM_OBJCOPY=x86_64-linux-gnu-objcopy")
    # objtool since 7.2 reads a sysctl, and everybody /dev/null.
    script = (
        'mount --rbind /dev "$0/dev" && mount --rbind /proc "$0/proc" && exec chroot "$0" "$@"'
    )
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script, root, *environment, *argv],
        input=stdin,
        capture_output=True,
        timeout=_BUILD_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        complaint = done.stderr.decode(errors="replace").strip()
        raise KautopsyError(
            f"failed: {complaint[-2000:]}",
            thing=argv[0],
            hint="user namespaces must be allowed (sysctl kernel.unprivileged_userns_clone=1)"
            if complaint.startswith("unshare:")
            else "",
            slug="build-failed",
        )
    return done.stdout
