"""Taints: what makes this kernel other than the one its makers built, or says that it is broken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from drgn import Program

from kautopsy.kernel.globals import variable
from kautopsy.kernel.table import Column, table

# Documentation/admin-guide/tainted-kernels.rst, bit 0 first.
_MEANINGS = (
    ("P", "a proprietary module was loaded"),
    ("F", "a module was loaded by force"),
    ("S", "the hardware or its settings are out of specification"),
    ("R", "a module was unloaded by force"),
    ("M", "the processor reported a machine check"),
    ("B", "a bad page was found"),
    ("U", "a program in user space asked for this taint"),
    ("D", "the kernel died recently: an oops or a BUG"),
    ("A", "an ACPI table was overridden"),
    ("W", "the kernel warned"),
    ("C", "a driver from staging was loaded"),
    ("I", "a bug of the firmware is worked around"),
    ("O", "a module from outside the kernel's tree was loaded"),
    ("E", "an unsigned module was loaded"),
    ("L", "a soft lockup happened"),
    ("K", "the kernel was live-patched"),
    ("X", "the distribution's own mark"),
    ("T", "the kernel was built with the struct randomisation plugin"),
    ("N", "an in-kernel test was run"),
    ("J", "user space wrote to a firmware interface (fwctl)"),
)


class Taint(msgspec.Struct, frozen=True):
    """One taint that is set."""

    letter: Annotated[str, Column("as in Tainted: of an oops")]
    bit: Annotated[int, Column("of tainted_mask")]
    meaning: Annotated[str, Column("in words")]


@table
def taints(program: Program) -> Iterator[Taint]:
    """Taints that are set."""
    mask = int(variable(program, "tainted_mask", "unsigned long"))
    for bit, (letter, meaning) in enumerate(_MEANINGS):
        if mask >> bit & 1:
            yield Taint(letter, bit, meaning)
