"""RCU: whether a grace period is under way, since when, and who holds it up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from drgn import Object, Program, cast, container_of

from kautopsy.kernel.globals import ticks_per_second, variable
from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.kernel.table import Column, table

_STATE_MASK = 3  # RCU_SEQ_STATE_MASK (kernel/rcu/rcu.h)
_MAX_TASKS = 1000
_MAX_NODES = 4096


class GracePeriod(msgspec.Struct, frozen=True):
    """The current grace period of normal RCU."""

    sequence: Annotated[int, Column("rcu_state.gp_seq >> 2")]
    running: Annotated[bool, Column("one is under way")]
    age: Annotated[int, Column("since it began", unit="ns")]
    cpus: Annotated[str, Column("CPUs that have not passed a quiescent state, comma-separated")]
    readers: Annotated[str, Column("addresses of preempted readers' task_structs")]


@table
def rcu(program: Program) -> Iterator[GracePeriod]:
    """The grace period of RCU, and what it waits for."""
    state = variable(program, "rcu_state", "struct rcu_state")
    sequence = int(state.gp_seq)
    jiffies = int(variable(program, "jiffies_64", "unsigned long"))
    running = bool(sequence & _STATE_MASK)
    ticks = (jiffies - int(state.gp_start)) % (1 << 64) if running else 0
    cpus: list[int] = []
    readers: list[int] = []
    if running:
        for node in _leaves(program, state):
            mask, first = int(node.qsmask), int(node.grplo)
            cpus.extend(first + bit for bit in range(64) if mask >> bit & 1)
            readers.extend(_readers(node))
    yield GracePeriod(
        sequence=sequence >> 2,
        running=running,
        age=ticks * 1_000_000_000 // ticks_per_second(program) if ticks < 1 << 40 else 0,
        cpus=",".join(map(str, cpus)),
        readers=",".join(map(hex, readers)),
    )


def _leaves(program: Program, state: Object) -> Iterator[Object]:
    nodes = state.node
    used = int(variable(program, "rcu_num_nodes", "int"))
    levels = int(variable(program, "rcu_num_lvls", "int"))
    for index in range(min(used, _MAX_NODES)):
        node = nodes[index]
        if int(node.level) == levels - 1:
            yield node


def _readers(node: Object) -> Iterator[int]:
    """Tasks preempted inside the read-side critical sections that this grace period waits for."""
    try:
        entry = node.gp_tasks
    except AttributeError:
        return
    head = int(node.blkd_tasks.address_of_())
    for _ in range(_MAX_TASKS):
        if not entry or int(entry) == head:
            return
        try:
            yield int(
                container_of(
                    cast("struct list_head *", entry), "struct task_struct", "rcu_node_entry"
                )
            )
            entry = entry.next.read_()
        except READ_ERRORS:
            return
