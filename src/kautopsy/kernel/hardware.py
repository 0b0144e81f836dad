"""What the hardware reported, as far as it still stands in memory.

A machine check that panics prints and dies within microseconds, and a serial console or a damaged
log may have lost it. The records themselves are in the dump:

* ``mces_seen`` (``hw_errs_seen`` since v6.13), one a CPU: the worst error of the exception under
  way (arch/x86/kernel/cpu/mce/core.c). Where a CPU panics by itself ("Fatal local machine check":
  always on AMD, on Intel with LMCE), what it read from the bank is only in ``do_machine_check()``'s
  own record on the stack, and the per-CPU copy holds what was known before: time and place;
* ``mce_event_llist``: records logged and not yet handed to mcelog or EDAC
  (arch/x86/kernel/cpu/mce/genpool.c);
* ``ghes_estatus_llist``: what firmware reported by NMI through APEI and nobody printed yet
  (drivers/acpi/apei/ghes.c);
* ``mc_devices``: EDAC's counters for each memory controller (drivers/edac/edac_mc.c).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated

import msgspec
from drgn import Object, Program, offsetof, sizeof
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.llist import llist_for_each_entry
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.sched import cpu_curr

from kautopsy.kernel.cpus import running_stack
from kautopsy.kernel.globals import variable
from kautopsy.kernel.reading import readable, text, until_unreadable
from kautopsy.kernel.table import Column, table
from kautopsy.model.base import Unreadable

# IA32_MCi_STATUS (Intel SDM vol. 3B, 17.3.2.2)
_VALID, _OVERFLOW, _UNCORRECTED, _CONTEXT_CORRUPT = 1 << 63, 1 << 62, 1 << 61, 1 << 57
# IA32_MCG_STATUS.MCIP: the exception has begun and not ended.
_IN_PROGRESS = 1 << 2
_MOST = 256
_LARGEST_FRAME = 1 << 13
# enum of include/acpi/actbl1.h: ACPI_HEST_GEN_ERROR_*
_SEVERITIES = ("recoverable", "fatal", "corrected", "none")


class HardwareError(msgspec.Struct, frozen=True):
    """One record of a hardware error."""

    source: Annotated[str, Column("machine check, GHES or EDAC")]
    cpu: Annotated[int | None, Column("that saw it")]
    bank: Annotated[int | None, Column("of the machine check architecture")]
    severity: Annotated[str, Column("fatal, uncorrected, corrected ...")]
    status: Annotated[int | None, Column("MCi_STATUS", unit="address")]
    address: Annotated[int | None, Column("MCi_ADDR: physical, where valid", unit="address")]
    count: Annotated[int, Column("of errors that this record stands for")]
    what: Annotated[str, Column("in words")]


@table
def hardware_errors(program: Program) -> Iterator[HardwareError]:
    """Machine checks, firmware's error records and EDAC's counters found in memory."""
    seen: set[tuple[int | None, int | None, int | None]] = set()
    for source in (_seen, _pending):
        for record in until_unreadable(source(program)):
            key = (record.cpu, record.bank, record.status)
            if key not in seen:
                seen.add(key)
                yield record
    yield from until_unreadable(_ghes(program))
    yield from until_unreadable(_edac(program))


def _seen(program: Program) -> Iterator[HardwareError]:
    try:
        records = variable(program, "hw_errs_seen", "struct mce_hw_err")
    except LookupError:
        # Before 750fd23926f1 ("x86/mce: Add wrapper for struct mce to export vendor specific
        # info", v6.13).
        records = variable(program, "mces_seen", "struct mce")
    for cpu in for_each_possible_cpu(program):
        record = per_cpu(records, cpu)
        yield from _mce(record, cpu)
        mce = _inner(record)
        if int(mce.mcgstatus) & _IN_PROGRESS and not int(mce.status) & _VALID:
            on_stack = _on_stack(program, mce, cpu)
            yield from () if on_stack is None else _mce(on_stack, cpu)


def _on_stack(program: Program, begun: Object, cpu: int) -> Object | None:
    """The full ``struct mce`` of which ``begun`` is the early copy: same TSC, same place."""
    trace = running_stack(program, cpu_curr(program, cpu))
    offset = int(offsetof(begun.type_, "tsc"))
    # Where the stack changes, from the exception's to the task's, the pair is no range.
    pointers = [frame.sp for frame in trace or ()]
    for low, high in pairwise(pointers):
        if high - low > _LARGEST_FRAME:
            continue
        for address in range(low, high, 8):
            found = Object(program, begun.type_, address=address - offset)
            same = program.read_u64(address) == int(begun.tsc) and found.ip == begun.ip
            if same and found.time == begun.time and int(found.status) & _VALID:
                return found
    return None


def _pending(program: Program) -> Iterator[HardwareError]:
    head = variable(program, "mce_event_llist", "struct llist_head")
    for count, node in enumerate(
        llist_for_each_entry("struct mce_evt_llist", head.first, "llnode")
    ):
        if count >= _MOST:
            return
        record = readable(lambda node=node: node.err)  # type: ignore[misc]
        yield from _mce(node.mce if isinstance(record, Unreadable) else record, None)


def _inner(record: Object) -> Object:
    """``struct mce``, which ``struct mce_hw_err`` wraps since v6.13."""
    inner = readable(lambda: record.m)
    return record if isinstance(inner, Unreadable) else inner


def _mce(record: Object, cpu: int | None) -> Iterator[HardwareError]:
    mce = _inner(record)
    status = int(mce.status)
    # A record is stamped when it is begun (mce_prep_record()): a status without is no record.
    if not status & _VALID or not (int(mce.tsc) or int(mce.time)):
        return
    severity = "corrected"
    if status & _UNCORRECTED:
        severity = "fatal" if status & _CONTEXT_CORRUPT else "uncorrected"
    address = int(mce.addr) or None
    yield HardwareError(
        source="machine check",
        cpu=int(mce.extcpu) if cpu is None else cpu,
        bank=int(mce.bank),
        severity=severity,
        status=status,
        address=address,
        count=1,
        what=f"MCA code {status & 0xFFFF:#06x}, model-specific {status >> 16 & 0xFFFF:#06x}"
        + (", others were overwritten" if status & _OVERFLOW else ""),
    )


def _ghes(program: Program) -> Iterator[HardwareError]:
    head = variable(program, "ghes_estatus_llist", "struct llist_head")
    for count, node in enumerate(
        llist_for_each_entry("struct ghes_estatus_node", head.first, "llnode")
    ):
        if count >= _MOST:
            return
        block = Object(
            program,
            "struct acpi_hest_generic_status",
            address=int(node) + sizeof(program.type("struct ghes_estatus_node")),
        )
        number = int(block.error_severity)
        yield HardwareError(
            source="GHES",
            cpu=None,
            bank=None,
            severity=_SEVERITIES[number] if number < len(_SEVERITIES) else str(number),
            status=None,
            address=None,
            count=int(block.block_status) >> 4 & 0x3FF,
            what="a generic error status block of the firmware, not yet printed",
        )


def _edac(program: Program) -> Iterator[HardwareError]:
    head = variable(program, "mc_devices", "struct list_head")
    for mci in list_for_each_entry("struct mem_ctl_info", head.address_of_(), "link"):
        name = readable(lambda mci=mci: text(mci.ctl_name.string_()))  # type: ignore[misc]
        for severity, count in (("uncorrected", mci.ue_mc), ("corrected", mci.ce_mc)):
            if int(count):
                yield HardwareError(
                    source="EDAC",
                    cpu=None,
                    bank=None,
                    severity=severity,
                    status=None,
                    address=None,
                    count=int(count),
                    what=f"memory controller {int(mci.mc_idx)} ({name})",
                )
