"""Differences that are understood: who is right, and why.

A rule covers rows of one command. Where crash is wrong, or cannot do it, the row does not count;
where both are right and only say it differently, or crash is right, the row counts as it is. That
crash is wrong is not ours to say: a rule that says so names what proves it, row by row, from a
source that is neither program (:mod:`tests.shell.parity.judge`). A row that it does not prove
counts against us.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from tests.shell.parity.compare import Difference, Row
from tests.shell.parity.judge import Judge

Proof = Callable[[Judge, Difference], bool]


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
    :param proof: what must hold of the row, where kautopsy is said to be right
    """

    line: str
    row: str
    right: Right
    why: str
    kernels: tuple[str, ...] = ()
    proof: Proof | None = None

    def covers(self, line: str, difference: Difference, series: str, judge: Judge) -> bool:
        """Whether it explains a difference."""
        if self.kernels and series not in self.kernels:
            return False
        if not re.search(self.line, line):
            return False
        texts = (" ".join(difference.crash), " ".join(difference.own))
        if not any(text and re.search(self.row, text) for text in texts):
            return False
        try:
            return self.proof is None or self.proof(judge, difference)
        except LookupError:  # what would prove it is not there
            return False


def _suffix(_judge: Judge, one: Difference) -> bool:
    """The rows are the same but for what the compiler added to a name."""
    cut = re.compile(r"\.(?:isra|part|constprop)\.\d+.*$")

    def bare(row: Row) -> list[str]:
        fields = list(row)
        while fields and cut.search(fields[-1]):
            fields[-1] = cut.sub("", fields[-1])
        return fields

    return bare(one.crash) == bare(one.own)


def _letter(_judge: Judge, one: Difference) -> bool:
    """The rows are the same, but crash has no letter."""
    return [re.sub(r"^\(\w\)$", "(?)", field) for field in one.own] == list(one.crash)


def _no_modules(_judge: Judge, one: Difference) -> bool:
    return not one.crash


RULES: tuple[Rule, ...] = (
    Rule("^sys$", "^UPTIME:", Right.OWN, "crash takes HZ for 1000 where the kernel has 250: by its "
         "log and its own /proc/uptime the guest lived shorter", ("6.12", "7.2"), Judge.uptime),
    Rule("^ps -t", "^RUN TIME:", Right.OWN, "as the uptime: the guest did not live so long",
         ("6.12", "7.2"), Judge.uptime),
    Rule("^mach$", "^HZ:", Right.OWN, "tick_nsec is that of another HZ", ("6.12", "7.2"),
         Judge.hertz),
    Rule("^log -T", "", Right.OWN, "crash's wrong uptime shifts the time of boot (9.0.2: into "
         "1969): the kernel told the time when it set its clock", ("6.12", "7.2"), Judge.stamp),
    Rule("^timer", "^TIMER_BASES", Right.OWN, "the bases since 6.9 are LOCAL, GLOBAL, DEF "
         "(include/linux/timer.h)", ("6.12", "7.2"), Judge.timer_base),
    Rule("^timer( -C.*)?$", "", Right.OWN, "timers that drgn finds on the wheels with DWARF", (),
         Judge.timer),
    Rule("^timer -r", "", Right.OWN, "9.0.2 does not know how 7.2 keeps a timer's two times: ours "
         "are those of its hrtimer by DWARF", ("7.2",), Judge.hrtimer),
    Rule("^kmem -i", "SWAP", Right.OWN, "9.0.2 leaves swap out: total_swap_pages is 0", ("7.2",),
         Judge.no_swap),
    Rule("^kmem -V", "NUMA", Right.OWN, "9.0.2 leaves vm_numa_event[] out", ("7.2",),
         Judge.numa_event),
    Rule("^(sys|mach)$", "^(MEMORY|MEMORY SIZE:?)", Right.BOTH, "crash counts what the memory map "
         "spans, rounded; kautopsy what the kernel manages"),
    Rule("^sys$", "^KERNEL:", Right.BOTH, "kautopsy needs no vmlinux"),
    Rule("^kmem -v", "", Right.OWN, "since 6.9 the areas are kept in several vmap_nodes, of which "
         "crash reads one", ("6.12", "7.2"), Judge.area),
    Rule("^mod$", "", Right.OWN, "9.0.2 cannot read this kernel's modules; /proc/modules of the "
         "guest had these", ("7.2",), Judge.modules),
    Rule("^sym -[mM]", "", Right.OWN, "9.0.2 cannot read this kernel's modules (--no_modules)",
         ("7.2",), _no_modules),
    Rule("bt", "^#", Right.OWN, "crash goes on with what earlier calls left on the stack: its "
         "frames are not in drgn's unwinding with DWARF, ours are", (), Judge.frame),
    Rule("^bt -n idle", "", Right.OWN, "-n idle leaves idle tasks' stacks out, says help bt; "
         "crash prints them", (), Judge.idle_row),
    Rule("^bt -E", "", Right.BOTH, "crash asks for exception stacks that this kernel does not map"),
    Rule("^(bt -l|dis -l|sym|sys -c)", r"\.[chS]: \d+", Right.CRASH, "source lines take DWARF"),
    Rule("^bt -[tTF]|^rd -[sS]", r"\.LC|kallsyms_", Right.BOTH, "an address outside every symbol: "
         "the one before it differs between vmlinux and kallsyms"),
    Rule("^dev$", "fops", Right.OWN, "crash shows one disk of a driver, kautopsy all", (),
         Judge.disk),
    Rule("^kmem -i", "^COMMITTED", Right.OWN, "the CPUs' parts of a percpu_counter belong to it",
         (), Judge.committed),
    Rule("^sym -[mMl]", "isra|part|constprop", Right.OWN, "crash cuts the suffixes of names", (),
         _suffix),
    Rule("^sym -[mMl]", r"\(\?\)", Right.OWN, "crash does not know the letters of modules' data",
         (), _letter),
    Rule("^sym", r"\([tT]\)", Right.OWN, "what crash gives as text lies outside the kernel's text",
         ("7.2",), Judge.elf_letter),
    Rule("^irq$", "unused", Right.OWN, "crash ends before the last: the kernel's log says nr_irqs",
         (), Judge.irq_number),
    Rule("^kmem -n", "memory\\d+", Right.OWN, "the blocks are ONLINE (memory_block.state)", (),
         Judge.online),
    Rule("^kmem -[fF]", "^[0-3] (DMA|Normal)", Right.BOTH, "START_MAPNR: crash counts from the "
         "first page structure, kautopsy shows the page frame"),
    Rule("^search", "", Right.OWN, "crash reads the kernel's image where it would be without "
         "KASLR too: no page table maps these addresses", (), Judge.unmapped),
    Rule("^union -o", "", Right.OWN, "crash looks the members of inner structures up by name in "
         "the outer one, and finds none, or another", (), Judge.member_offset),
    Rule("^whatis -r [0-9-]+$", "", Right.OWN, "crash leaves types out that DWARF has with this "
         "size", (), Judge.type_size),
    Rule("^sym -l", r"\([Dd]\)", Right.CRASH, "kallsyms calls all per-CPU symbols absolute, also "
         "local ones"),
    Rule("^whatis", "bindings|core::|&|alloc::|kernel::", Right.CRASH, "Rust's types are in DWARF "
         "only, not in BTF"),
    Rule("^whatis -m", "", Right.BOTH, "kautopsy also looks into unions within a structure"),
    Rule("^mod -D", "", Right.BOTH, "nothing was loaded: kautopsy says so"),
)  # fmt: skip
