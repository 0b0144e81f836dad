"""VMCOREINFO that a dump's headers lack, from the memory of the kernel that wrote it.

A hypervisor dumps a guest from outside (``virsh dump --memory-only``, QEMU's dump-guest-memory) and
knows nothing of its kernel, unless the guest has a vmcoreinfo device. But the kernel keeps the text
in its own memory for the crash kernel (``vmcoreinfo_data``, ``vmcoreinfo_note``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import drgn

from kautopsy.dump.pages import held_ranges
from kautopsy.dump.vmcoreinfo import VmcoreInfo
from kautopsy.model.errors import UnreadableError

_START = b"OSRELEASE="
_LONGEST = 8192
"""VMCOREINFO_BYTES was a page of 4 KiB at most, and is PAGE_SIZE."""
_CHUNK = 1 << 20
_UTS_BYTES = 1024
"""More than a ``struct uts_namespace`` up to the end of its ``name``."""
# Enough for drgn to open a file, and for libkdumpfile, which reads not even physical memory without
# a version it can parse and, of x86-64, the levels of its page tables. None is used to translate.
_NOTHING_KNOWN = """\
OSRELEASE=6.1.0
PAGESIZE=4096
SYMBOL(swapper_pg_dir)=1
KERNELOFFSET=0
NUMBER(pgtable_l5_enabled)=0
"""

Opener = Callable[[str], drgn.Program]
"""The dump as a program that is told this VMCOREINFO; may fail with anything."""


def find_vmcoreinfo(path: Path, open_with: Opener) -> VmcoreInfo | None:
    """The VMCOREINFO of the kernel whose memory ``path`` holds, or None.

    Memory holds copies too: of kernels that ran before, of files. Right is the one by which
    ``init_uts_ns`` is found, with the same release in it.
    """
    tried: set[str] = set()
    for text in _texts(path, open_with(_NOTHING_KNOWN)):
        if text not in tried and _leads_to_its_kernel(VmcoreInfo(text), open_with):
            return VmcoreInfo(text)
        tried.add(text)
    return None


def _texts(path: Path, memory: drgn.Program) -> Iterator[str]:
    try:
        ranges = held_ranges(path)
    except UnreadableError:
        return
    for low, high in ranges:
        for at in range(low, high, _CHUNK):
            try:
                chunk = memory.read(at, min(_CHUNK + _LONGEST, high - at), physical=True)
            except Exception:  # libkdumpfile's failures arrive as bare Exception
                continue
            found = chunk.find(_START)
            while 0 <= found < _CHUNK:
                text = chunk[found : found + _LONGEST].partition(b"\0")[0]
                if b"\nSYMBOL(init_uts_ns)=" in text:
                    yield text.decode("utf-8", "replace")
                found = chunk.find(_START, found + len(_START))


def _leads_to_its_kernel(info: VmcoreInfo, open_with: Opener) -> bool:
    release = info.release or ""
    try:
        address = int(info.get("SYMBOL(init_uts_ns)") or "", 16)
        names = open_with(info.text).read(address, _UTS_BYTES)
    except Exception:  # of drgn and libkdumpfile: a text that leads nowhere
        return False
    return f"\0{release}\0".encode() in names
