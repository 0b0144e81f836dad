"""Interrupts and softirqs: how often each came, on which CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from drgn import Object, Program
from drgn.helpers.linux.cpumask import cpumask_to_cpulist, for_each_present_cpu
from drgn.helpers.linux.irq import (
    for_each_irq_desc,
    irq_desc_action_names,
    irq_desc_affinity_mask,
    irq_desc_chip_name,
    irq_desc_kstat_cpu,
)
from drgn.helpers.linux.percpu import per_cpu

from kautopsy.kernel.globals import variable
from kautopsy.kernel.reading import readable, text
from kautopsy.kernel.table import Column, table
from kautopsy.model.base import Unreadable


class Interrupt(msgspec.Struct, frozen=True):
    """One interrupt line."""

    irq: Annotated[int, Column("number")]
    actions: Annotated[str | Unreadable, Column("names of its handlers, comma-separated")]
    chip: Annotated[str | Unreadable, Column("interrupt controller")]
    count: Annotated[int | Unreadable, Column("on all CPUs since boot")]
    affinity: Annotated[str | Unreadable, Column("CPUs it may go to")]


@table
def interrupts(program: Program) -> Iterator[Interrupt]:
    """Interrupt lines that have a handler."""
    cpus = list(for_each_present_cpu(program))
    for number, desc in for_each_irq_desc(program):
        if desc.action:
            yield _row(number, desc, cpus)


def _row(number: int, desc: Object, cpus: list[int]) -> Interrupt:
    return Interrupt(
        irq=number,
        actions=readable(lambda: ", ".join(text(name) for name in irq_desc_action_names(desc))),
        chip=readable(lambda: text(irq_desc_chip_name(desc) or b"")),
        count=readable(lambda: sum(int(irq_desc_kstat_cpu(desc, cpu)) for cpu in cpus)),
        affinity=readable(lambda: cpumask_to_cpulist(irq_desc_affinity_mask(desc))),
    )


class Softirq(msgspec.Struct, frozen=True):
    """One kind of softirq on one CPU."""

    cpu: Annotated[int, Column("number")]
    softirq: Annotated[str, Column("HI, TIMER, NET_TX, NET_RX, BLOCK, IRQ_POLL, TASKLET, ...")]
    count: Annotated[int | Unreadable, Column("since boot")]
    pending: Annotated[bool | Unreadable, Column("raised and not yet run")]


# The enum of include/linux/interrupt.h, HI_SOFTIRQ first.
_SOFTIRQS = (
    "HI",
    "TIMER",
    "NET_TX",
    "NET_RX",
    "BLOCK",
    "IRQ_POLL",
    "TASKLET",
    "SCHED",
    "HRTIMER",
    "RCU",
)


@table
def softirqs(program: Program) -> Iterator[Softirq]:
    """Softirqs by kind and CPU."""
    for cpu in for_each_present_cpu(program):
        pending = _pending(program, cpu)
        for number, name in enumerate(_SOFTIRQS):
            yield Softirq(
                cpu=cpu,
                softirq=name,
                count=_count(program, cpu, number),
                pending=pending if isinstance(pending, Unreadable) else bool(pending >> number & 1),
            )


def _count(program: Program, cpu: int, number: int) -> int | Unreadable:
    def read() -> int:
        counts = per_cpu(variable(program, "kstat", "struct kernel_stat"), cpu).softirqs
        return int(counts[number])

    return readable(read)


def _pending(program: Program, cpu: int) -> int | Unreadable:
    def read() -> int:
        try:
            # Since 74b7b3a9ab0d ("x86/softirq: Move softirq_pending to percpu hot section", v6.15).
            return int(per_cpu(program["__softirq_pending"], cpu))
        except LookupError:
            pass
        try:
            # Since 7443b296e699 ("x86/percpu: Move softirq_pending", v6.2).
            return int(per_cpu(program["pcpu_hot"], cpu).softirq_pending)
        except (LookupError, AttributeError):
            stat = per_cpu(variable(program, "irq_stat", "irq_cpustat_t"), cpu)
            return int(stat.member_("__softirq_pending"))

    return readable(read)
