"""``set``: the current task, and how the shell behaves."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterator

from drgn import Object
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.sched import cpu_curr, task_cpu

from kautopsy.kernel.reading import READ_ERRORS, text
from kautopsy.shell.context import cpus, on_cpu, pid_or_task, state
from kautopsy.shell.errors import BadArgumentsError, CommandError
from kautopsy.shell.registry import Lines, PerTask, argument, command, flag
from kautopsy.shell.session import Session

_STATES = {
    "RU": "TASK_RUNNING", "IN": "TASK_INTERRUPTIBLE", "UN": "TASK_UNINTERRUPTIBLE",
    "ID": "TASK_UNINTERRUPTIBLE|TASK_NOLOAD", "ZO": "EXIT_ZOMBIE", "DE": "EXIT_DEAD",
    "ST": "TASK_STOPPED", "TR": "TASK_TRACING_STOPPED", "PA": "TASK_PARKED",
}  # fmt: skip
_RADICES = {"10": 10, "dec": 10, "decimal": 10, "ten": 10,
            "16": 16, "hex": 16, "hexadecimal": 16, "sixteen": 16}  # fmt: skip


@command(
    "set",
    "set a process context or internal crash variable",
    usage="[[-a] [pid | taskp] | [-c cpu] | -p] | [variable [setting]] | -v",
    arguments=(
        flag("-a", "the task is the active one of its CPU from now on", dest="active"),
        argument("-c", dest="cpu", help="the active task of a CPU"),
        flag("-p", "the task that panicked", dest="panic"),
        flag("-v", "all variables", dest="variables"),
        argument("words", nargs="*", metavar="pid|taskp|variable"),
    ),
    per_task=PerTask.CONTEXT,
    drgn="""
    from drgn.helpers.linux.pid import find_task
    task = find_task(prog, 1)
    """,
)
def set_(session: Session, arguments: argparse.Namespace) -> Lines:
    """Without words: the current task. With a pid or a task's address: that becomes the current.

    Variables: scroll on|off|less|more, radix 10|16, hex, dec, gdb on|off (on: what is no command
    goes to the gdb command).
    """
    if arguments.variables:
        yield from _variables(session)
        return
    words = arguments.words
    if words and words[0] in _SETTERS:
        yield _SETTERS[words[0]](session, words[1:])
        return
    session.need_types("set")
    if arguments.panic:
        session.context = session.first_context()
    elif arguments.cpu is not None:
        [cpu] = cpus(session, arguments.cpu)[:1]
        session.context = cpu_curr(session.program, cpu)
    elif words:
        if len(words) > 1:
            raise BadArgumentsError("one pid or task", thing=" ".join(words))
        if not words[0][0].isalnum():
            raise BadArgumentsError("not a pid, task or variable", thing=words[0])
        try:
            session.context = pid_or_task(session, words[0])
        except CommandError as error:
            raise CommandError(error.what, thing=words[0], hint="help set") from None
        if arguments.active:
            active = on_cpu(session.program)
            cpu = task_cpu(session.context)
            active.discard(cpu_curr(session.program, cpu).value_())
            active.add(session.context.value_())
    yield from shown_context(session, session.context)


def shown_context(session: Session, task: Object) -> Iterator[str]:
    """The block that ``set`` and ``sys`` show of a task."""
    yield f"    PID: {int(task.pid)}"
    yield f'COMMAND: "{text(task.comm.string_())}"'
    idle = ""
    every = list(for_each_possible_cpu(session.program))
    if not int(task.pid) and len(every) > 1:
        idle = f"  (1 of {len(every)})"
    yield f"   TASK: {task.value_():x}{idle}  [THREAD_INFO: {_thread_info(task):x}]"
    yield f"    CPU: {task_cpu(task)}"
    letters = state(task)
    note = ""
    if task.value_() in on_cpu(session.program):
        note = " (ACTIVE)"
        try:
            if not session.live and task.value_() == session.first_context().value_():
                note = " (PANIC)"
        except CommandError:
            pass
    yield f"  STATE: {_STATES.get(letters, letters)}{note}"


def _thread_info(task: Object) -> int:
    """In the task_struct with CONFIG_THREAD_INFO_IN_TASK, else at the base of its stack."""
    try:
        return int(task.thread_info.address_of_())
    except READ_ERRORS:
        return int(task.stack)


def _scroll(session: Session, words: list[str]) -> str:
    if words:
        if words[0] in ("on", "off"):
            session.settings.scroll = words[0] == "on"
        elif words[0] in ("less", "more"):
            if shutil.which(words[0]) is None:
                raise CommandError("pager not found", thing=words[0])
            session.settings.pager = "less -E -X" if words[0] == "less" else "more"
            session.settings.scroll = True
        else:
            raise BadArgumentsError("scroll is on, off, less or more", thing=words[0])
    pager = session.settings.pager or "less -E -X"
    return f"scroll: {'on' if session.settings.scroll else 'off'} ({pager})"


def _radix(session: Session, words: list[str]) -> str:
    if words:
        if words[0] not in _RADICES:
            raise BadArgumentsError("radix is 10 or 16", thing=words[0])
        session.settings.radix = _RADICES[words[0]]
    radix = session.settings.radix
    return f"output radix: {radix} ({'hex' if radix == 16 else 'decimal'})"


def _gdb(session: Session, words: list[str]) -> str:
    if words:
        if words[0] not in ("on", "off"):
            raise BadArgumentsError("gdb is on or off", thing=words[0])
        session.settings.gdb = words[0] == "on"
    now = "on" if session.settings.gdb else "off"
    return f"gdb: {now} (on: what is no command goes to the gdb command)"


_SETTERS: dict[str, Callable[[Session, list[str]], str]] = {
    "scroll": _scroll,
    "radix": _radix,
    "hex": lambda session, words: _radix(session, ["16"]),
    "dec": lambda session, words: _radix(session, ["10"]),
    "gdb": _gdb,
}


def _variables(session: Session) -> Iterator[str]:
    for name in ("scroll", "radix", "gdb"):
        yield _SETTERS[name](session, [])
    yield f"symbols: {session.symbols.source}"
    yield f"overlay: {len(session.overlay.writes) if session.overlay else 0} writes"
