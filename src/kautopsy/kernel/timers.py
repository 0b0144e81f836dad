"""Timers that are armed, and those long overdue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from drgn import Object, Program
from drgn.helpers.linux.cpumask import for_each_present_cpu
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.timer import timer_base_for_each, timer_base_names

from kautopsy.kernel.globals import ticks_per_second, variable
from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.kernel.stacks import locate
from kautopsy.kernel.table import Column, table


class Timer(msgspec.Struct, frozen=True):
    """One armed timer of the timer wheel."""

    cpu: Annotated[int, Column("whose wheel it is in")]
    base: Annotated[str, Column("standard, or deferrable: does not wake an idle CPU")]
    address: Annotated[int, Column("of the timer_list", unit="address")]
    function: Annotated[str, Column("to be called")]
    module: Annotated[str, Column("of the function, '' for the kernel itself")]
    due: Annotated[int, Column("in the future; negative: overdue", unit="ns")]


@table
def timers(program: Program) -> Iterator[Timer]:
    """Armed timers (timer_list), by CPU."""
    jiffies = int(variable(program, "jiffies_64", "unsigned long"))
    tick = 1_000_000_000 // ticks_per_second(program)
    names = timer_base_names(program)
    for cpu in for_each_present_cpu(program):
        bases = per_cpu(program["timer_bases"], cpu)
        for name, base in zip(names, bases, strict=False):
            try:
                for timer in timer_base_for_each(base.address_of_()):
                    yield _row(program, timer, cpu, name, jiffies, tick)
            except READ_ERRORS:
                continue


def _row(program: Program, timer: Object, cpu: int, base: str, jiffies: int, tick: int) -> Timer:
    where = locate(program, int(timer.function))
    ticks = (int(timer.expires) - jiffies) % (1 << 64)
    if ticks >= 1 << 63:
        ticks -= 1 << 64
    return Timer(
        cpu=cpu,
        base=base,
        address=int(timer),
        function=where.function or f"{int(timer.function):#x}",
        module=where.module or "",
        due=ticks * tick,
    )
