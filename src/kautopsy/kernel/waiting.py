"""The tables of locks in use and of the waits-for graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from drgn import Program

from kautopsy.kernel.locks import Locks, who
from kautopsy.kernel.table import Column, table
from kautopsy.kernel.waits import Wait


class LockRow(msgspec.Struct, frozen=True):
    """One lock that somebody waits for."""

    kind: Annotated[str, Column("mutex, rwsem, semaphore, completion ...")]
    address: Annotated[int, Column("of the lock", unit="address")]
    name: Annotated[str, Column("its symbol, or the slab cache it lies in")]
    owner: Annotated[int | None, Column("pid of who holds it or owes it")]
    owner_comm: Annotated[str, Column("name of the owner")]
    certainty: Annotated[float, Column("1 read from the lock, less where inferred")]
    how: Annotated[str, Column("how the owner is known")]
    waiters: Annotated[int, Column("tasks in its queue")]
    oldest: Annotated[int, Column("longest wait, since the waiter last ran", unit="ns")]


@table
def locks(program: Program) -> Iterator[LockRow]:
    """Sleeping locks and completions that somebody waits for, with their owners."""
    graph = Locks(program)
    seen: dict[tuple[str, int], list[Wait]] = {}
    for wait in graph.waits:
        if wait.lock is not None:
            seen.setdefault((wait.kind.value, wait.lock), []).append(wait)
    owners = {(edge.wait.kind.value, edge.wait.lock): edge.owner for edge in graph.edges}
    for (kind, lock), waiting in seen.items():
        owner = owners.get((kind, lock))
        pid, comm = (None, "") if owner is None else who(graph.stacks, owner.task)
        yield LockRow(
            kind,
            lock,
            graph.name_of(lock),
            pid,
            comm,
            0.0 if owner is None else owner.certainty,
            "" if owner is None else owner.how,
            len(waiting),
            max(wait.age for wait in waiting),
        )


class WaitsForRow(msgspec.Struct, frozen=True):
    """One edge of the waits-for graph."""

    waiter: Annotated[int, Column("pid")]
    waiter_comm: Annotated[str, Column("name of the waiter")]
    owner: Annotated[int, Column("pid")]
    owner_comm: Annotated[str, Column("name of the owner")]
    kind: Annotated[str, Column("of the lock between them")]
    lock: Annotated[int | None, Column("address of the lock", unit="address")]
    certainty: Annotated[float, Column("that the owner holds it")]
    age: Annotated[int, Column("of the wait", unit="ns")]


@table
def waits_for(program: Program) -> Iterator[WaitsForRow]:
    """The waits-for graph between tasks."""
    graph = Locks(program)
    for edge in graph.edges:
        owner, owner_comm = who(graph.stacks, edge.owner.task)
        yield WaitsForRow(
            edge.wait.pid,
            edge.wait.comm,
            owner,
            owner_comm,
            edge.wait.kind.value,
            edge.wait.lock,
            edge.owner.certainty,
            edge.wait.age,
        )
