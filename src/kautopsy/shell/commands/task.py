"""``task``: the task_struct and thread_info."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator

from drgn import Object

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.shell.context import header, tasks_or_context
from kautopsy.shell.errors import CommandError
from kautopsy.shell.registry import Lines, PerTask, argument, command, flag
from kautopsy.shell.session import Session
from kautopsy.shell.structures import Wanted, part_of, shown
from kautopsy.shell.values import Values


@command(
    "task",
    "task_struct and thread_info contents",
    usage="[-R member[,member]] [-dx] [pid | taskp] ...",
    arguments=(
        argument("-R", dest="members", metavar="member[,member]", help="only these members"),
        flag("-x", "hexadecimal", dest="hexadecimal"),
        flag("-d", "decimal", dest="decimal"),
        argument("tasks", nargs="*", metavar="pid|taskp"),
    ),
    per_task=PerTask.ARGUMENT,
    drgn="""
    print(task[0])           # all of it
    print(task.comm)         # a member
    """,
)
def task_(session: Session, arguments: argparse.Namespace) -> Lines:
    """All of the task_struct of the current task or of those named, or some members."""
    session.need_types("task")
    program = session.program
    radix = session.base(hexadecimal=arguments.hexadecimal, decimal=arguments.decimal)
    values = Values(program, radix)
    for number, task in enumerate(tasks_or_context(session, arguments.tasks)):
        if number:
            yield ""
        yield header(task)
        if not arguments.members:
            yield from shown(program, Wanted("task_struct"), task.value_(), radix=radix)
            yield ""
            try:
                info = task.thread_info
                yield from shown(program, Wanted("thread_info"), int(info.address_of_()),
                                 radix=radix)  # fmt: skip
            except (CommandError, *READ_ERRORS):
                continue
            continue
        for name in arguments.members.split(","):
            parts = list(_parts(task, name))
            if not parts:
                raise CommandError("no such member", thing=name, hint="struct task_struct")
            for part in parts:
                yield from f"  {name} = {values.text(part, 2)},".split("\n")


def _parts(task: Object, name: str) -> Iterator[Object]:
    """Of the task_struct, of its thread_info, of both."""
    for whole in (task[0], task.thread_info):
        with contextlib.suppress(CommandError, *READ_ERRORS):
            yield part_of(whole, name)
