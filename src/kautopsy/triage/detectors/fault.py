"""Faults, BUGs and corruption that the kernel reported: the oops, and what it was about.

Each crash that the log tells of becomes a finding: the last one is the death if the machine stopped
by itself, earlier ones may have led to it. What the report calls a bad pointer is looked at more
closely: the registers at the fault say whether the pointer was NULL plus a member's offset, list
poison, the poison of freed or uninitialised slab memory, an address of user space or text, and
which slab objects they point to (include/linux/poison.h, mm/slub.c). That turns a "general
protection fault" into a use after free.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kautopsy.kernel.hardware import hardware_errors
from kautopsy.kernel.objects import describe, read_from_freed
from kautopsy.kernel.poison import Story, classify
from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.kernel.stacks import locate
from kautopsy.kernel.tasks import plain
from kautopsy.model.crash import Crash, Frame, Kind, Trigger
from kautopsy.model.finding import Culprit, Evidence, Finding, Severity, TaskRole
from kautopsy.oops.titles import recursion
from kautopsy.triage.culprit import called, culprit
from kautopsy.triage.detector import detector
from kautopsy.triage.detectors.hardware import record_evidence
from kautopsy.triage.members import null_member
from kautopsy.triage.operand import memory_operand
from kautopsy.triage.pointers import (
    LOWEST_USER,
    lines_of,
    of_operand,
    sharper,
    telling,
    told_address,
)
from kautopsy.triage.scene import Scene

_FAULTS = frozenset(
    {
        Kind.NULL_DEREFERENCE,
        Kind.BAD_POINTER,
        Kind.USE_AFTER_FREE,
        Kind.EXEC_FAULT,
        Kind.STACK_OVERFLOW,
        Kind.DIVIDE_ERROR,
        Kind.INVALID_OPCODE,
        Kind.DOUBLE_FAULT,
        Kind.BUG,
        Kind.WARNING,
        Kind.LIST_CORRUPTION,
        Kind.SLAB_CORRUPTION,
        Kind.PAGE_CORRUPTION,
        Kind.REFCOUNT,
        Kind.MEMORY_SAFETY,
        Kind.DATA_RACE,
        Kind.LOCK_MISUSE,
        Kind.ATOMIC_SLEEP,
        Kind.MACHINE_CHECK,
        Kind.HARDWARE_NMI,
    }
)
_POINTER_FAULTS = (Kind.BAD_POINTER, Kind.NULL_DEREFERENCE, Kind.USE_AFTER_FREE)

_FAR = 1 << 20
"""Bytes; no function has a larger frame."""
_RAN_OVER = (Kind.STACK_OVERFLOW, Kind.DOUBLE_FAULT)
_REMARKS = (Kind.WARNING, Kind.LOCK_MISUSE, Kind.DATA_RACE)

_HARDWARE = (Kind.MACHINE_CHECK, Kind.HARDWARE_NMI)
_REPORTED_BY_HARDWARE = re.compile(r"\[Hardware Error\]|^EDAC |NMI: (IOCK|PCI|SERR)|mce: ")

# What calls BUG() when it catches an overflow (lib/string_helpers.c, mm/usercopy.c).
_GUARDS = frozenset({"fortify_panic", "__fortify_panic", "usercopy_abort", "__stack_chk_fail"})


# The kernel's own queues: who walks one and stumbles met an entry whose memory somebody freed, or
# wrote over, while it was queued (kernel/time/timer.c, hrtimer.c, workqueue.c, rcu/, softirq.c).
_QUEUES = (
    (
        re.compile(
            r"__?run_timers?|run_timer_base|__run_timer_base|expire_timers|timer_expire_remote"
            r"|collect_expired_timers|detach_if_pending|__next_timer_interrupt"
            r"|next_expiry_recalc"
        ),
        "an armed timer",
    ),
    (re.compile(r"__hrtimer_run_queues|__hrtimer_next_event_base"), "an armed hrtimer"),
    (
        re.compile(r"process_one_work|process_scheduled_works|move_linked_works|insert_work"),
        "a queued work item",
    ),
    (re.compile(r"rcu_do_batch|rcu_cblist_dequeue"), "an object handed to call_rcu()"),
    (re.compile(r"tasklet_action_common"), "a scheduled tasklet"),
)

# Whose BUG() it is says what was found: SLUB's free list (a double free, with
# CONFIG_SLAB_FREELIST_HARDENED), and checks of struct page.
_BUGS = (
    (re.compile(r"kernel BUG at (\S*/)?mm/sl[ua]b(_common)?\.c"), Kind.SLAB_CORRUPTION),
    (re.compile(r"page dumped because: VM_BUG_ON_(PAGE|FOLIO)"), Kind.PAGE_CORRUPTION),
)

_SAYS: dict[Kind, str] = {
    Kind.NULL_DEREFERENCE: "used a pointer that is NULL",
    Kind.BAD_POINTER: "used a pointer that points to nothing",
    Kind.USE_AFTER_FREE: "used memory after it was freed",
    Kind.EXEC_FAULT: "called through a function pointer that points to no code",
    Kind.STACK_OVERFLOW: "used more stack than there is",
    Kind.DIVIDE_ERROR: "divided by zero, or the quotient does not fit",
    Kind.INVALID_OPCODE: "executed an instruction that is invalid here",
    Kind.DOUBLE_FAULT: "faulted while a fault was being handled",
    Kind.BUG: "found a condition that must never be (BUG)",
    Kind.WARNING: "found a condition that should not be (WARN)",
    Kind.LIST_CORRUPTION: (
        "found a linked list damaged: an entry added or removed twice, or overwritten"
    ),
    Kind.SLAB_CORRUPTION: "found a slab object damaged: freed twice, or written beyond its end",
    Kind.PAGE_CORRUPTION: "found a page in a state that it must not be in",
    Kind.REFCOUNT: "dropped or took a reference count beyond its limits",
    Kind.MEMORY_SAFETY: "wrote or read beyond the end of an object, and was caught at it",
    Kind.MACHINE_CHECK: "was stopped by the processor: it reported a hardware error",
    Kind.HARDWARE_NMI: "was stopped by an NMI with which the hardware reported an error",
    Kind.ATOMIC_SLEEP: "slept where sleeping is forbidden: with a spinlock held or in an interrupt",
}


@detector()
def detect(scene: Scene) -> Iterator[Finding]:
    """Yield one finding for each kind of fault and function that the log or the stack tells of."""
    tellings = scene.told or (scene.crash,)
    seen: set[str] = set()
    for crash in reversed(tellings):
        died_of_it = crash is tellings[-1] and (
            scene.crash.trigger in (Trigger.OOPS, Trigger.PANIC, Trigger.MACHINE_CHECK)
            or scene.crash.kind is Kind.HARDWARE_NMI
        )
        if crash.kind not in _FAULTS or (crash.kind is Kind.HARDWARE_NMI and not died_of_it):
            continue
        if crash.kind is Kind.REFCOUNT and crash.instruction is None and not crash.frames:
            continue  # "unregister_netdevice: waiting for ...": endless_wait.py knows who waits
        finding = _finding(scene, crash, died_of_it)
        if finding.key not in seen:
            seen.add(finding.key)
            yield finding


def _jumped_to(crash: Crash, registers: dict[str, int]) -> int | None:
    """Where the instruction pointer was, if no kernel code can be there."""
    rip = registers.get("rip")
    if crash.instruction is not None and crash.instruction.function is None:
        rip = crash.instruction.address
    return rip if rip is not None and rip < 0xFFFF_8000_0000_0000 else None


def _blame(
    scene: Scene, crash: Crash, registers: dict[str, int], *, jumped: bool, died_of_it: bool
) -> Culprit | None:
    frames: tuple[Frame, ...] = crash.frames
    dumped = scene.crash.frames
    told = None
    if jumped:
        # The only sure trace of the caller is the return address on top of the stack; what the
        # kernel prints below it are guesses, and what it calls the instruction is where it went.
        there = crash.instruction.function if crash.instruction is not None else None
        frames = tuple(frame for frame in frames if frame.function != there)
        dumped = tuple(frame for frame in dumped if frame.function != there)
        told = _caller(scene, registers)
    elif crash.instruction is not None:
        frames = (crash.instruction, *frames)
    again = recursion(frames) if crash.kind in _RAN_OVER else None
    told = told or culprit(frames if again is None else (again,))
    if told is None and crash.kind in (Kind.SLAB_CORRUPTION, Kind.PAGE_CORRUPTION):
        # Newer kernels let SLUB print the object only and leave the backtrace to a WARN() after it
        # (mm/slub.c, slab_err() and object_err()).
        after = scene.told[scene.told.index(crash) + 1 :] if crash in scene.told else ()
        if after and after[0].kind is Kind.WARNING:
            told = culprit(after[0].frames)
    if died_of_it:
        # The stack in the dump has lines and modules that the text has not.
        seen = culprit(dumped)
        if told is None or (seen is not None and seen.function == told.function):
            return seen or told
    return told


def _below_stack(scene: Scene, registers: dict[str, int]) -> int:
    """Bytes that RSP was below the task's stack, 0 if it was on it or nowhere near."""
    rsp, task = registers.get("rsp"), scene.panic_task
    if rsp is None or task is None:
        return 0
    try:
        base = int(task.stack)
    except READ_ERRORS:
        return 0
    return base - rsp if 0 < base - rsp <= _FAR else 0


def _says(scene: Scene, crash: Crash, pattern: re.Pattern[str]) -> bool:
    return any(pattern.search(line) for line in lines_of(scene, crash))


def _queued(crash: Crash) -> str | None:
    """What the queue holds that the faulting instruction walked, None if it walked none."""
    at = crash.instruction
    if at is None or at.function is None or at.module is not None:
        return None
    name = plain(at.function)
    return next((what for pattern, what in _QUEUES if pattern.fullmatch(name)), None)


def _checks_lists(crash: Crash) -> bool:
    function = crash.instruction.function if crash.instruction is not None else None
    return re.fullmatch(r"__list_(add|del_entry)_valid\w*", function or "") is not None


def _caller(scene: Scene, registers: dict[str, int]) -> Culprit | None:
    try:
        address = scene.program.read_u64(registers["rsp"])
    except READ_ERRORS:
        return None
    return culprit((locate(scene.program, address - 1),))


def _finding(scene: Scene, crash: Crash, died_of_it: bool) -> Finding:
    kind = crash.kind
    registers = crash.registers or (scene.crash.registers if died_of_it else {})
    operand = memory_operand(crash, at=told_address(scene, crash))
    pointers = telling(registers) if operand is None else of_operand(operand, registers)
    # show_opcodes() reads 42 bytes before RIP; after a call of NULL that faults too, and CR2 is
    # printed only then (arch/x86/kernel/dumpstack.c).
    late = "cr2" in pointers and pointers["cr2"].story is not Story.NULL
    if kind is Kind.NULL_DEREFERENCE and late:
        del pointers["cr2"]
    evidence = [Evidence(what="reported", value=crash.title, show="log")]
    story = ""
    target = _jumped_to(crash, registers)
    if kind is Kind.BAD_POINTER and target is not None:
        # x86-64 raises a general protection fault, not a page fault, at an address that is not
        # canonical, be it data or the next instruction.
        goal = classify(target)
        # A function pointer out of a freed object is a use after free before it is a wrong jump.
        kind = Kind.USE_AFTER_FREE if goal.story is Story.FREED else Kind.EXEC_FAULT
        story = f" It went to {target:#x}, which is {goal.words}."
    elif kind in _POINTER_FAULTS:
        kind, story = sharper(kind, pointers, certain=operand is not None)
    freed_from = None
    if kind is Kind.BAD_POINTER and operand is not None and operand.value >= LOWEST_USER:
        freed_from = read_from_freed(scene.program, registers, operand.value)
    if freed_from is not None:
        kind = Kind.USE_AFTER_FREE
        evidence.append(freed_from)
        story = (
            f" The pointer {operand.value:#x} was read from {freed_from.value}." if operand else ""
        )
    beyond = _below_stack(scene, registers) if died_of_it and kind is Kind.DOUBLE_FAULT else 0
    if beyond:
        # A large frame steps over the guard page, and no page fault can be handled out there.
        kind = Kind.STACK_OVERFLOW
        story = f" RSP was {beyond} bytes below the end of the task's stack."
    entry = _queued(crash) if kind in (Kind.BAD_POINTER, Kind.USE_AFTER_FREE) else None
    if entry is not None:
        kind = Kind.USE_AFTER_FREE
        story += f" The memory of {entry} was freed or overwritten before the kernel came to it."
    if kind is Kind.BAD_POINTER and _checks_lists(crash):
        # list_add() and list_del() look at the entry's neighbours first, and died of that.
        kind = Kind.LIST_CORRUPTION
    if kind is Kind.BUG and any(
        frame is not None and frame.function in _GUARDS
        for frame in (crash.instruction, *crash.frames[:3])
    ):
        kind = Kind.MEMORY_SAFETY
    if kind is Kind.BUG:
        kind = next((k for pattern, k in _BUGS if _says(scene, crash, pattern)), kind)
    jumped = target is not None or kind is Kind.EXEC_FAULT
    blame = (
        None
        if kind in _HARDWARE or entry is not None
        else _blame(scene, crash, registers, jumped=jumped, died_of_it=died_of_it)
    )
    for name, pointer in pointers.items():
        if name == "cr2" and operand is not None:
            continue
        if pointer.story not in (Story.NULL, Story.USER) and kind in _POINTER_FAULTS:
            evidence.append(
                Evidence(
                    what=f"register {name.upper()}",
                    value=f"{pointer.value:#018x}: {pointer.words}",
                    show="bt",
                )
            )
    if kind is Kind.NULL_DEREFERENCE and "cr2" in pointers:
        address = pointers["cr2"]
        evidence.append(
            Evidence(
                what="faulting address", value=f"{address.value:#x}: {address.words}", show="bt"
            )
        )
    if crash.instruction is not None and crash.instruction.function:
        at = crash.instruction
        where = f"{at.function}+{at.offset or 0:#x}" + (f" [{at.module}]" if at.module else "")
        evidence.append(Evidence(what="instruction", value=where, show=f"dis -l {at.function}"))
    if kind is Kind.NULL_DEREFERENCE:
        member = null_member(scene, crash)
        if member is not None:
            evidence.append(member)
            story = f" It reads as {member.value}."
    if kind in (*_POINTER_FAULTS, Kind.EXEC_FAULT, Kind.SLAB_CORRUPTION):
        evidence.extend(describe(scene.program, registers, reused=entry is not None))
    if kind is Kind.SLAB_CORRUPTION:
        evidence.extend(_slab_lines(scene))
    if kind in _HARDWARE:
        evidence.extend(_hardware_lines(scene))
        records = scene.rows(hardware_errors, "hardware errors")
        evidence.extend(record_evidence(record) for record in records[:4])
    who = crash.task or (scene.crash.task if died_of_it else None)
    tasks: tuple[TaskRole, ...] = ()
    by = "The kernel"
    if who is not None and who.pid is not None:
        tasks = (
            TaskRole(pid=who.pid, comm=who.comm, role="panicking" if died_of_it else "victim"),
        )
        by = f"{who.comm} (pid {who.pid})"
    after = "" if died_of_it else " The machine ran on after that, damaged."
    where = "" if kind in _HARDWARE or entry is not None else f" in {called(blame)}"
    freed = next((item for item in evidence if item.what == "freed by"), None)
    if blame is None and kind is Kind.USE_AFTER_FREE and freed is not None:
        # All frames are the kernel's own dispatch: a timer or a callback in memory that was freed.
        function, _, rest = freed.value.partition("+")
        owner = re.search(r"\[(\w+)\]", rest)
        blame = Culprit(function=function, module=owner[1] if owner else None)
        how = "called from" if entry is None else "of"
        where = f" {how} memory that {called(blame)} had freed"
    subject = f",{where}," if where and entry is None else ""
    return Finding(
        kind=kind,
        title=f"{kind.value.replace('-', ' ')}{where}: {crash.title}",
        explanation=(
            f"{by}{subject} "
            f"{_SAYS.get(kind, 'hit what the title says')}.{story}"
            + (f" The object was freed by {freed.value}." if freed else "")
            + after
        ),
        confidence=_confidence(
            crash,
            kind,
            blame,
            died_of_it=died_of_it,
            # The return address on top of the stack is no guess.
            returns=jumped and blame is not None and blame == _caller(scene, registers),
        ),
        severity=Severity.FATAL if died_of_it or kind not in _REMARKS else Severity.WARNING,
        culprit=blame,
        tasks=tasks,
        evidence=tuple(evidence),
        next=_next(kind, blame, entry, freed),
        key=f"{kind.value}:{blame.function if blame else '?'}",
    )


def _confidence(
    crash: Crash, kind: Kind, blame: Culprit | None, *, died_of_it: bool, returns: bool
) -> float:
    confidence = 0.95 if died_of_it else 0.8
    if crash.kind is not kind:
        confidence -= 0.05
    if blame is None and kind not in _HARDWARE:
        confidence -= 0.2
    confirmed = blame is not None and any(
        frame.function and plain(frame.function) == blame.function for frame in crash.frames[:3]
    )
    if crash.corrupted and (crash.frames or blame is None) and not confirmed and not returns:
        # Without frames "corrupted" only says that there are none.
        confidence -= 0.3
    return round(confidence, 2)


def _slab_lines(scene: Scene) -> Iterator[Evidence]:
    """What SLUB itself printed about the object: the cache, and who had allocated and freed it."""
    wanted = ("BUG ", "INFO: Allocated in", "INFO: Freed in", "Allocated in", "Freed in")
    count = 0
    for line in scene.log_lines:
        if line.startswith(wanted) and count < 4:
            count += 1
            yield Evidence(what="SLUB said", value=line[:200], show="log")


def _hardware_lines(scene: Scene) -> Iterator[Evidence]:
    """What the hardware reported: machine check banks, GHES records (APEI), EDAC, port 0x61."""
    wanted = [line for line in scene.log_lines if _REPORTED_BY_HARDWARE.search(line)]
    for line in wanted[-6:]:
        yield Evidence(what="the hardware said", value=line[:200], show="log | grep Hardware")


def _next(
    kind: Kind, blame: Culprit | None, entry: str | None, freed: Evidence | None
) -> tuple[str, ...]:
    if kind in _HARDWARE:
        return (
            "Read the system event log of the management controller (ipmitool sel elist).",
            "Decode the records with mcelog or rasdaemon; replace what they name.",
        )
    steps = [
        f"Read {called(blame)} around the instruction above (bt -l names its line, where there is "
        "debugging information)."
    ]
    if entry is not None:
        steps = [
            f"Find who lets go of the memory of {entry} without taking it back first: "
            "timer_delete_sync(), cancel_work_sync(), rcu_barrier() ..."
        ]
    if kind is Kind.USE_AFTER_FREE and freed is not None:
        steps.append(
            f"Compare with {freed.value.split(',')[0]}, which freed it: a reference is missing, or "
            "was dropped too early."
        )
    elif kind in (Kind.USE_AFTER_FREE, Kind.SLAB_CORRUPTION) and freed is None:
        steps.append("Boot with slub_debug=FZPU to learn who allocated and freed the object.")
    if kind is Kind.NULL_DEREFERENCE:
        steps.append("Find out who was to set the pointer, and why it had not.")
    return tuple(steps)
