"""Which tasks a command is about: a pid, a task's address, a name, a state."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from drgn import Object, Program
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.pid import find_task
from drgn.helpers.linux.sched import idle_task, task_cpu, task_state_to_char

from kautopsy.kernel.reading import READ_ERRORS, text
from kautopsy.kernel.threads import threads
from kautopsy.shell.errors import CommandError
from kautopsy.shell.session import Session

PF_KTHREAD = 0x00200000
STATES = {
    "R": "RU", "S": "IN", "D": "UN", "T": "ST", "t": "TR", "X": "DE", "Z": "ZO", "P": "PA",
    "I": "ID", "K": "WK", "W": "WA",
}  # fmt: skip
"""crash's letters (``task_state_string``, task.c) for the kernel's."""


def state(task: Object) -> str:
    """Two letters, as crash shows a task's state; ``??`` where it cannot be read."""
    try:
        letter = task_state_to_char(task)
        # TASK_NEW and wakekill sleepers: crash 8 tells them by the first letter alone.
        return STATES.get(letter, "??")
    except READ_ERRORS:
        return "??"


def is_kernel(task: Object) -> bool:
    """Whether ``task`` is a kernel thread: it has no memory of its own."""
    return bool(int(task.flags) & PF_KTHREAD) or int(task.mm) == 0


def all_tasks(program: Program) -> list[Object]:
    """The idle tasks, then every thread by pid, as crash lists them."""
    idle: list[Object] = []
    for cpu in for_each_possible_cpu(program):
        try:
            idle.append(idle_task(program, cpu))
        except READ_ERRORS:
            continue
    known = {task.value_() for task in idle}
    rest = [task for task in threads(program).tasks if task.value_() not in known]
    return idle + rest


def on_cpu(program: Program) -> set[int]:
    """Addresses of the tasks that were running."""
    found = program.cache.get("kautopsy_shell_active")
    if isinstance(found, set):
        return found
    from drgn.helpers.linux.sched import cpu_curr

    active: set[int] = set()
    for cpu in for_each_possible_cpu(program):
        try:
            active.add(cpu_curr(program, cpu).value_())
        except READ_ERRORS:
            continue
    program.cache["kautopsy_shell_active"] = active
    return active


def header(task: Object, *, prefix: str = "", end: str = "") -> str:
    """``PID: 1  TASK: ffff...  CPU: 0  COMMAND: "init"``, spaced as crash spaces it."""
    comm = text(task.comm.string_())
    return (
        f"{prefix}PID: {int(task.pid):<8} TASK: {task.value_():x}  "
        f'CPU: {task_cpu(task):<4} COMMAND: "{comm}"{end}'
    )


def pid_or_task(session: Session, word: str) -> Object:
    """A task by pid (decimal) or address (hexadecimal).

    :raises CommandError: there is none
    """
    program = session.program
    found = _find(program, word)
    if found is None:
        raise CommandError("invalid task or pid value", thing=word, hint="ps lists them")
    return found


def _find(program: Program, word: str) -> Object | None:
    if re.fullmatch(r"[0-9]+", word):
        if int(word) == 0:
            return idle_task(program, 0)
        if int(word) < 1 << 31:
            task = find_task(program, int(word))
            if task:
                return task
    address = hexadecimal(word)
    if address is not None and address > 0xFFFF:
        known = program.cache.get("kautopsy_shell_addresses")
        if not isinstance(known, dict):
            known = {task.value_(): task for task in all_tasks(program)}
            program.cache["kautopsy_shell_addresses"] = known
        found = known.get(address)
        return found if isinstance(found, Object) else None
    return None


def hexadecimal(word: str) -> int | None:
    """``word`` as an address, None if it is none."""
    try:
        return int(word, 16)
    except ValueError:
        return None


def is_task(session: Session, word: str) -> bool:
    """Whether ``word`` names one task by pid or address."""
    return _find(session.program, word) is not None


def tasks_or_context(session: Session, words: Sequence[str]) -> list[Object]:
    """The tasks that ``words`` name by pid or address; the current one where there are none."""
    if not words:
        return [session.context]
    return [pid_or_task(session, word) for word in words]


def group(task: Object) -> list[Object]:
    """The threads of a task's group, the leader first.

    :param task: ``struct task_struct *``
    """
    from drgn.helpers.linux.pid import for_each_task_in_group

    leader = task.group_leader.read_()
    found = [leader]
    found += [
        one
        for one in for_each_task_in_group(leader, include_self=False)
        if one.value_() != leader.value_()
    ]
    return found


def named(tasks: Iterable[Object], word: str) -> Iterator[Object]:
    """Tasks by name, also with a backslash before it; or by a regular expression in quotes."""
    pattern: re.Pattern[str] | None = None
    if len(word) > 1 and word[0] == word[-1] == "'":
        try:
            pattern = re.compile(word[1:-1])
        except re.error as error:
            raise CommandError(f"is no regular expression: {error}", thing=word) from error
    name = word.removeprefix("\\")[:15]
    for task in tasks:
        comm = text(task.comm.string_())
        if pattern.search(comm) if pattern is not None else comm == name:
            yield task


def cpus(session: Session, spec: str) -> list[int]:
    """CPUs by number: ``0``, ``1,3``, ``1-4,7``, ``a`` or ``all``; '' is the current task's.

    :raises CommandError: it is none of these, or such a CPU does not exist
    """
    possible = sorted(for_each_possible_cpu(session.program))
    if not spec:
        return [task_cpu(session.context)]
    if spec in ("a", "all"):
        return possible
    found: list[int] = []
    for part in spec.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None:
            raise CommandError("invalid cpu list", thing=spec, hint="as 0,2-3, or a for all")
        low, high = int(match[1]), int(match[2] or match[1])
        if high >= len(possible) * 64 or low > high:
            raise CommandError("no such cpu", thing=part)
        found += range(low, high + 1)
    for cpu in found:
        if cpu not in possible:
            raise CommandError("no such cpu", thing=str(cpu))
    return found
