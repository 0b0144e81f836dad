"""The disk that a rehearsed capture saves to: an ext4, with the machine's own programs on it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from kautopsy.dump.header import read_dump
from kautopsy.lab.errors import LabError
from kautopsy.model.errors import KautopsyError, MissingToolError

_MIB = 3072
_FSTAB = "UUID={uuid} / ext4 errors=remount-ro 0 1\n"


def make_disk(disk: Path, userland: Path | None, uuid: str) -> None:
    """A sparse file with an ext4 whose UUID is ``uuid``.

    :param userland: a compressed tar of what is on it
    :raises LabError: there is no room
    """
    with disk.open("wb") as file:
        file.truncate(_MIB << 20)
    options = f"-q -F -t ext4 -m 0 -U {shlex.quote(uuid)}"
    if userland is None:
        _run(f"mke2fs {options} {shlex.quote(str(disk))}")
        return
    with tempfile.TemporaryDirectory(prefix="kautopsy-userland-") as name:
        root = Path(name) / "root"
        root.mkdir(mode=0o755)
        for folder in ("dev", "proc", "sys", "run", "tmp", "var", "var/crash", "var/log", "etc"):
            (root / folder).mkdir(mode=0o755)
        (root / "tmp").chmod(0o1777)
        tree = shlex.quote(str(root))
        fstab = shlex.quote(_FSTAB.format(uuid=uuid))
        _run(
            f"tar -xzp --numeric-owner -f {shlex.quote(str(userland))} -C {tree}"
            f" && printf %s {fstab} >{tree}/etc/fstab"
            # A machine that is not armed yet has this off.
            f" && sed -i 's/^USE_KDUMP=.*/USE_KDUMP=1/' {tree}/etc/default/kdump-tools"
            f" && mke2fs {options} -d {tree} {shlex.quote(str(disk))}"
        )


def saved_dumps(disk: Path, folder: str, scratch: Path) -> str:
    """Why what was saved below ``folder`` is no whole dump; empty if it is one."""
    names = [
        f"{folder.rstrip('/')}/{sub}/{name}"
        for sub in _list(disk, folder)
        for name in _list(disk, f"{folder.rstrip('/')}/{sub}")
        if name.startswith(("vmcore", "dump"))
    ]
    names = [name for name in names if "dmesg" not in name]
    if not names:
        return f"no dump is in {folder} on the target"
    name = names[0]
    if "incomplete" in name:
        return f"{name} is incomplete"
    copy = scratch / "dump"
    _debugfs(disk, f"dump {name} {copy.name}", cwd=scratch)
    try:
        header = read_dump(copy)
    except KautopsyError as error:
        return f"{name} is no dump: {error.what}"
    finally:
        copy.unlink(missing_ok=True)
    return "" if header.complete else f"{name}: {'; '.join(header.problems) or 'is incomplete'}"


def _list(disk: Path, folder: str) -> list[str]:
    # /INODE/MODE/UID/GID/NAME/SIZE/
    lines = _debugfs(disk, f"ls -p {folder}").splitlines()
    names = [line.split("/")[5] for line in lines if line.count("/") >= 6]
    return [name for name in names if name not in (".", "..") and not name.startswith(".")]


def _debugfs(disk: Path, request: str, *, cwd: Path | None = None) -> str:
    argv = f"debugfs -R {shlex.quote(request)} {shlex.quote(str(disk.absolute()))}"
    return _run(argv, cwd=cwd)


def _run(script: str, *, cwd: Path | None = None) -> str:
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    if shutil.which("mke2fs", path=environment["PATH"]) is None:
        raise MissingToolError("is not installed", thing="mke2fs", hint="install e2fsprogs")
    # The archive's owners are not everybody's to give: fakeroot remembers them for mke2fs.
    fake = ["fakeroot", "--"] if os.geteuid() and shutil.which("fakeroot") else []
    done = subprocess.run(
        [*fake, "sh", "-c", script],
        capture_output=True,
        text=True,
        errors="replace",
        cwd=cwd,
        env=environment,
        check=False,
    )
    if done.returncode:
        raise LabError(done.stderr.strip()[-300:], thing=script.split()[0], slug="target-disk")
    return done.stdout
