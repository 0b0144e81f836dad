"""The disk of a whole machine: made once with mmdebstrap and a first boot, then shared by all.

Nothing is mounted: mmdebstrap writes a tar archive and mke2fs fills the file system from a
directory. GRUB and the initrds want a real disk: the machine makes them itself in its first boot.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.resources
import os
import shlex
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kautopsy.host.debian import inherited_options
from kautopsy.host.debian_mirror import debian_mirror
from kautopsy.lab.cache import lab_cache, locked, staged
from kautopsy.lab.errors import LabError
from kautopsy.lab.machines.release import PACKAGES, Release, find_release
from kautopsy.model.base import Noun, from_json, to_json
from kautopsy.model.errors import KautopsyError, MissingToolError

_ABOUT = "image.json"
_DISK = "disk.raw"
_SCRIPTS = ("setup.sh", "first_boot.sh")
_DISK_BYTES = 4 << 30
# Before the first partition: room for GRUB's core.img.
_PARTITION_OFFSET = 1 << 20
_SECTOR = 512
_STALE_SECONDS = 7 * 24 * 3600
_BUILD_SECONDS = 1800.0
_DEBCONF = """\
kdump-tools kdump-tools/use_kdump boolean false
grub-pc grub-pc/install_devices_empty boolean true
"""
# Paths that no dump needs: half of what is copied.
_EXCLUDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
_PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "qemu-img": "qemu-utils",
    "ssh-keygen": "openssh-client",
    "mke2fs": "e2fsprogs",
}


class MachineImage(Noun, frozen=True, kw_only=True):
    """A disk with a system that nobody armed.

    :param name: ``debian12``
    :param folder: holds the disk and the keys
    :param sha256: of the disk
    :param modified_ns: of the disk's file, when the sum was taken
    """

    name: str
    folder: str
    sha256: str
    modified_ns: int

    @property
    def disk(self) -> Path:
        """A raw image, which nobody writes to: machines have overlays."""
        return Path(self.folder) / _DISK

    @property
    def key(self) -> Path:
        """The private key that root's sshd takes."""
        return Path(self.folder) / "key"

    @property
    def known_hosts(self) -> Path:
        """The key of its sshd, under the machine's name."""
        return Path(self.folder) / "known_hosts"


def cached_image(name: str) -> MachineImage | None:
    """The image called ``name`` if it is in the cache, whole, and made as this lab makes it."""
    folder = _folder(find_release(name))
    try:
        image = from_json((folder / _ABOUT).read_bytes(), MachineImage)
        if image.disk.stat().st_mtime_ns == image.modified_ns:
            return image
        # Touched: is it still the same?
        return image if _sha256(image.disk) == image.sha256 else None
    except (OSError, KautopsyError):
        return None


def fetch_image(name: str) -> MachineImage:
    """The image called ``name``, made if it is not in the cache; this takes minutes.

    :raises UsageError: the lab knows no such machine
    :raises MissingToolError: mmdebstrap or another tool is not installed
    :raises KautopsyError: it cannot be made
    """
    release = find_release(name)
    if (cached := cached_image(name)) is not None:
        return cached
    folder = _folder(release)
    folder.parent.mkdir(exist_ok=True)
    with locked(folder.parent):
        if (cached := cached_image(name)) is None:
            _clear(folder)
            with staged(folder) as draft:
                _make(release, draft, folder)
            cached = cached_image(name)
    assert cached is not None
    return cached


def _folder(release: Release) -> Path:
    return lab_cache() / "machines" / f"{release.name}-{_recipe(release)}"


def _recipe(release: Release) -> str:
    """What shapes the image: another recipe is another image."""
    digest = hashlib.sha256()
    for words in (release.suite, *PACKAGES, *_EXCLUDED, _DEBCONF, str(_DISK_BYTES)):
        digest.update(words.encode() + b"\0")
    for name in _SCRIPTS:
        digest.update(_script(name))
    return digest.hexdigest()[:12]


def _script(name: str) -> bytes:
    return importlib.resources.files("kautopsy.lab.machines").joinpath(name).read_bytes()


def _make(release: Release, draft: Path, final: Path) -> None:
    # Here, because a machine needs an image to be one.
    from kautopsy.lab.machines.machine import DirectBoot, Machine, MachineConfig

    for program, package in _PROGRAMS.items():
        if shutil.which(program, path=_path()) is None:
            raise MissingToolError("is not installed", thing=program, hint=f"install {package}")
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(draft / "key"))
    with _unpacked(release, draft) as root:
        (kernel,) = (root / "boot").glob("vmlinuz-*")
        (initrd,) = (root / "boot").glob("initrd.img-*")
        host_key = (root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()
        (draft / "known_hosts").write_text(f"{release.name} {host_key[0]} {host_key[1]}\n")
        image = MachineImage(name=release.name, folder=str(draft), sha256="", modified_ns=0)
        config = MachineConfig(
            image, disk=draft / _DISK, direct=DirectBoot(kernel, initrd), own_disk=True
        )
        with Machine(config) as machine:
            machine.boot()
            machine.wait_until_up()
            done = machine.host.script(_script("first_boot.sh").decode(), timeout=_BUILD_SECONDS)
            if done.status:
                raise LabError(
                    f"its first boot failed: {done.complaint}",
                    thing=release.name,
                    slug="no-machine",
                )
            machine.power_off()
    (draft / _DISK).chmod(0o444)
    about = MachineImage(
        name=release.name,
        folder=str(final),
        sha256=_sha256(draft / _DISK),
        modified_ns=(draft / _DISK).stat().st_mtime_ns,
    )
    (draft / _ABOUT).write_text(to_json(about))


@contextlib.contextmanager
def _unpacked(release: Release, draft: Path) -> Iterator[Path]:
    """The new system's files in a directory, and its disk; the directory is gone afterwards."""
    archive, root = draft / "root.tar", draft / "root"
    try:
        # mmdebstrap's hooks may run in a user namespace, which does not enter everybody's home.
        with tempfile.TemporaryDirectory(prefix="kautopsy-setup-") as name:
            lab = Path(name)
            lab.chmod(0o755)
            shutil.copy(draft / "key.pub", lab)
            (lab / "setup.sh").write_bytes(_script("setup.sh"))
            (lab / "debconf").write_text(_DEBCONF)
            (lab / "apt.conf").write_text("".join(f"{line}\n" for line in inherited_options()))
            _debootstrap(release, archive, lab)
        root.mkdir()
        _make_disk(archive, root, draft / _DISK)
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)
        archive.unlink(missing_ok=True)


def _debootstrap(release: Release, archive: Path, lab: Path) -> None:
    # Without a root device mkinitramfs cannot tell which modules are needed ("dep").
    modules = r"# kautopsy-lab\nvirtio_pci\nvirtio_blk\nvirtio_net\next4\n"
    _run(
        *("mmdebstrap", "--quiet", "--variant=minbase", "--format=tar", "--skip=output/dev"),
        *("--architectures=amd64", f"--aptopt={lab / 'apt.conf'}"),
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude={path}" for path in _EXCLUDED),
        "--essential-hook=mkdir -p $1/etc/initramfs-tools/conf.d"
        " && echo MODULES=list >$1/etc/initramfs-tools/conf.d/kautopsy-lab"
        f" && printf '{modules}' >>$1/etc/initramfs-tools/modules",
        f"--essential-hook=chroot $1 debconf-set-selections <{lab / 'debconf'}",
        f"--customize-hook=sh {lab / 'setup.sh'} $1 {lab}",
        f"--include={','.join(PACKAGES)}",
        *(release.suite, str(archive), debian_mirror()),
    )


def _make_disk(archive: Path, root: Path, disk: Path) -> None:
    with disk.open("wb") as file:
        file.write(_partition_table())
        file.truncate(_DISK_BYTES)
    blocks = (_DISK_BYTES - _PARTITION_OFFSET) // 4096
    tree, image = shlex.quote(str(root)), shlex.quote(str(disk))
    script = (
        f"tar -xp --numeric-owner --xattrs --xattrs-include='*' -f {shlex.quote(str(archive))}"
        f" -C {tree} && mkdir -m 0755 {tree}/dev"
        f" && mke2fs -q -F -t ext4 -b 4096 -L root -d {tree} -E offset={_PARTITION_OFFSET}"
        f" {image} {blocks}"
    )
    # The archive's owners are not ours to give: fakeroot remembers them for mke2fs.
    fake = () if os.geteuid() == 0 else ("fakeroot", "--")
    _run(*fake, "sh", "-c", script)


def _partition_table() -> bytes:
    """An MBR with one bootable Linux partition; CHS fields are out of use since LBA is there."""
    start = _PARTITION_OFFSET // _SECTOR
    count = _DISK_BYTES // _SECTOR - start
    chs = b"\xfe\xff\xff"
    entry = struct.pack("<B3sB3sII", 0x80, chs, 0x83, chs, start, count)
    return bytes(446) + entry + bytes(48) + b"\x55\xaa"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _clear(folder: Path) -> None:
    """Remove images of older recipes, but for those that another checkout may be using."""
    limit = time.time() - _STALE_SECONDS
    for old in folder.parent.glob(f"{folder.name.rpartition('-')[0]}-*"):
        with contextlib.suppress(OSError):
            if old.stat().st_mtime < limit:
                shutil.rmtree(old)


def _path() -> str:
    # mke2fs is in sbin, which an ordinary user's PATH may lack.
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def _run(*argv: str) -> None:
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_BUILD_SECONDS,
            env={**os.environ, "PATH": _path()},
            check=False,
        )
    except FileNotFoundError:
        raise MissingToolError("is not installed", thing=argv[0]) from None
    except subprocess.TimeoutExpired:
        raise LabError(f"did not end in {_BUILD_SECONDS:.0f} s", thing=argv[0]) from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()][-8:]
        raise LabError(
            f"failed: {' | '.join(lines)[-700:] or f'status {done.returncode}'}",
            thing=argv[0],
            slug="no-machine",
        )
