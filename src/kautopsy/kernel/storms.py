"""CPUs that get nothing done because interrupts come without end.

An interrupt that raises itself again leaves its CPU an instruction between two of them: what the
CPU "was doing" is then whoever it interrupted, and innocent. Two kinds say who they are:

* an hrtimer that rearms itself in the past, or a nanosecond on: ``hrtimer_interrupt()`` tries three
  times to get ahead of it, then counts ``nr_hangs`` of ``struct hrtimer_cpu_base``, sets
  ``hang_detected`` and lets the CPU breathe for as long as it took (kernel/time/hrtimer.c);
* an ``irq_work`` that queues itself: it stands in the CPU's ``raised_list``, which the interrupt
  empties first of all (kernel/irq_work.c), and the interrupts are counted in ``irq_stat``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drgn import Object, Program
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.rbtree import rbtree_inorder_for_each_entry
from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns

from kautopsy.kernel.cpus import Cpu
from kautopsy.kernel.globals import variable
from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.kernel.stacks import locate
from kautopsy.model.crash import Frame

_HANGS_A_SECOND = 50
"""Of uptime. A machine whose host steals its CPUs counts a few an hour."""
_WORKS_A_SECOND = 2_000
_MAX_TIMERS = 64


@dataclass(frozen=True)
class Storm:
    """What one CPU drowns in.

    :param what: ``timer interrupts`` or ``irq works``; '' for one timer interrupt that does not end
    :param count: of interrupts of the kind since boot
    :param a_second: the same, by the second of uptime
    :param function: that is called again and again, as far as it is known
    """

    what: str
    count: int
    a_second: int
    function: Frame | None


def storm_on(program: Program, cpu: Cpu) -> Storm | None:
    """The storm that ``cpu`` is in, None if it is in none or the dump cannot tell."""
    try:
        seconds = max(1, int(ktime_get_coarse_ns(program)) // 1_000_000_000)
    except READ_ERRORS:
        return None
    for look in (_of_irq_work, _of_hrtimers):
        try:
            found = look(program, cpu, seconds)
        except READ_ERRORS:
            continue
        if found is not None:
            return found
    return None


def _irq_works(program: Program, cpu: int) -> int:
    """Interrupts for irq works since boot."""
    counts = per_cpu(variable(program, "irq_stat", "irq_cpustat_t"), cpu)
    try:
        return int(counts.apic_irq_work_irqs)
    except AttributeError:
        # One array of them in 7.2.
        return int(counts.counts[program.constant("IRQ_COUNT_IRQ_WORK")])


def _of_hrtimers(program: Program, cpu: Cpu, seconds: int) -> Storm | None:
    base = per_cpu(variable(program, "hrtimer_bases", "struct hrtimer_cpu_base"), cpu.cpu)
    hangs = base.hang_detected and int(base.nr_hangs) >= _HANGS_A_SECOND * seconds
    if not hangs and not (cpu.tick_hangs and cpu.context == "irq"):
        return None
    at = None
    for timer in (*(clock.running for clock in base.clock_base), base.next_timer):
        if timer and at is None:
            frame = locate(program, int(timer.function))
            at = None if (frame.function or "").startswith("tick_") else frame
    count = int(base.nr_events)
    return Storm(
        "timer interrupts" if hangs else "",
        count,
        count // seconds,
        at or _nearest(program, base),
    )


def _nearest(program: Program, base: Object) -> Frame | None:
    """The callback of the timer that is due first, the tick's own aside."""
    nearest: tuple[int, Frame] | None = None
    for clock in base.clock_base:
        offset = int(clock.offset)
        for timer in _timers(clock):
            due = int(timer.node.expires) - offset
            if nearest is not None and due >= nearest[0]:
                break  # they are in order
            frame = locate(program, int(timer.function))
            if not (frame.function or "").startswith("tick_"):
                nearest = due, frame
                break
    return None if nearest is None else nearest[1]


def _timers(clock: Object) -> Iterator[Object]:
    head = clock.active.rb_root.rb_root.address_of_()
    for number, timer in enumerate(
        rbtree_inorder_for_each_entry("struct hrtimer", head, "node.node")
    ):
        if number >= _MAX_TIMERS:
            return
        yield timer


def _of_irq_work(program: Program, cpu: Cpu, seconds: int) -> Storm | None:
    count = _irq_works(program, cpu.cpu)
    first = per_cpu(variable(program, "raised_list", "struct llist_head"), cpu.cpu).first
    if not first or count < _WORKS_A_SECOND * seconds:
        return None
    # struct irq_work begins with its llist_node on every kernel; as a member it is of a struct
    # of its own since 7a9f50a05843 ("irq_work: Cleanup", v5.11).
    work = Object(program, "struct irq_work *", int(first))
    return Storm("irq works", count, count // seconds, locate(program, int(work.func)))
