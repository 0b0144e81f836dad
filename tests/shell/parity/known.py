"""Differences that are understood: who is right, and why.

A rule covers rows of one command. Where crash is wrong, or cannot do it, the row does not count;
where both are right and only say it differently, the row counts as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from tests.shell.parity.compare import Difference


class Right(StrEnum):
    """Who is."""

    OWN = "kautopsy"
    CRASH = "crash"
    BOTH = "both"


@dataclass(frozen=True)
class Rule:
    """One understood difference.

    :param line: the commands it is about
    :param row: the rows of either side, the fields joined by a space; empty for all of the command
    :param kernels: series it is seen on, empty for all
    """

    line: str
    row: str
    right: Right
    why: str
    kernels: tuple[str, ...] = ()

    def covers(self, line: str, difference: Difference, series: str) -> bool:
        """Whether it explains a difference."""
        if self.kernels and series not in self.kernels:
            return False
        if not re.search(self.line, line):
            return False
        texts = (" ".join(difference.crash), " ".join(difference.own))
        return any(text and re.search(self.row, text) for text in texts)


RULES: tuple[Rule, ...] = (
    Rule("^sys$", "^UPTIME:", Right.OWN, "crash 8.0.6 takes HZ for 1000 where the kernel has 250 "
         "(its config says so): the guest was up for 7 seconds", ("6.12",)),
    Rule("^mach$", "^HZ:", Right.OWN, "the kernel's CONFIG_HZ is 250", ("6.12",)),
    Rule("^log -T", "", Right.OWN, "the same wrong uptime shifts the time of boot; 9.0.2 "
         "puts it into 1969", ("6.12", "7.2")),
    Rule("^timer", "", Right.OWN, "the clocks are read with the wrong HZ, and the bases since 6.9 "
         "are LOCAL, GLOBAL, DEF (include/linux/timer.h)", ("6.12", "7.2")),
    Rule("^(sys|mach)$", "^(MEMORY|MEMORY SIZE:?)", Right.BOTH, "crash counts what the memory map "
         "spans, rounded; kautopsy what the kernel manages"),
    Rule("^sys$", "^KERNEL:", Right.BOTH, "kautopsy needs no vmlinux"),
    Rule("^kmem -v", "", Right.OWN, "since 6.9 the areas are kept in several vmap_nodes, of which "
         "crash reads one", ("6.12", "7.2")),
    Rule("^(mod|sym -[mM])", "", Right.OWN, "9.0.2 cannot read this kernel's modules", ("7.2",)),
    Rule("bt", "", Right.OWN, "crash 9.0.2 goes on with what earlier calls left on the stack; the "
         "unwind tables (ORC) lead to the entry code", ("7.2",)),
    Rule("^bt -n idle", "", Right.OWN, "-n idle leaves idle tasks' stacks out, says help bt; "
         "crash prints them"),
    Rule("^bt -E", "", Right.BOTH, "crash asks for exception stacks that this kernel does not map"),
    Rule("^(bt -l|dis -l|sym|sys -c)", r"\.[ch]: \d+", Right.CRASH, "source lines take DWARF"),
    Rule("^bt -[tTF]|^rd -[sS]", r"\.LC|kallsyms_", Right.BOTH, "an address outside every symbol: "
         "the one before it differs between vmlinux and kallsyms"),
    Rule("^dev$", "lo_fops", Right.OWN, "crash shows one disk of a driver, kautopsy all"),
    Rule("^irq -s", "edge|fasteoi", Right.CRASH, "the flow handler's name is missing behind the "
         "chip's"),
    Rule("^kmem -i", "^COMMITTED", Right.OWN, "the CPUs' parts of a percpu_counter belong to it"),
    Rule("^sym -[mM]", "isra|part|constprop", Right.OWN, "crash cuts the suffixes of names"),
    Rule("^kmem -n", "memory\\d+", Right.OWN, "the blocks are ONLINE (memory_block.state)"),
    Rule("^kmem -f", "^[0-3] (DMA|Normal)", Right.BOTH, "START_MAPNR: crash counts from the first "
         "page structure, kautopsy shows the page frame"),
    Rule("^mount -[fi]|^mount proc", "", Right.OWN, "crash cannot since Linux 3.13 and 2.6.30"),
    Rule("^whatis -m", "", Right.BOTH, "kautopsy also looks into unions within a structure"),
    Rule("^mod -D", "", Right.BOTH, "nothing was loaded: kautopsy says so"),
)  # fmt: skip
