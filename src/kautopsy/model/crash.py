"""A crash as it was *reported*: the same nouns from a vmcore and from console text."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from kautopsy.model.base import Noun
from kautopsy.model.fingerprint import Fingerprint


class Kind(StrEnum):
    """One vocabulary for what was reported (crash.kind) and what went wrong (verdict.kind)."""

    NULL_DEREFERENCE = "null-dereference"
    BAD_POINTER = "bad-pointer"
    USE_AFTER_FREE = "use-after-free"
    EXEC_FAULT = "exec-fault"
    STACK_OVERFLOW = "stack-overflow"
    DIVIDE_ERROR = "divide-error"
    INVALID_OPCODE = "invalid-opcode"
    DOUBLE_FAULT = "double-fault"
    BUG = "bug"
    WARNING = "warning"
    LIST_CORRUPTION = "list-corruption"
    SLAB_CORRUPTION = "slab-corruption"
    PAGE_CORRUPTION = "page-corruption"
    REFCOUNT = "refcount"
    MEMORY_SAFETY = "memory-safety"
    MEMORY_LEAK = "memory-leak"
    DATA_RACE = "data-race"
    LOCK_MISUSE = "lock-misuse"
    ATOMIC_SLEEP = "atomic-sleep"
    SOFT_LOCKUP = "soft-lockup"
    HARD_LOCKUP = "hard-lockup"
    SPINLOCK_STUCK = "spinlock-stuck"
    RCU_STALL = "rcu-stall"
    WORKQUEUE_STALL = "workqueue-stall"
    HUNG_TASK = "hung-task"
    DEADLOCK = "deadlock"
    IO_HANG = "io-hang"
    OUT_OF_MEMORY = "out-of-memory"
    MACHINE_CHECK = "machine-check"
    HARDWARE_NMI = "hardware-nmi"
    WATCHDOG = "watchdog"
    OPERATOR_SYSRQ = "operator-sysrq"
    OPERATOR_NMI = "operator-nmi"
    FILESYSTEM_PANIC = "filesystem-panic"
    ROOT_MOUNT_FAILURE = "root-mount-failure"
    INIT_DIED = "init-died"
    PANIC = "panic"
    UNKNOWN = "unknown"


class Trigger(StrEnum):
    """Who pulled the trigger: what made the kernel stop, whatever had gone wrong before."""

    OOPS = "oops"
    PANIC = "panic"
    SYSRQ = "sysrq"
    NMI = "nmi"
    SOFT_LOCKUP = "soft-lockup"
    HARD_LOCKUP = "hard-lockup"
    HUNG_TASK = "hung-task"
    OUT_OF_MEMORY = "out-of-memory"
    WATCHDOG = "watchdog"
    MACHINE_CHECK = "machine-check"


class Frame(Noun, frozen=True, kw_only=True):
    """One line of a backtrace.

    ``address`` is the program counter as it stands on the stack (a return address but in the frame
    that was executing); ``offset`` and ``size`` are in bytes, within the function. ``module`` is
    None for the kernel itself. ``reliable`` is False for what the kernel prints with ``?`` and for
    addresses that were merely found on the stack.
    """

    function: str | None = None
    offset: int | None = None
    size: int | None = None
    module: str | None = None
    address: int | None = None
    file: str | None = None
    line: int | None = None
    inline: bool = False
    reliable: bool = True


class TaskRef(Noun, frozen=True, kw_only=True):
    """A task by ``pid`` (``task_struct.pid``, a thread's id) and ``comm`` (at most 15 bytes)."""

    pid: int | None
    comm: str


class TextSpan(Noun, frozen=True, kw_only=True):
    """Where a crash stands in its log: line numbers from 1, both included."""

    first_line: int
    last_line: int


class Crash(Noun, frozen=True, kw_only=True):
    """One crash.

    :param kind: what was reported
    :param title: one line that names the mechanism and, where known, the guilty function
    :param titles: other titles under which the same crash is known
    :param trigger: who pulled it; None where the text does not say
    :param corrupted: the text cannot be trusted; ``corrupted_reason`` says why
    :param instruction: the frame of the faulting instruction pointer, where there was a fault
    :param frames: the backtrace, innermost first
    :param registers: name in lower case → value (``{"rip": 0xffffffff81000000, ...}``)
    :param modules: names of loaded modules
    :param module_flags: name → the letters behind it, of those that have some (``{"zfs": "PO"}``)
    :param tainted: taint letters as the kernel prints them, one an entry (``["P", "O"]``)
    :param uptime_seconds: since boot, from the kernel's own stamp on the text
    :param wall_time: as a console server, syslog or ``dmesg -T`` stamped the text, unchanged
    :param code: the bytes around the instruction as the kernel prints them; ``<..>`` or ``(..)``
        marks the one that was executing
    :param build_id: of the kernel, where the text prints it (CONFIG_STACKTRACE_BUILD_ID)
    :param kernel_offset: what KASLR moved the kernel by, as ``Kernel Offset`` says; 0 if disabled
    :param follow_ups: what came of it, in the kernel's words (``Kernel panic - not syncing: ...``)
    """

    kind: Kind
    title: str
    titles: tuple[str, ...] = ()
    trigger: Trigger | None = None
    corrupted: bool = False
    corrupted_reason: str | None = None
    cpu: int | None = None
    task: TaskRef | None = None
    instruction: Frame | None = None
    frames: tuple[Frame, ...] = ()
    registers: dict[str, int] = msgspec.field(default_factory=dict)
    modules: tuple[str, ...] = ()
    module_flags: dict[str, str] = msgspec.field(default_factory=dict)
    tainted: tuple[str, ...] = ()
    release: str | None = None
    hardware: str | None = None
    text: TextSpan | None = None
    uptime_seconds: float | None = None
    wall_time: str | None = None
    code: str | None = None
    build_id: str | None = None
    kernel_offset: int | None = None
    follow_ups: tuple[str, ...] = ()
    fingerprint: Fingerprint | None = None
