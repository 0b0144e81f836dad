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
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from kautopsy.lab.archive import downloaded, fresh_suite
from kautopsy.lab.cache import lab_cache, locked, staged
from kautopsy.lab.errors import LabError, NoKernelError
from kautopsy.lab.kernels import GuestKernel
from kautopsy.model.errors import MissingToolError, UnreadableError

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
# In sid, gcc-for-host leads to binutils under their full names only.
_TRIPLET = "x86_64-linux-gnu"
_BUILD_SECONDS = 1200


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


def build_module(kernel: GuestKernel, *, report: Report = lambda what: None) -> Path:
    """``kautopsy_faults.ko`` for ``kernel``, built unless the lab's cache has it.

    The module carries BTF, split from the kernel's, as the modules of a distribution do. Beside it
    lies ``kautopsy_faults.debug``, the same with DWARF.

    :raises NoKernelError: the suite no longer has this kernel's headers
    :raises MissingToolError: this machine lacks dpkg-deb, tar or unshare
    :raises LabError: packages cannot be fetched, or the compiler refuses
    """
    home = lab_cache() / "faults"
    result = home / "modules" / f"{kernel.release}-{sources_hash()}" / f"{MODULE_NAME}.ko"
    if result.is_file():
        return result
    home.mkdir(exist_ok=True)
    with locked(home):
        if not result.is_file():
            root = home / "toolchains" / kernel.release
            if not root.is_dir():
                _make_toolchain(kernel, root, report)
            report(f"build the scenes for {kernel.release}")
            _build(kernel, root, result)
    return result


def _build(kernel: GuestKernel, root: Path, result: Path) -> None:
    headers = f"/usr/src/linux-headers-{kernel.release}"
    # kbuild writes a module's BTF if it finds the kernel's (Debian 14 ships it, as vmlinux), with
    # resolve_btfids, which Debian has since 6.12. Before, pahole alone has to do.
    kbuild_can = (root / headers[1:] / "tools/bpf/resolve_btfids/resolve_btfids").is_file()
    vmlinux = root / (headers[1:] if kbuild_can else "build") / "vmlinux"
    if not vmlinux.is_file():
        _extract_vmlinux(kernel.vmlinuz, vmlinux, root)
    # The same place for every build: BUG() and WARN() say where their source was compiled.
    work = root / "build" / MODULE_NAME
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    with staged(result.parent) as final:
        for file, text in sources().items():
            (work / file).write_bytes(text)
        inside = f"/build/{work.name}"
        jobs = f"-j{min(4, os.cpu_count() or 1)}"
        _run_inside(root, ["make", "-s", jobs, "-C", headers, f"M={inside}", "modules"])
        built = f"{inside}/{result.name}"
        if not kbuild_can:
            _run_inside(root, ["pahole", "-J", "--btf_base", "/build/vmlinux", built])
        shutil.copyfile(work / result.name, final / f"{MODULE_NAME}.debug")
        # As a distribution ships its modules: types and symbols, but no DWARF.
        _run_inside(root, [f"{_TRIPLET}-strip", "--strip-debug", built])
        shutil.copyfile(work / result.name, final / result.name)


def _make_toolchain(kernel: GuestKernel, root: Path, report: Report) -> None:
    for tool in ("dpkg-deb", "tar", "unshare"):
        if shutil.which(tool) is None:
            raise MissingToolError("is not installed", thing=tool)
    report(f"fetch the compiler of {kernel.release}")
    suite = fresh_suite(kernel.series.suite)
    headers = suite.show(f"linux-headers-{kernel.release}")
    if headers is None:
        raise NoKernelError(
            "its headers are not in this suite any more",
            thing=f"{kernel.release} ({suite.suite})",
            hint=f"remove {kernel.root} to take the suite's newest kernel",
        )
    needed = [name for name in headers.depends if not name.startswith(_UNNEEDED)]
    with staged(root) as work:
        for directory in _MERGED:
            (work / "usr" / directory).mkdir(parents=True)
            (work / directory).symlink_to(f"usr/{directory}")
        for directory in ("dev", "proc", "tmp", "build"):
            (work / directory).mkdir()
        with tempfile.TemporaryDirectory(dir=root.parent, prefix=".deb-") as name:
            packages = suite.download_closure([*needed, *_TOOLS], Path(name))
            report(f"unpack {len(packages) + 1} packages")
            for package in packages:
                _unpack(package, work)
        with downloaded(suite, headers) as package:
            _unpack(package, work)
        _link_busybox(work)


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
    """Run ``argv`` with ``root`` as its root directory, and return what it prints."""
    environment = ["env", "-i", "PATH=/usr/bin:/usr/sbin", "HOME=/tmp", "LC_ALL=C"]
    # pahole asks for LLVM's objcopy where it is not told of another.
    environment.append(f"LLVM_OBJCOPY={_TRIPLET}-objcopy")
    # objtool since 7.2 reads a sysctl, and everybody /dev/null.
    script = 'mount --rbind /dev "$0/dev" && mount --rbind /proc "$0/proc" && exec chroot "$0" "$@"'
    # Root needs no user namespace, and could not have one inside a chroot (unshare(2), EPERM).
    namespaces = ["--mount"] if os.geteuid() == 0 else ["--map-root-user", "--mount"]
    done = subprocess.run(
        ["unshare", *namespaces, "sh", "-c", script, root, *environment, *argv],
        input=stdin,
        capture_output=True,
        timeout=_BUILD_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        complaint = done.stderr.decode(errors="replace").strip()
        raise LabError(
            f"failed: {complaint[-2000:]}",
            thing=argv[0],
            hint=_unshare_hint() if complaint.startswith("unshare:") else "",
            slug="build-failed",
        )
    return done.stdout


def _unshare_hint() -> str:
    if os.geteuid() == 0:
        return "in a chroot its root must be a mount point (mount --bind ROOT ROOT)"
    return "user namespaces must be allowed (sysctl kernel.unprivileged_userns_clone=1)"
