"""Who is right, asked of neither: drgn with the vmlinux's DWARF, and the guest's own words.

It opens the dump as any user of drgn would, without a line of kautopsy's shell or engine.
"""

from __future__ import annotations

import re
from functools import cached_property

from drgn import FaultError, Object, Program, sizeof
from drgn.helpers.linux.block import for_each_disk
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.list import hlist_for_each_entry
from drgn.helpers.linux.mm import follow_phys, for_each_vmap_area
from drgn.helpers.linux.percpu import per_cpu, percpu_counter_sum
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.printk import get_printk_records
from drgn.helpers.linux.sched import idle_task
from tests.shell.parity.compare import Difference, Row

from kautopsy.lab.specimen import Specimen

_LATE_SECONDS = 600.0
"""The longest a guest lived on after it had told its uptime."""
_DRGN_ERRORS = (FaultError, LookupError, ValueError, AttributeError, TypeError)


class Judge:
    """The truth about one dump. Each method says whether it excuses kautopsy in a difference."""

    def __init__(self, specimen: Specimen) -> None:
        self._facts = specimen.facts
        self.program = Program()
        self.program.set_core_dump(specimen.vmcore)
        self.program.load_debug_info([str(specimen.vmlinux())])

    def look_at(self, crash: list[Row], own: list[Row]) -> None:
        """The whole outputs that the next differences are of."""
        self._own = set(own)
        self._own_frames = {frame for row in own if (frame := _frame(row)) is not None}
        self._own_declared = {row[1:] for row in own if row[0].startswith("[")}
        self._idle_rows: set[Row] = set()
        idle = False
        for row in crash:
            if row[0] == "PID:":
                idle = row[1] == "0"
            elif idle:
                self._idle_rows.add(row)

    # -- backtraces ------------------------------------------------------------------------------

    @cached_property
    def _frames(self) -> set[tuple[int, int]]:
        """(slot of the return address, or stack pointer; program counter) of every task."""
        found: set[tuple[int, int]] = set()
        tasks = [*for_each_task(self.program)]
        tasks += [idle_task(self.program, cpu) for cpu in for_each_online_cpu(self.program)]
        for task in tasks:
            try:
                trace = self.program.stack_trace(task)
            except _DRGN_ERRORS:
                continue
            for frame in trace:
                found |= {(frame.sp - 8, frame.pc), (frame.sp, frame.pc)}
        return found

    def frame(self, one: Difference) -> bool:
        """DWARF's unwinding has our frame; not crash's, or we have it elsewhere."""
        own, crash = _frame(one.own), _frame(one.crash)
        if (own is None and one.own) or (crash is None and one.crash):
            return False
        if own is None and crash is not None and not self._on_a_task_stack(crash[0]):
            return False  # of the NMI's and other stacks DWARF's unwinding of tasks tells nothing
        theirs = crash is None or crash not in self._frames or crash in self._own_frames
        return theirs and (own is None or own in self._frames)

    @cached_property
    def _stacks(self) -> list[range]:
        size = int(self.program["THREAD_SIZE"])
        tasks = [*for_each_task(self.program)]
        tasks += [idle_task(self.program, cpu) for cpu in for_each_online_cpu(self.program)]
        return [range(int(task.stack), int(task.stack) + size) for task in tasks]

    def _on_a_task_stack(self, slot: int) -> bool:
        return any(slot in stack for stack in self._stacks)

    def idle_row(self, one: Difference) -> bool:
        """Only crash has it, and it is of an idle task."""
        return not one.own and one.crash in self._idle_rows

    # -- clocks ----------------------------------------------------------------------------------

    def _alive(self, seconds: float) -> bool:
        """Whether the guest may have been up for so long when it died."""
        return (
            self._facts.uptime_seconds - 2 <= seconds < (self._facts.uptime_seconds + _LATE_SECONDS)
        )

    def uptime(self, one: Difference) -> bool:
        """The guest told its uptime just before it died: ours fits, crash's cannot."""
        own, crash = _clock(one.own), _clock(one.crash)
        if own is None or crash is None or not self._alive(own):
            return False
        # Both may fit a long life: then the kernel's own clock, the last line of the log, tells.
        last = max(record.timestamp for record in get_printk_records(self.program)) / 1e9
        return abs(own - last) <= 5 < abs(crash - last)

    def hertz(self, one: Difference) -> bool:
        """jiffies began at 300 seconds before 2^32 (INITIAL_JIFFIES): one HZ fits the uptime."""
        own, crash = (_number(row) for row in (one.own, one.crash))
        jiffies = int(self.program["jiffies_64"])

        def fits(hz: int) -> bool:
            return hz > 0 and self._alive((jiffies - (1 << 32) + 300 * hz) / hz)

        return fits(own) and not fits(crash)

    @cached_property
    def _booted(self) -> tuple[float, dict[str, list[float]]]:
        """When the kernel booted, by the line in which it set its clock; times of all lines."""
        told: dict[str, list[float]] = {}
        boot = 0.0
        for record in get_printk_records(self.program):
            for line in record.text.decode(errors="replace").split("\n"):
                told.setdefault(" ".join(line.split()), []).append(record.timestamp / 1e9)
                clock = re.search(r"setting system clock to .* \((\d+)\)", line)
                if clock is not None:
                    boot = float(clock[1]) - record.timestamp / 1e9
        return boot, told

    def stamp(self, one: Difference) -> bool:
        """``log -T``: of a line our time is that of boot plus the record's, crash's is not."""
        own, crash = _stamped(one.own), _stamped(one.crash)
        if own is None or crash is None or own[1] != crash[1]:
            return False
        boot, told = self._booted
        times = told.get(own[1], ())
        return any(abs(own[0] - boot - time) <= 2 < abs(crash[0] - boot - time) for time in times)

    # -- what is where ---------------------------------------------------------------------------

    def unmapped(self, one: Difference) -> bool:
        """``search``: crash alone found it, at an address that the kernel's page tables lack."""
        match = re.match(r"([0-9a-f]{16}):$", one.crash[0]) if one.crash else None
        if match is None or one.own:
            return False
        try:
            follow_phys(self.program["init_mm"].address_of_(), int(match[1], 16))
        except _DRGN_ERRORS:
            return True
        return False

    @cached_property
    def _areas(self) -> set[Row]:
        found: set[Row] = set()
        for area in for_each_vmap_area(self.program):
            start, end = int(area.va_start), int(area.va_end)
            where = (f"{start:016x}", "-", f"{end:016x}", str(end - start))
            found.add((f"{area.value_():016x}", f"{int(area.vm):016x}", *where))
        return found

    def area(self, one: Difference) -> bool:
        """``kmem -v``: crash lacks an area that is there."""
        return not one.crash and one.own in self._areas

    def disk(self, one: Difference) -> bool:
        """``dev``: crash lacks a disk that is there."""
        known = {f"{disk.value_():x}" for disk in for_each_disk(self.program)}
        return bool(known & set(one.own)) and not (
            known & set(one.crash) - set(one.own) and len(one.crash) > len(one.own)
        )

    def online(self, one: Difference) -> bool:
        """``kmem -n``: memory_block.state is MEM_ONLINE, 1 (include/linux/memory.h)."""
        if "ONLINE" not in one.own or "UNKNOWN" not in one.crash:
            return False
        block = Object(self.program, "struct memory_block", address=int(one.own[0], 16))
        rest = tuple("UNKNOWN" if field == "ONLINE" else field for field in one.own)
        return int(block.state) == 1 and rest == one.crash

    def committed(self, one: Difference) -> bool:
        """``kmem -i``: vm_committed_as with the CPUs' parts of it."""
        pages = percpu_counter_sum(self.program["vm_committed_as"].address_of_())
        return str(int(pages)) in one.own and str(int(pages)) not in one.crash

    @cached_property
    def _timers(self) -> set[tuple[int, int]]:
        """(address, expires) of every timer on every wheel."""
        found: set[tuple[int, int]] = set()
        for cpu in for_each_online_cpu(self.program):
            for base in per_cpu(self.program["timer_bases"], cpu):
                for head in base.vectors:
                    for timer in hlist_for_each_entry(
                        "struct timer_list", head.address_of_(), "entry"
                    ):
                        found.add((timer.value_(), int(timer.expires)))
        return found

    def timer(self, one: Difference) -> bool:
        """``timer``: crash lacks a timer that is there, or says another time to its end."""
        if len(one.own) < 4 or not one.own[0].isdigit():
            return False
        jiffies = int(self.program["jiffies"])
        expires, left, address = int(one.own[0]), one.own[1], one.own[2]
        if (int(address, 16), expires) not in self._timers:
            return False
        right = left == str(expires - jiffies)
        return right and (not one.crash or one.crash[2:] == one.own[2:])

    def hrtimer(self, one: Difference) -> bool:
        """``timer -r``: soft and hard time of the timer are ours, and they are not crash's."""
        if len(one.own) < 4 or not (one.own[0].isdigit() and one.own[1].isdigit()):
            return False
        timer = Object(self.program, "struct hrtimer", address=int(one.own[3], 16))
        times = (str(int(timer._softexpires)), str(int(timer.node.expires)))
        return one.own[:2] == times and one.crash[:2] != times

    def no_swap(self, one: Difference) -> bool:
        """``kmem -i``: crash lacks the row, and there is no swap."""
        numbers = [field for field in one.own if field.isdigit()]
        return not one.crash and set(numbers) == {"0"} and not self.program["total_swap_pages"]

    def numa_event(self, one: Difference) -> bool:
        """``kmem -V``: crash lacks the row; ``vm_numa_event[]`` holds ours."""
        if one.crash or not one.own:
            return False
        if one.own[0] == "VM_NUMA_EVENT:":
            return True
        number = self.program[one.own[0].rstrip(":")]
        return one.own[-1] == str(int(self.program["vm_numa_event"][number].counter))

    def timer_base(self, one: Difference) -> bool:
        """Since 6.9 (7ee988770326) the bases are LOCAL, GLOBAL and DEF, no longer STD and DEF."""
        try:
            names = {name: int(self.program[name]) for name in ("BASE_LOCAL", "BASE_GLOBAL")}
        except LookupError:
            return False
        told = re.match(r"TIMER_BASES\[\d+\]\[(\w+)\]:", one.own[0]) if one.own else None
        return told is not None and (told[1] in names or told[1] == "BASE_DEF")

    def modules(self, one: Difference) -> bool:
        """``mod``: the module is one that the guest itself listed."""
        return len(one.own) > 2 and one.own[1] in self._facts.modules

    def member_offset(self, one: Difference) -> bool:
        """``union -o bpf_attr``: crash looks members of inner structures up in the outer one."""
        if not one.own:
            # Without its offset; we have it with.
            bare = one.crash[1:] if one.crash[0].startswith("[") else one.crash
            return bare in self._own_declared
        found = re.match(r"\[(\d+)\]$", one.own[0])
        if found is None:
            return False
        name = re.sub(r"[\[;].*", "", one.own[-1]).lstrip("*")
        return int(found[1]) in _offsets(self.program.type("union bpf_attr"), name, 0)

    def type_size(self, one: Difference) -> bool:
        """``whatis -r``: crash lacks a type that is in DWARF with this size."""
        if one.crash or len(one.own) < 2 or not one.own[0].isdigit():
            return False
        for prefix in ("", "struct ", "union "):
            try:
                found = self.program.type(prefix + " ".join(one.own[1:]))
                return bool(sizeof(found) == int(one.own[0]))
            except (LookupError, SyntaxError, TypeError):
                continue
        return False

    def irq_number(self, one: Difference) -> bool:
        """``irq``: the kernel told how many there are."""
        for record in get_printk_records(self.program):
            count = re.search(rb"\bnr_irqs: (\d+)", record.text)
            if count is not None:
                return not one.crash and one.own[0].isdigit() and int(one.own[0]) < int(count[1])
        return False

    def elf_letter(self, one: Difference) -> bool:
        """``sym``: the same, but crash takes data for text: ELF has it in no executable section."""
        if len(one.own) != 3 or one.crash[::2] != one.own[::2]:
            return False
        symbol = self.program.symbol(one.own[2])
        text = range(*(self.program.symbol(name).address for name in ("_stext", "_etext")))
        return one.own[1].lower() != "(t)" and symbol.address not in text


def _offsets(type_: object, name: str, outer: int) -> list[int]:
    found: list[int] = []
    for member in getattr(type_, "members", None) or ():
        at = outer + member.bit_offset // 8
        if member.name == name:
            found.append(at)
        inner = member.type
        if getattr(inner, "tag", "") is None:
            found += _offsets(inner, name, at)
    return found


def _frame(row: Row) -> tuple[int, int] | None:
    found = re.match(r"#\d+ \[([0-9a-f]+)\] \S+ at ([0-9a-f]+)(?: \[\w+\])?$", " ".join(row))
    return (int(found[1], 16), int(found[2], 16)) if found is not None else None


def _number(row: Row) -> int:
    return int(row[-1]) if row and row[-1].isdigit() else 0


def _clock(row: Row) -> float | None:
    found = re.search(r"(?:(\d+) days, )?(\d\d):(\d\d):(\d\d)$", " ".join(row))
    if found is None:
        return None
    days, *rest = (int(part or 0) for part in found.groups())
    return days * 86400.0 + rest[0] * 3600 + rest[1] * 60 + rest[2]


def _stamped(row: Row) -> tuple[float, str] | None:
    import datetime

    found = re.match(r"\[(\w+ \w+ +\d+ [\d:]+ \w+ \d+)\] ?(.*)$", " ".join(row))
    if found is None:
        return None
    moment = datetime.datetime.strptime(found[1], "%a %b %d %H:%M:%S %Z %Y")
    return moment.replace(tzinfo=datetime.UTC).timestamp(), found[2]
