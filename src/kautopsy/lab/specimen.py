"""Specimens: dumps of machines whose truth is known, made once and kept in the cache.

A specimen is made again when what shapes it changes: the lab's guest side, its kernel, its tools.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.resources
import secrets
import shutil
import time
from pathlib import Path

from kautopsy.lab.cache import lab_cache, locked, staged
from kautopsy.lab.config import GuestConfig
from kautopsy.lab.errors import CaptureError
from kautopsy.lab.facts import GuestFacts
from kautopsy.lab.guest import Guest, State, Way
from kautopsy.lab.kernels import GuestKernel, fetch_kernel
from kautopsy.model.base import Noun, from_json, to_json
from kautopsy.model.crash import TaskRef
from kautopsy.model.errors import KautopsyError

_TRUTH = "truth.json"
_SHAPING = ("config.py", "guest.py", "initramfs.py", "series.py", "specimen.py")
_STALE_SECONDS = 7 * 24 * 3600
# Something to find in a dump: sleepers, a pipeline, a file held open, a loop device.
_WORK = """\
mkdir -p /tmp/work && cd /tmp/work
dd if=/dev/urandom of=disk bs=64k count=32 2>/dev/null
losetup /dev/loop0 disk
sleep 100000 &
sh -c 'while :; do sleep 5; done' &
mkfifo pipe
cat pipe &
nc -l -p 7777 &
"""


class Specimen(Noun, frozen=True, kw_only=True):
    """A dump of sysrq-c, and what is true of the machine it is of.

    :param series: ``6.1``
    :param folder: holds ``vmcore`` and ``console.log``
    :param facts: as the machine gave them just before it died
    :param nonce: the last line it wrote to its log by itself
    :param writer: the task that wrote to sysrq-trigger, on ``cpu``
    """

    series: str
    folder: str
    facts: GuestFacts
    nonce: str
    writer: TaskRef
    cpu: int

    @property
    def vmcore(self) -> Path:
        """The dump; others read it too."""
        return Path(self.folder) / "vmcore"

    @property
    def console(self) -> str:
        """What both kernels wrote to the serial console."""
        log = Path(self.folder) / "console.log"
        return log.read_text(errors="replace").replace("\r\n", "\n")

    @property
    def kernel(self) -> GuestKernel:
        """The kernel that died."""
        return fetch_kernel(self.series)

    def vmlinux(self) -> Path:
        """Its DWARF, fetched if need be."""
        return self.kernel.vmlinux()


def specimen(series: str) -> Specimen:
    """The specimen of a kernel series, from the cache if it is there.

    :raises KautopsyError: a guest could not be booted, or left no dump
    """
    kernel = fetch_kernel(series)
    shelf = lab_cache() / "specimens"
    shelf.mkdir(exist_ok=True)
    folder = shelf / f"{series}-{_key(kernel)}"
    with locked(shelf):
        if (found := _read(folder)) is not None:
            return found
        _clear(shelf, f"{series}-*")
        with staged(folder) as draft:
            _make(kernel, draft, folder)
    made = _read(folder)
    assert made is not None
    return made


def _read(folder: Path) -> Specimen | None:
    try:
        return from_json((folder / _TRUTH).read_bytes(), Specimen)
    except (OSError, KautopsyError):
        return None


def _make(kernel: GuestKernel, draft: Path, final: Path) -> None:
    nonce = f"kautopsy-specimen-{secrets.token_hex(8)}"
    config = GuestConfig(kernel)
    cpu = config.cpus - 1
    with Guest(config) as guest:
        guest.transition(State.ARMED)
        guest.run(_WORK)
        facts = guest.facts()
        guest.note(nonce)
        guest.crash(Way.SYSRQ, cpu=cpu)
        writer = guest.writer
        assert writer is not None
        guest.transition(State.CAPTURED)
        if not guest.take_dump(draft / "vmcore"):
            raise CaptureError("left no dump", thing=f"guest {kernel.series.name}")
        shutil.copyfile(guest.folder / "console.log", draft / "console.log")
    truth = Specimen(
        series=kernel.series.name,
        folder=str(final),
        facts=facts,
        nonce=nonce,
        writer=writer,
        cpu=cpu,
    )
    (draft / _TRUTH).write_text(to_json(truth))


def _key(kernel: GuestKernel) -> str:
    digest = hashlib.sha256(f"{kernel.release} {kernel.version}".encode())
    lab = importlib.resources.files("kautopsy.lab")
    inside = [file for file in lab.joinpath("inside").iterdir() if file.name.endswith(".sh")]
    files = [lab.joinpath(name) for name in _SHAPING]
    for file in [*files, *sorted(inside, key=lambda file: file.name)]:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _clear(shelf: Path, pattern: str) -> None:
    # Not the young ones: another run, of another checkout, may be reading them.
    limit = time.time() - _STALE_SECONDS
    for folder in shelf.glob(pattern):
        with contextlib.suppress(OSError):
            if folder.stat().st_mtime < limit:
                shutil.rmtree(folder)
