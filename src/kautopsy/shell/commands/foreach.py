"""``foreach``: one command for many tasks."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

from drgn import Object
from drgn.helpers.linux.sched import thread_group_leader

from kautopsy.kernel.reading import READ_ERRORS, reason
from kautopsy.shell.context import (
    STATES,
    all_tasks,
    header,
    is_kernel,
    is_task,
    named,
    on_cpu,
    pid_or_task,
    state,
)
from kautopsy.shell.errors import BadArgumentsError, CommandError, LeaveShell
from kautopsy.shell.line import parse
from kautopsy.shell.registry import Lines, PerTask, command, commands
from kautopsy.shell.session import Session

_NEVER = {"foreach", "exit", "q", "repeat", "py", "drgn"}
_FILTERS = {"kernel", "user", "gleader", "active"}
_OWN_HEADER = {"bt", "ps", "vm", "files", "task", "sig", "net"}


@command(
    "foreach",
    "display command data for multiple tasks in the system",
    usage="[[pid | taskp | name | state | [kernel | user | gleader | active]] ...] command "
    "[flag] [argument]",
    raw=True,
    drgn="""
    from drgn.helpers.linux.pid import for_each_task
    for task in for_each_task(prog):
        print(task.pid, task.comm)
    """,
)
def foreach(session: Session, arguments: argparse.Namespace) -> Lines:
    """Runs a command for every task, or for those chosen.

    pid, taskp, name ('regular expression' in quotes, \\name where a name is also a command), state
    (RU IN UN ST ZO ID ...), kernel, user, gleader (one of each process, no kernel threads), active
    (on a CPU). Words of one kind add up; of several kinds all must hold. The command is any of the
    shell: those that know tasks (bt vm files task sig net ps vtop set) get the task, others run
    with it as context.
    """
    words = _words(arguments.text)
    chosen: list[str] = []
    while words and not _is_command(session, words[0]):
        chosen.append(words.pop(0))
    if not words:
        raise BadArgumentsError("a command is missing", hint="foreach [which] command")
    name, rest = words[0], " ".join(words[1:])
    if name in _NEVER:
        raise BadArgumentsError("cannot be run for every task", thing=name)
    return _run(session, _select(session, chosen), name, rest)


def _words(text: str) -> list[str]:
    import re

    return re.findall(r"'[^']*'|\"[^\"]*\"|\S+", text)


def _is_command(session: Session, word: str) -> bool:
    return word in commands() or word == "test"


def _select(session: Session, words: list[str]) -> list[Object]:
    program = session.program
    tasks = all_tasks(program)
    identified: dict[int, Object] = {}
    any_identified = False
    states: set[str] = set()
    tests: list[Callable[[Object], bool]] = []
    for word in words:
        if word in _FILTERS:
            tests.append(_test(session, word))
        elif word.upper() in STATES.values():
            states.add(word.upper())
        else:
            any_identified = True
            if is_task(session, word):
                found = [pid_or_task(session, word)]
            else:
                found = list(named(tasks, word))
            if not found:
                raise CommandError("no task, state or command of this name", thing=word)
            identified |= {task.value_(): task for task in found}
    if any_identified:
        tasks = list(identified.values())
    if states:
        tasks = [task for task in tasks if state(task) in states]
    return [task for task in tasks if all(test(task) for test in tests)]


def _test(session: Session, word: str) -> Callable[[Object], bool]:
    running = on_cpu(session.program)
    return {
        "kernel": is_kernel,
        "user": lambda task: not is_kernel(task),
        "gleader": lambda task: not is_kernel(task) and bool(thread_group_leader(task)),
        "active": lambda task: task.value_() in running,
    }[word]


def _run(session: Session, tasks: list[Object], name: str, rest: str) -> Iterator[str]:
    from kautopsy.shell.run import lines_of

    known = commands().get(name)
    if known is None:  # test: only the list of tasks, as crash's own test
        yield from (header(task) for task in tasks)
        return
    before = session.context
    if name == "ps":
        if not tasks:
            return
        addresses = " ".join(f"{task.value_():x}" for task in tasks)
        yield from lines_of(session, "ps", f"{rest} {addresses}".strip())
        return
    try:
        for number, task in enumerate(tasks):
            if number:
                yield ""
            yield from _for_one(session, task, name, rest, known.per_task)
    finally:
        session.context = before


def _for_one(
    session: Session, task: Object, name: str, rest: str, per_task: PerTask
) -> Iterator[str]:
    from kautopsy.shell.run import lines_of

    session.context = task
    text = rest
    if per_task is PerTask.ARGUMENT:
        text = f"{rest} {task.value_():x}".strip()
    elif name not in _OWN_HEADER:
        yield header(task)
    try:
        parse(f"{name} {text}")
        yield from lines_of(session, name, text)
    except LeaveShell:
        raise
    except BadArgumentsError:
        raise
    except CommandError as error:
        if name in _OWN_HEADER:
            yield header(task)
        yield f"{name}: {error}"
    except READ_ERRORS as error:
        yield f"{name}: {reason(error)}"
