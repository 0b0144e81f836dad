"""Which member of which struct was behind a NULL pointer.

The faulting address of a NULL dereference is the member's offset. The struct is known where exactly
one pointer in reach is NULL and its type has a member there: first the variables of the frame
(DWARF), then the function's parameters whose argument register is still 0 (BTF has prototypes).
Several candidates name nothing: a wrong name would cost more than none.
"""

from __future__ import annotations

from drgn import Type, TypeKind

from kautopsy.kernel.cpus import running_stack, stopped_at
from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.kernel.stacks import kernel_frames
from kautopsy.model.crash import Crash
from kautopsy.model.finding import Evidence
from kautopsy.triage.scene import Scene

# System V AMD64: the registers of the first six arguments.
_ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")


def null_member(scene: Scene, crash: Crash) -> Evidence | None:
    """Evidence that names the member, or None where that is not certain."""
    address = crash.registers.get("cr2")
    if address is None or address >= 4096 or crash.instruction is None:
        return None
    candidates = set(_from_frame(scene, address)) or set(_from_prototype(scene, crash, address))
    if len(candidates) != 1:
        return None
    [found] = candidates
    return Evidence(what="NULL pointer", value=found, show="bt -l")


def _struct(pointer: Type) -> Type | None:
    while pointer.kind is TypeKind.TYPEDEF:
        pointer = pointer.type
    if pointer.kind is not TypeKind.POINTER:
        return None
    pointed = pointer.type
    while pointed.kind is TypeKind.TYPEDEF:
        pointed = pointed.type
    if pointed.kind is TypeKind.STRUCT and pointed.is_complete():
        return pointed
    return None


def member_at(kind: Type, offset: int) -> str | None:
    """``inner.member`` at ``offset`` bytes of a struct or union; None beyond its end."""
    for member in kind.members or ():
        start = member.bit_offset // 8
        inner = member.type
        while inner.kind is TypeKind.TYPEDEF:
            inner = inner.type
        if inner.kind in (TypeKind.STRUCT, TypeKind.UNION) and inner.is_complete():
            if start <= offset < start + (inner.size or 0):
                below = member_at(inner, offset - start)
                return below if not member.name else f"{member.name}.{below}" if below else None
        elif start == offset:
            return member.name or None
    return None


def _from_frame(scene: Scene, offset: int) -> list[str]:
    task = scene.panic_task
    stack = None if task is None else running_stack(scene.program, task)
    if stack is None:
        return []
    frames = list(kernel_frames(stack))
    found: list[str] = []
    for frame in frames[stopped_at(frames) :][:3]:
        try:
            for name in frame.locals():
                value = frame[name]
                kind = _struct(value.type_)
                if kind is None or value.absent_ or value.value_() != 0:
                    continue
                member = member_at(kind, offset)
                if member:
                    found.append(f"{name}->{member} of {kind.type_name()}")
        except READ_ERRORS:
            pass
        if not frame.is_inline:
            break
    return found


def _from_prototype(scene: Scene, crash: Crash, offset: int) -> list[str]:
    assert crash.instruction is not None
    try:
        function = scene.program.function(crash.instruction.function or "")
        parameters = function.type_.parameters
    except READ_ERRORS:
        return []
    found = []
    for register, parameter in zip(_ARGUMENTS, parameters, strict=False):
        if crash.registers.get(register) != 0:
            continue
        kind = _struct(parameter.type)
        member = member_at(kind, offset) if kind is not None else None
        if kind is not None and member:
            found.append(f"{parameter.name}->{member} of {kind.type_name()}")
    return found
