"""Processor exceptions in the kernel: page faults, protection faults, traps; every architecture."""

from __future__ import annotations

import re

from kautopsy.model.crash import Kind, Trigger
from kautopsy.model.lazy import lazy_pattern
from kautopsy.oops.body import Body
from kautopsy.oops.families.base import Name, at_instruction, in_function, on_stack, report, stack
from kautopsy.oops.titles import plain, recursion, stall

_POISON = lazy_pattern(r"6b6b6b6b|5a5a5a5a")
"""SLUB's and SLAB's POISON_FREE and POISON_INUSE (include/linux/poison.h)."""

BEFORE_DIE = (
    "page-fault",
    "general-protection",
    "bug",
    "double-fault",
    "stack-overflow",
    "trap",
    "invalid-opcode",
    "sysrq",
    "slab",
    "list",
    "usercopy",
    "control-flow",
    "machine-check",
    "divide",
    "internal-error",
)
"""Families whose words come first, and die() after them."""

_SYSRQ = lazy_pattern(r"sysrq_handle_crash")
_EXECUTE = lazy_pattern(
    r"kernel tried to execute|unable to execute|execution of user|instruction fetch|PC at user|"
    r"supervisor instruction fetch|handle kernel execut"
)


def is_sysrq(body: Body) -> bool:
    """sysrq-c wrote to NULL until 8341f2f222d7 ("sysrq: Use panic() to force a crash", v4.20)."""
    instruction = body.instruction
    if instruction is not None and instruction.function is not None:
        if instruction.function == "sysrq_handle_crash":
            return True
    elif body.asked_for and not body.has_trace:
        return True
    return any(f.function == "sysrq_handle_crash" for t in body.calls() for f in t.frames[:12])


def _asked_for(body: Body, seen: str) -> Name:
    return Name(
        kind=Kind.OPERATOR_SYSRQ,
        title="sysrq: crash asked for in sysrq_handle_crash",
        titles=(seen, "SysRq : Trigger a crash"),
        trigger=Trigger.SYSRQ,
        needs_trace=False,
    )


def _fault(body: Body, title: str, kind: Kind, *others: str) -> Name:
    function = at_instruction(body)
    name = in_function(title, function)
    if is_sysrq(body):
        return _asked_for(body, name)
    return Name(
        kind=kind,
        title=name,
        titles=tuple(in_function(other, function) for other in others),
        trigger=Trigger.OOPS,
    )


@report(
    "page-fault",
    # arch/x86/mm/fault.c show_fault_oops; arch/powerpc/mm/fault.c bad_page_fault; arm(64), riscv,
    # mips, loongarch, s390: die_kernel_fault, do_no_context
    r"(?:BUG: )?\b[Uu]nable to handle (?:kernel )?(?:NULL pointer dereference|paging request"
    r"|page fault for|"
    r"access to user|access|data access|instruction fetch|read|write|execute|execution"
    r"|pointer dereference|"
    r"unaligned|unknown fault|hypervisor)"
    r"|BUG: [Kk]ernel NULL pointer dereference|[Uu]nable to handle kernel"
    r"|BUG: [Uu]nable to handle\b",
    detail_of=("sysrq",),
    takes_over=("exec-fault",),
    words=("ernel NULL pointer dereference", "nable to handle"),
)
def _page_fault(match: re.Match[str], body: Body) -> Name:
    window = "\n".join(body.texts()[:8])
    headline = body.head.text[match.start() :]
    if "NULL pointer dereference" in headline:
        return _fault(
            body,
            "BUG: unable to handle kernel NULL pointer dereference",
            Kind.NULL_DEREFERENCE,
            "BUG: kernel NULL pointer dereference",
        )
    kind = Kind.BAD_POINTER
    if _POISON.search(headline):
        kind = Kind.USE_AFTER_FREE
    elif _EXECUTE.search(window):
        kind = Kind.EXEC_FAULT
    elif re.search(r"address:? (?:0x)?0{4,13}[0-9a-f]{1,3}\b", headline):
        kind = Kind.NULL_DEREFERENCE
    elif "stack depth" in window or "guard page" in window:
        kind = Kind.STACK_OVERFLOW
    name = _fault(body, "BUG: unable to handle kernel paging request", kind)
    if re.search(r"handle(?: kernel)?\W*$", body.head.text):
        # Up to 4.x the line was two printk calls, and another CPU's text can come between them.
        return Name(
            kind=name.kind,
            title="BUG: unable to handle kernel",
            titles=(name.title,),
            trigger=name.trigger,
            corrupted="the line that says what could not be handled is torn",
        )
    return name


_VECTORS = {
    0: (Kind.DIVIDE_ERROR, "divide error"),
    6: (Kind.INVALID_OPCODE, "invalid opcode"),
    8: (Kind.DOUBLE_FAULT, "double fault"),
    13: (Kind.BAD_POINTER, "general protection fault"),
    14: (Kind.BAD_POINTER, "page fault"),
}


@report(
    "early-exception",
    # x86 before it has its handlers: mm/extable.c early_fixup_exception(); head_32.S
    r"PANIC: early exception (?P<vector>(?:0x)?[0-9a-f]{1,2}) (?:IP|rip) "
    r"|BUG: Int (?P<number>\d{1,2}): CR2 ",
    words=("PANIC: early exception ", "BUG: Int "),
)
def _early(match: re.Match[str], body: Body) -> Name:
    vector = int(match["vector"], 16) if match["vector"] else int(match["number"])
    kind, what = _VECTORS.get(vector, (Kind.BAD_POINTER, f"vector {vector}"))
    address = re.search(r"cr2 (?:0x)?([0-9a-f]+)", body.head.text, re.IGNORECASE)
    if vector == 14 and address is not None and int(address[1], 16) < 4096:
        kind = Kind.NULL_DEREFERENCE
    return Name(
        kind=kind,
        title=in_function(f"early exception: {what}", at_instruction(body)),
        trigger=Trigger.OOPS,
        needs_trace=False,
    )


@report(
    "general-protection",
    r"general protection fault[^:\n]{0,80}: [0-9a-f]{4} \[#\d"
    r"|general protection fault(?:, (?:probably|maybe)[^:]*| at [^:]*)?: [0-9a-f]{4}\b"
    r"|(?:Oops: )?general protection fault, (?:probably|maybe|kernel)\b"
    r"|^(?:.* )?general protection fault: *$|(?<!traps: )general protection fault: maybe",
    detail_of=("sysrq",),
    words=("general protection fault",),
)
def _general_protection(match: re.Match[str], body: Body) -> Name:
    poisoned = _POISON.search(body.head.text)
    kind = Kind.USE_AFTER_FREE if poisoned else Kind.BAD_POINTER
    return _fault(body, "general protection fault", kind)


@report(
    "divide",
    r"divide[ _]error: [0-9a-f]{0,4}|Oops: divide error|Division by zero in kernel|Oops - divide",
    words=("Division by zero in kernel", "divide"),
)
def _divide(match: re.Match[str], body: Body) -> Name:
    return _fault(body, "divide error", Kind.DIVIDE_ERROR)


@report(
    "double-fault",
    # arch/x86/kernel/traps.c exc_double_fault, doublefault_32.c
    r"PANIC: double fault|^(?:Oops: )?double fault: [0-9a-f]{4}|Double fault: [0-9a-f]"
    r"|BUG: double fault",
    detail_of=("stack-overflow", "double-fault"),
    words=("BUG: double fault", "Double fault: ", "PANIC: double fault", "double fault: "),
)
def _double_fault(match: re.Match[str], body: Body) -> Name:
    name = _fault(body, "PANIC: double fault", Kind.DOUBLE_FAULT, "double fault")
    # The stack is often what is broken: the registers are what one gets.
    return Name(
        kind=name.kind,
        title=name.title,
        titles=name.titles,
        trigger=name.trigger,
        needs_trace=body.instruction is None or body.has_trace,
    )


@report(
    "stack-overflow",
    r"BUG: (?:TASK |\w+ )?stack guard page was hit at|kernel stack overflow \("
    r"|Insufficient stack space to handle exception"
    r"|Kernel stack overflow in process|Thread overran stack, or stack corrupted"
    r"|BUG: stack overflow|do_IRQ: stack overflow"
    r"|kernel stack overflow, low stack|Kernel stack overflow\.",
    detail_of=("stack-overflow", "page-fault", "double-fault"),
    words=(
        "Insufficient stack space to handle exception",
        "Thread overran stack, or stack corrupted",
        "stack guard page was hit at",
        "stack overflow",
    ),
)
def _stack_overflow(match: re.Match[str], body: Body) -> Name:
    """The innermost function is chance: who recursed, or began it, is the same every time."""
    title = (
        "BUG: stack guard page was hit"
        if "guard page" in body.head.text
        else "kernel stack overflow"
    )
    name = _fault(body, title, Kind.STACK_OVERFLOW, "PANIC: double fault")
    frames = stack(body) if body.has_trace else ()
    again = recursion(frames)
    function = plain(again.function or "") if again is not None else stall(frames)
    return Name(
        kind=name.kind,
        title=in_function(title, function) if function else name.title,
        titles=(name.title, *name.titles),
        trigger=name.trigger,
        needs_trace=body.instruction is None or body.has_trace,
    )


@report(
    "stack-segment",
    r"stack segment: [0-9a-f]{4}|Oops: stack segment",
    words=("Oops: stack segment", "stack segment: "),
)
def _stack_segment(match: re.Match[str], body: Body) -> Name:
    return _fault(body, "stack segment fault", Kind.BAD_POINTER)


@report(
    "control-flow",
    r"CFI failure (?:at|\()|Missing ENDBR: |traps: Missing ENDBR|Oops: control protection"
    r"|Unexpected #CP",
    words=("CFI failure ", "Missing ENDBR", "Oops: control protection", "Unexpected #CP"),
)
def _control_flow(match: re.Match[str], body: Body) -> Name:
    said = re.search(r"(?:at|ENDBR:) (?:\[<\w+>\] )?([A-Za-z_][\w.]*)\+0x", body.head.text)
    if said and not body.has_trace and body.instruction is None:
        return Name(kind=Kind.EXEC_FAULT, title=f"CFI failure in {said[1]}", trigger=Trigger.OOPS)
    return _fault(body, "CFI failure", Kind.EXEC_FAULT)


@report(
    "invalid-opcode",
    r"invalid opcode: [0-9a-f]{4}|Oops: invalid opcode|Oops - [Uu]ndefined instruction"
    r"|illegal operation: [0-9a-f]{4} (?:ilc|\[#)"
    r"|Oops - illegal instruction|Reserved instruction in kernel code",
    detail_of=("bug", "control-flow", "list", "usercopy", "slab"),
    words=(
        "Oops - illegal instruction",
        "Oops: invalid opcode",
        "Reserved instruction in kernel code",
        "illegal operation: ",
        "invalid opcode: ",
        "ndefined instruction",
    ),
)
def _invalid_opcode(match: re.Match[str], body: Body) -> Name:
    return _fault(body, "invalid opcode", Kind.INVALID_OPCODE)


@report(
    "trap",
    # arch/arm/mm/fault.c, alignment.c; arch/x86/kernel/traps.c; s390, mips, alpha, sparc
    r"Unhandled fault: (?P<fault>[^(]+?) \(0x|Alignment trap: (?!.*user)"
    r"|Unhandled prefetch abort: |Bad mode in (?P<mode>.+?) handler"
    r"|Unhandled kernel unaligned access|Kernel bug detected|Break instruction in kernel code"
    r"|Trap instruction in kernel code"
    # s390: arch/s390/kernel/traps.c, mm/fault.c; `illegal operation` is an invalid opcode
    r"|(?<!illegal operation)(?<!Oops): [0-9a-f]{4} ilc:\d"
    r"|\w exception: 00[0-9a-f]{2} \[#\d"  # without the instruction's length, up to 3.18
    r"|(?:int3|alignment check|segment not present|invalid TSS|coprocessor segment overrun"
    r"|bounds|simd exception|overflow|SIMD): 0000 \[#\d"
    # arm64's traps.c, mips' traps.c and unaligned.c
    r"|SError Interrupt on CPU|Unexpected kernel BRK exception"
    r"|(?:Data|Instruction) bus error, epc|Kernel Fault: |Caught unhandled exception in"
    r"|(?:instruction access|context!)\[#\d",
    words=(
        " bus error, epc",
        " exception: 00",
        " ilc:",
        ": 0000 [#",
        "Alignment trap: ",
        "Bad mode in ",
        "Break instruction in kernel code",
        "Caught unhandled exception in",
        "Kernel Fault: ",
        "Kernel bug detected",
        "SError Interrupt on CPU",
        "Trap instruction in kernel code",
        "Unexpected kernel BRK exception",
        "Unhandled fault: ",
        "Unhandled kernel unaligned access",
        "Unhandled prefetch abort: ",
        "context!",
        "instruction access",
    ),
)
def _trap(match: re.Match[str], body: Body) -> Name:
    text = body.head.text
    groups = match.groupdict()
    kind = Kind.BAD_POINTER
    said = (text[: match.start()] + match.group()).removeprefix("Oops: ")
    title = " ".join(re.split(r":|\[#", said)[0].split())
    if groups.get("fault"):
        title = "Unhandled fault"
    elif "Alignment trap" in text:
        title = "Alignment trap"
    elif "SError" in text:
        title, kind = "SError Interrupt", Kind.MACHINE_CHECK
    elif "Kernel bug detected" in text:
        title, kind = "kernel BUG", Kind.BUG
    elif "BRK" in text:
        kind = Kind.INVALID_OPCODE
    elif "divide" in text:
        kind = Kind.DIVIDE_ERROR
    elif title == "monitor event":  # s390's BUG()
        title, kind = "kernel BUG", Kind.BUG
    elif "Kernel Fault" in text:
        title = "Kernel Fault"
    elif "int3" in text or "Break" in text or "Trap inst" in text:
        kind = Kind.INVALID_OPCODE
    return _fault(body, title, kind)


@report(
    "internal-error",
    # arch/arm/kernel/traps.c, arch/arm64/kernel/traps.c: __die
    # arm's imprecise aborts have no name: `Internal error: : 1406 [#1]`
    r"Internal error: (?P<what>[^:\[]*?)(?:: [0-9a-f]+)?(?: \[#(?P<n>\d+)\])",
    detail_of=[name for name in BEFORE_DIE if name != "internal-error"],
    words=("Internal error: ",),
)
def _internal_error(match: re.Match[str], body: Body) -> Name:
    what = match["what"].strip()
    if "BUG" in what:
        return _fault(body, "kernel BUG", Kind.BUG)
    if "ndefined instruction" in what or "illegal" in what or "BRK" in what:
        return _fault(body, f"Internal error: {what}", Kind.INVALID_OPCODE)
    if re.search(r"- (?:BTI|CFI)$", what):  # a jump to where none may lead
        return _fault(body, f"Internal error: {what}", Kind.EXEC_FAULT)
    if re.search(r"- (?:FPAC|MTE|GCS)$", what):
        return _fault(body, f"Internal error: {what}", Kind.BAD_POINTER)
    if what.startswith("Oops"):
        syndrome = re.search(r"Oops: ([0-9a-f]{8,16}) \[", body.head.text)
        return _head_lost(
            body,
            f"Internal error: {what}",
            _ABORTS.get(int(syndrome[1], 16) >> 26 & 0x3F) if syndrome else None,
        )
    if "stack overflow" in what:
        return _fault(body, "kernel stack overflow", Kind.STACK_OVERFLOW)
    if what.startswith("UBSAN"):
        return _fault(body, what, Kind.MEMORY_SAFETY)
    kind = Kind.MACHINE_CHECK if "SError" in what or "external abort" in what else Kind.BAD_POINTER
    return _fault(body, f"Internal error: {what}".rstrip(": "), kind)


@report(
    "oops",
    # __die of x86 (`Oops: 0002 [#1] SMP`), powerpc (`Oops: Kernel access of bad area, sig: 11`),
    # s390, mips, riscv (`Oops [#1]`), loongarch
    r"\bOops: (?P<what>[^\[]{1,80}?)\[#(?P<n>\d+)\]|\bOops(?P<bare> - [\w ]+|\[#\d+\]"
    r"| )?\[?#\d+\]|^Oops: [0-9a-f]{4,16}\b"
    r"|^Oops: (?P<uncounted>[A-Za-z][\w ]{2,60}), sig: \d+$",  # microblaze, nios2
    detail_of=BEFORE_DIE,
    words=("Oops",),
)
def _oops(match: re.Match[str], body: Body) -> Name:
    groups = match.groupdict()
    # since 6.9 x86 prints `Oops: ` before whatever die() is told, `Oops` too
    what = (
        (groups.get("what") or groups.get("uncounted") or groups.get("bare") or "")
        .strip(" -,")
        .removeprefix("Oops: ")
    )
    window = "\n".join(body.texts()[:12])
    if "sig: 5" in what and "Exception in kernel mode" in what:
        return _fault(body, "kernel BUG", Kind.BUG, f"Oops: {what}")
    if "bad area" in what or "access" in what:
        kind = Kind.NULL_DEREFERENCE if re.search(r"DAR: 0{13}", window) else Kind.BAD_POINTER
        return _fault(body, "Oops: Kernel access of bad area", kind)
    if "Machine check" in what:
        return _fault(body, "Oops: Machine check", Kind.MACHINE_CHECK)
    if "illegal instruction" in what or "opcode" in what or "sig: 4" in what:
        return _fault(body, "invalid opcode", Kind.INVALID_OPCODE)
    if "stack" in what:
        return _fault(body, "kernel stack overflow", Kind.STACK_OVERFLOW)
    if "BUG" in what:
        return _fault(body, "kernel BUG", Kind.BUG)
    if re.match(r"[0-9a-f]{4,}", what) is None and what:
        return _fault(body, f"Oops: {what}", Kind.BAD_POINTER)
    return _head_lost(body, "Oops")


_ABORTS = {0x21: Kind.EXEC_FAULT, 0x25: Kind.BAD_POINTER}
"""arm64's exception classes (ESR_EL1.EC) of aborts in the kernel: of instructions, of data."""


def _head_lost(body: Body, title: str, known: Kind | None = None) -> Name:
    """The line that said what happened is gone; registers may still tell."""
    kind = known or Kind.UNKNOWN
    address = body.registers.get("cr2", body.registers.get("badv", body.registers.get("dar")))
    if address is not None:
        kind = Kind.NULL_DEREFERENCE if address < 4096 else Kind.BAD_POINTER
    function = at_instruction(body)
    name = in_function(title, function)
    if is_sysrq(body):
        return _asked_for(body, name)
    return Name(kind=kind, title=name, trigger=Trigger.OOPS)


@report(
    "exec-fault",
    r"kernel tried to execute (?:NX-protected|user) page|unable to execute userspace code",
    words=("kernel tried to execute ", "unable to execute userspace code"),
)
def _exec_head_lost(match: re.Match[str], body: Body) -> Name:
    function = at_instruction(body) or on_stack(body)
    return Name(
        kind=Kind.EXEC_FAULT,
        title=in_function("BUG: unable to handle kernel paging request", function),
        trigger=Trigger.OOPS,
    )
