"""KVM or TCG? KVM only after a guest has really booted under it.

/dev/kvm may be there and refuse, or accept and then hang (nested virtualisation), so neither the
node nor an ioctl is proof. The answer is kept until the host boots again or QEMU changes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from kautopsy.lab.cache import lab_cache
from kautopsy.lab.qemu import Accelerator, version
from kautopsy.model.base import Noun, from_json, to_json
from kautopsy.model.errors import KautopsyError

_DEVICE = Path("/dev/kvm")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class _Answer(Noun, frozen=True, kw_only=True):
    host: str
    works: bool


def choose(probe: Callable[[], None], *, device: Path = _DEVICE) -> Accelerator:
    """The fastest accelerator that works.

    :param probe: boots a guest under KVM, and raises if that fails
    """
    if not os.access(device, os.R_OK | os.W_OK):
        return Accelerator.TCG
    host = f"{_BOOT_ID.read_text().strip()} {version()}"
    memory = lab_cache() / "kvm.json"
    try:
        answer = from_json(memory.read_bytes(), _Answer)
    except (OSError, KautopsyError):
        answer = None
    if answer is None or answer.host != host:
        try:
            probe()
            answer = _Answer(host=host, works=True)
        except KautopsyError:
            answer = _Answer(host=host, works=False)
        memory.write_text(to_json(answer))
    return Accelerator.KVM if answer.works else Accelerator.TCG
