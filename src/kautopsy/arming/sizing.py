"""How much memory a capture kernel needs: an estimate of what it will hold, and the table.

The estimate is kdumpctl's (kernel image, loaded modules, three times the initrd, runtime) with a
runtime of 24 MiB where kdumpctl counts 16: a Debian 6.1 kernel (40 MiB) with an initrd of 6.9 MiB
runs out of memory with 64, 72 and 80 MiB and saves its dump with 88; Debian's 5.10 and 6.12, with
estimates of 79 and 89 MiB, save it with 83 and 93 and run out with 63 and 73. The initrd counts
three times for itself and what it unpacks to, which is a low guess for strong compression.
"""

from __future__ import annotations

from dataclasses import dataclass

from kautopsy.arming.distribution import family_of
from kautopsy.arming.sizes import MIB, in_range, mib
from kautopsy.model.host import HostFacts

_RUNTIME = 24 * MIB
_PAGES_64K = 100 * MIB
# LUKS2's default argon2id uses up to 1 GiB to open a volume; its header may say less.
_LUKS = 1024 * MIB
_ENCRYPTED_MEMORY = 64 * MIB
_MLX5 = 150 * MIB
_STEP = 32 * MIB


@dataclass(frozen=True)
class Part:
    """One part of the estimate, in bytes; ``why`` says where the number is from."""

    what: str
    count: int
    why: str


@dataclass(frozen=True)
class Sizing:
    """How much is needed.

    :ivar parts: of the estimate; None if the kernel or its initrd could not be seen
    :ivar table: what the distribution recommends for this much RAM, in bytes
    """

    parts: tuple[Part, ...] | None
    adders: tuple[Part, ...]
    table: int | None

    @property
    def estimate(self) -> int | None:
        """Below this the capture kernel runs out of memory."""
        return None if self.parts is None else sum(part.count for part in self.parts)

    @property
    def recommended(self) -> int:
        """The estimate and a quarter, or the table if that is more; at least 192 MiB."""
        wanted = max(self.table or 0, (self.estimate or 0) * 5 // 4, 192 * MIB)
        wanted += sum(part.count for part in self.adders)
        return -(-wanted // _STEP) * _STEP

    def explained(self) -> str:
        """The sum in words."""
        if self.parts is None:
            return ""
        sums = " + ".join(f"{part.what} {mib(part.count)}" for part in self.parts if part.count)
        return f"{sums} = {mib(self.estimate or 0)}"


def sizing(facts: HostFacts) -> Sizing:
    """What this machine's capture kernel needs."""
    table = family_of(facts.os).table(facts)
    ram = facts.memory.ram
    row = in_range(table, ram) if table and ram else None
    return Sizing(parts=_parts(facts), adders=adders(facts), table=row or None)


def _parts(facts: HostFacts) -> tuple[Part, ...] | None:
    kernel, initrd = facts.memory.kernel, facts.image.initrd
    if kernel is None or initrd is None:
        return None
    parts = [
        Part("kernel", kernel, "from its code to the end of its bss in /proc/iomem"),
        Part("initrd", 3 * initrd.size, f"three times {initrd.path}"),
        Part("modules", facts.image.module_bytes, "their loaded sizes in /proc/modules"),
        Part("runtime", _RUNTIME, "memory map, slabs, makedumpfile"),
    ]
    return tuple(parts)


def adders(facts: HostFacts) -> tuple[Part, ...]:
    """What this machine needs on top of what a table says (kdump-lib.sh, and LUKS2's header)."""
    found = []
    if facts.memory.encrypted:
        found.append(Part("memory encryption", _ENCRYPTED_MEMORY, "bounce buffers of SEV or SME"))
    if facts.page_size == 65536:
        found.append(Part("64 KiB pages", _PAGES_64K, "kdump-utils' allowance"))
    if facts.machine == "aarch64" and "mlx5_core" in (facts.modules or ()):
        found.append(Part("mlx5_core", _MLX5, "its queues"))
    if facts.target.encrypted and not facts.dm_crypt_keys:
        found.append(Part("LUKS", _LUKS, "argon2 as cryptsetup sets it up; luksDump shows yours"))
    return tuple(found)
