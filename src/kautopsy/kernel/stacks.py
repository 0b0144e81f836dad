"""Backtraces: what a task was doing, inline frames and source lines included where there are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from drgn import MainModule, Object, Program, StackFrame
from drgn.helpers.linux.stack import LinuxKernelStack, StackKind, kernel_stack_trace

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.kernel.tasks import plain
from kautopsy.model.crash import Frame

MAX_FRAMES = 256
"""A raw unwind can run up to 1,024 junk frames past a stack that is corrupt."""


def module_at(program: Program, address: int) -> str | None:
    """Name of the module that ``address`` lies in; None for the kernel itself or nowhere."""
    try:
        module = program.module(address)
    except LookupError:
        return None
    return None if isinstance(module, MainModule) else str(module.name)


def locate(program: Program, address: int, *, reliable: bool = True) -> Frame:
    """The function around ``address``, without line numbers."""
    try:
        symbol = program.symbol(address)
    except LookupError:
        return Frame(address=address, module=module_at(program, address), reliable=reliable)
    return Frame(
        function=plain(symbol.name),
        offset=address - symbol.address,
        size=symbol.size or None,
        module=module_at(program, address),
        address=address,
        reliable=reliable,
    )


def to_frame(program: Program, frame: StackFrame) -> Frame:
    """drgn's frame as ours.

    A return address may be the first byte of the next function (after a call that never returns),
    so the name is looked up one byte back, as the kernel and ``crash`` do.
    """
    pc = frame.pc
    inside = pc if frame.interrupted or pc == 0 else pc - 1
    file = line = None
    with contextlib.suppress(LookupError):
        file, line, _ = frame.source()
    name: str | None = None
    try:
        name = frame.function_name or None
    except READ_ERRORS:
        name = None
    if frame.is_inline:
        return Frame(
            function=name,
            module=module_at(program, inside),
            address=pc,
            file=file,
            line=line or None,
            inline=True,
        )
    found = locate(program, inside)
    offset = None if found.offset is None else found.offset + (pc - inside)
    return Frame(
        function=name or found.function,
        offset=offset,
        size=found.size,
        module=found.module,
        address=pc,
        file=file,
        line=line or None,
    )


def kernel_frames(trace: LinuxKernelStack) -> Iterator[StackFrame]:
    """The frames of ``trace`` up to the boundary to user space."""
    count = 0
    for segment in trace.segments:
        if segment.kind is StackKind.USER:
            return
        for frame in segment.frames:
            try:
                pc = frame.pc
            except LookupError:
                return
            # x86-64 and AArch64: kernel text has the sign bit set. A pc of the lower half in the
            # frame that executed is a jump through a bad pointer, not user space.
            if not pc >> 63 and count:
                return
            yield frame
            count += 1
            if count >= MAX_FRAMES:
                return


def unwound(task: Object) -> LinuxKernelStack:
    """The stack of ``task``, a ``struct task_struct *``.

    :raises FaultError: a page of it is not in the dump; others of ``READ_ERRORS`` as well
    """
    try:
        return kernel_stack_trace(task)
    except (*READ_ERRORS, MemoryError):
        raise
    except Exception as error:  # libkdumpfile's own, about notes that are damaged, come so
        raise ValueError(str(error)) from error


def backtrace(program: Program, task: Object) -> tuple[Frame, ...]:
    """Frames of a task's kernel stack, innermost first; empty where it cannot be unwound.

    :param task: ``struct task_struct *``
    """
    try:
        trace = unwound(task)
    except READ_ERRORS:
        return ()
    return tuple(to_frame(program, frame) for frame in kernel_frames(trace))
