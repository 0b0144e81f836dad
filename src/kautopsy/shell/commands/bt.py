"""``bt``: kernel stacks."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from drgn import Object
from drgn.helpers.linux.sched import cpu_curr, task_cpu

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.shell.context import all_tasks, cpus, group, header, on_cpu, tasks_or_context
from kautopsy.shell.errors import BadArgumentsError, CommandError
from kautopsy.shell.frames import Style, overflow, printed
from kautopsy.shell.registry import Lines, PerTask, argument, command, flag
from kautopsy.shell.session import Session
from kautopsy.shell.stackscan import exception_frames, raw_stack, special_frames, text_symbols
from kautopsy.shell.unwind import Step, Unwinder


@command(
    "bt",
    "backtrace",
    usage="[-a|-c cpu(s)|-g|-r|-t|-T|-l|-e|-E|-f|-F|-v|-p|-V] [-R ref] [-s [-x|-d]] "
    "[-I ip] [-S sp] [-n idle] [pid | task] ...",
    arguments=(
        flag("-a", "the active task of each CPU", dest="all"),
        flag("-p", "the task that panicked", dest="panic"),
        argument("-c", dest="cpus", metavar="cpu(s)", help="the active task of CPUs: 0,2-3"),
        argument("-n", dest="skip", choices=("idle",), help="nothing of idle tasks' stacks"),
        flag("-g", "all threads of the task's group, the leader first", dest="group"),
        flag("-r", "the raw stack, from end to end", dest="raw"),
        flag("-t", "text symbols from the last known stack location to the top", dest="symbols"),
        flag("-T", "text symbols of the whole stack", dest="all_symbols"),
        flag("-l", "file and line of each frame", dest="lines"),
        flag("-e", "search the stack for exception frames", dest="exceptions"),
        flag("-E", "search the stacks of interrupts and exceptions", dest="special"),
        flag("-f", "all stack data of each frame", dest="full"),
        argument("-F", dest="symbolic", action="count", default=0,
                 help="as -f, with symbols and [slab caches]; -FF with their addresses too"),
        flag("-v", "check the stacks of all tasks for overflows", dest="overflows"),
        flag("-o", "the old method: all return addresses there are, stale or not", dest="old"),
        flag("-O", "as -o", dest="old_default"),
        argument("-R", dest="reference", metavar="ref", help="only stacks that refer to a symbol"),
        flag("-s", "symbol and offset", dest="offsets"),
        flag("-x", "offsets in hexadecimal", dest="hexadecimal"),
        flag("-d", "offsets in decimal", dest="decimal"),
        argument("-I", dest="ip", help="start from this instruction"),
        argument("-S", dest="sp", help="start from this stack pointer"),
        flag("-V", "local variables (takes DWARF)", dest="variables"),
        argument("tasks", nargs="*", metavar="pid|task"),
    ),
    per_task=PerTask.ARGUMENT,
    drgn='''
    from drgn.helpers.linux.stack import kernel_stack_trace
    trace = kernel_stack_trace(task)   # or prog.stack_trace(task)
    for frame in trace:
        print(frame.name, hex(frame.pc), hex(frame.sp))
    ''',
)  # fmt: skip
def bt(session: Session, arguments: argparse.Namespace) -> Lines:
    """The kernel stack of the current task, or of those named.

    A frame is #N [SLOT] FUNCTION at PC: SLOT holds the return address PC. A CPU that the crash
    stopped is shown from the handler of the crash's NMI on. Inlined functions are left out, as
    crash leaves them out; kautopsy report and bt -l name them where there is DWARF.
    """
    if session.live and (arguments.all or arguments.panic or arguments.cpus is not None):
        raise CommandError("the stacks of running tasks change: not on a running kernel")
    if arguments.special:
        yield from special_frames(session, cpus(session, arguments.cpus or "a"))
        return
    session.need_types("bt")
    if arguments.overflows:
        yield from overflow(session, all_tasks(session.program))
        return
    style = _style(session, arguments)
    tasks = _tasks(session, arguments)
    first = True
    for task in tasks:
        lines = list(_one(session, task, arguments, style))
        if not lines:
            continue
        if not first:
            yield ""
        first = False
        yield from lines


def _tasks(session: Session, arguments: argparse.Namespace) -> list[Object]:
    program = session.program
    if arguments.panic:
        return [session.first_context()]
    if arguments.all or arguments.cpus is not None:
        chosen = cpus(session, "a" if arguments.all else arguments.cpus)
        return [cpu_curr(program, cpu) for cpu in chosen]
    tasks = tasks_or_context(session, arguments.tasks)
    if arguments.group:
        return [one for task in tasks for one in group(task)]
    return tasks


def _style(session: Session, arguments: argparse.Namespace) -> Style:
    if arguments.hexadecimal and arguments.decimal:
        raise BadArgumentsError("-x and -d are mutually exclusive")
    return Style(
        offsets=arguments.offsets,
        radix=session.base(hexadecimal=arguments.hexadecimal, decimal=arguments.decimal),
        lines=arguments.lines,
        full=arguments.full or bool(arguments.symbolic),
        symbolic=arguments.symbolic,
        variables=arguments.variables,
    )


def unwinder(session: Session) -> Unwinder:
    """The session's: it remembers names."""
    found = session.cached("unwinder", lambda: Unwinder(session.program))
    assert isinstance(found, Unwinder)
    return found


def frames(session: Session, task: Object) -> list[Step]:
    """The frames of ``task``."""
    active = task.value_() in on_cpu(session.program)
    return unwinder(session).task(task, task_cpu(task) if active else None)


def _one(
    session: Session, task: Object, arguments: argparse.Namespace, style: Style
) -> Iterator[str]:
    title = header(task)
    if arguments.skip and int(task.pid) == 0:
        yield title
        return
    if arguments.raw:
        yield title
        yield from raw_stack(session, task)
        return
    if arguments.symbols or arguments.all_symbols or arguments.old or arguments.old_default:
        yield title
        steps = [] if arguments.all_symbols else frames(session, task)
        numbered = arguments.old or arguments.old_default
        yield from text_symbols(session, task, steps, style, numbered=numbered)
        return
    if arguments.exceptions:
        yield title
        yield from exception_frames(session, task)
        return
    if session.live and task.value_() in on_cpu(session.program):
        yield title
        yield "(active)"
        return
    try:
        if arguments.ip or arguments.sp:
            steps = _given(session, task, arguments)
        else:
            steps = frames(session, task)
    except CommandError as error:
        yield title
        yield f"bt: {error}"
        return
    if arguments.reference and not _refers(session, steps, arguments.reference):
        return
    yield title
    yield from printed(session, task, steps, style)


def _given(session: Session, task: Object, arguments: argparse.Namespace) -> list[Step]:
    try:
        ip = int(arguments.ip, 16) if arguments.ip else None
        sp = int(arguments.sp, 16) if arguments.sp else None
    except ValueError as error:
        raise BadArgumentsError("-I and -S take a hexadecimal address") from error
    if ip is None or sp is None:
        known = frames(session, task)
        if not known:
            raise CommandError("the stack cannot be unwound, so both -I and -S are needed")
        if sp is None:
            sp = known[0].slot
        if ip is None:
            # The word at the stack pointer is the return address of the frame to begin with.
            try:
                ip, sp = session.program.read_u64(sp), sp + 8
            except READ_ERRORS as error:
                raise CommandError("no stack at this address", thing=arguments.sp) from error
    return unwinder(session).from_registers(ip, sp)


def _refers(session: Session, steps: list[Step], reference: str) -> bool:
    """Whether a frame is in the function, or its return address is the one that is meant."""
    try:
        address = int(reference, 16)
    except ValueError:
        return any(step.name == reference for step in steps)
    try:
        symbol = session.program.symbol(address)
    except LookupError:
        return any(step.pc == address for step in steps)
    exact = symbol.address == address
    return any(step.pc == address or (exact and step.name == symbol.name) for step in steps)
