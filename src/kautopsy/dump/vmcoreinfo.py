"""VMCOREINFO: the text in which a kernel tells its dump's readers where things are.

Lines ``KEY=value``, written by ``crash_save_vmcoreinfo_init()`` (kernel/crash_core.c, since 6.9
kernel/vmcore_info.c). ``OSRELEASE`` is always there, ``BUILD-ID`` since 5.9
(0935288c6e00 "kdump: append kernel build-id string to VMCOREINFO").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

_TELLING = {
    "NUMBER(kimage_voffset)": "aarch64",
    "SYMBOL(init_top_pgt)": "x86_64",
    "NUMBER(phys_ram_base)": "riscv64",
}
_BUILD_ID = re.compile(r"[0-9a-f]{16,64}")


@dataclass(frozen=True)
class VmcoreInfo:
    """The text, and what readers ask it for."""

    text: str

    @classmethod
    def decode(cls, raw: bytes) -> VmcoreInfo:
        """From the note's bytes, which may be padded with NULs."""
        return cls(raw.rstrip(b"\0").decode("utf-8", "replace"))

    @cached_property
    def _values(self) -> dict[str, str]:
        return {
            key: value
            for key, equals, value in (line.partition("=") for line in self.text.splitlines())
            if equals
        }

    def get(self, key: str) -> str | None:
        """The value of ``key`` as it is written: ``SYMBOL(_stext)`` is hex without ``0x``."""
        return self._values.get(key)

    @property
    def release(self) -> str | None:
        """``uname -r`` of the kernel."""
        return self.get("OSRELEASE") or None

    @property
    def build_id(self) -> str | None:
        """Lower-case hex, or None before 5.9."""
        value = (self.get("BUILD-ID") or "").lower()
        return value if _BUILD_ID.fullmatch(value) else None

    @property
    def page_size(self) -> int | None:
        """``PAGESIZE``, bytes."""
        value = self.get("PAGESIZE") or ""
        return int(value) if value.isdecimal() else None

    @property
    def machine(self) -> str | None:
        """``uname -m``, from what only one architecture's ``arch_crash_save_vmcoreinfo()`` writes.

        Those of arch/arm64, arch/riscv and arch/x86; None for others.
        """
        for key, machine in _TELLING.items():
            if key in self._values:
                return machine
        return None

    @property
    def kaslr_offset(self) -> int | None:
        """``KERNELOFFSET``, bytes, absent where KASLR is not configured."""
        value = self.get("KERNELOFFSET")
        try:
            return int(value, 16) if value else None
        except ValueError:
            return None
