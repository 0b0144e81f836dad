"""The table of CPUs that spin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from drgn import Program

from kautopsy.kernel.cpus import cpus
from kautopsy.kernel.locks import Locks
from kautopsy.kernel.spins import find_spins
from kautopsy.kernel.table import Column, table
from kautopsy.model.base import Unreadable


class SpinRow(msgspec.Struct, frozen=True):
    """One CPU that spins on a lock."""

    cpu: Annotated[int, Column("number")]
    pid: Annotated[int | Unreadable, Column("of the task on it")]
    comm: Annotated[str, Column("of the task on it")]
    lock: Annotated[int | None, Column("address, where a register holds it", unit="address")]
    name: Annotated[str, Column("symbol or slab cache of the lock")]
    age: Annotated[int, Column("since the task got the CPU: spins no longer", unit="ns")]


@table
def spinlocks(program: Program) -> Iterator[SpinRow]:
    """CPUs that spin on a spinlock or rwlock."""
    spins = list(find_spins(program, tuple(cpus(program))))
    graph = Locks(program) if spins else None
    for spin in spins:
        name = "" if spin.lock is None or graph is None else graph.name_of(spin.lock)
        yield SpinRow(spin.cpu.cpu, spin.cpu.pid, spin.cpu.comm, spin.lock, name, spin.age)
