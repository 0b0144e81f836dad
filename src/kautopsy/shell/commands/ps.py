"""``ps``: the tasks, in crash's columns; who ran last; how many are in which state."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from drgn import Object
from drgn.helpers.linux.mm import task_rss
from drgn.helpers.linux.sched import task_cpu, thread_group_leader

from kautopsy.kernel.reading import READ_ERRORS, text
from kautopsy.kernel.tasks import now
from kautopsy.shell.context import (
    STATES,
    all_tasks,
    cpus,
    is_kernel,
    is_task,
    named,
    on_cpu,
    pid_or_task,
    state,
)
from kautopsy.shell.delegate import delegate
from kautopsy.shell.errors import BadArgumentsError, CommandError
from kautopsy.shell.registry import Lines, PerTask, argument, command, flag
from kautopsy.shell.session import Session

# include/uapi/linux/sched.h
_POLICIES = {"N": 0, "NORMAL": 0, "F": 1, "FIFO": 1, "R": 2, "RR": 2, "B": 3, "BATCH": 3,
             "I": 5, "IDLE": 5, "D": 6, "DEADLINE": 6}  # fmt: skip


@command(
    "ps",
    "display process status information",
    usage="[-k|-u|-G|-y policy] [-s] [-p|-c|-t|-[l|m][-C cpu]|-a|-g|-r|-S|-A|-H] [-I] "
    "[pid | task | command] ...",
    arguments=(
        flag("-k", "only kernel threads", dest="kernel"),
        flag("-u", "only user tasks", dest="user"),
        flag("-G", "only the thread group leader", dest="leaders"),
        argument("-y", dest="policy", help="only tasks of a policy: N F R B I D, or its number"),
        flag("-s", "the kernel stack pointer instead of the task's address", dest="stack"),
        flag("-p", "the parents up to the first", dest="parents"),
        flag("-c", "the children", dest="children"),
        flag("-t", "run time, start time, user and system time", dest="times"),
        flag("-l", "when it last ran, as the kernel's number", dest="last"),
        flag("-m", "how long ago it last ran", dest="ago"),
        argument("-C", dest="cpus", help="with -l or -m: by CPU"),
        flag("-a", "arguments and environment", dest="arguments"),
        flag("-g", "threads by group", dest="groups"),
        flag("-r", "resource limits", dest="limits"),
        flag("-S", "how many tasks are in which state", dest="states"),
        flag("-A", "only the active task of each CPU", dest="active"),
        flag("-H", "no header line", dest="no_header"),
        flag("-I", "without the idle tasks", dest="no_idle"),
        argument("which", nargs="*", metavar="pid|task|command"),
    ),
    per_task=PerTask.ARGUMENT,
    delegates=True,
    table=True,
)
def ps(session: Session, arguments: argparse.Namespace) -> Lines | None:
    """Tasks by pid, task address or name ('regular expression' in quotes); all without.

    States: RU running, IN interruptible, UN uninterruptible, ID idle, ZO zombie, ST stopped, TR
    traced, DE dead.
    """
    session.need_types("ps")
    if arguments.states:
        return _states(session)
    if arguments.last or arguments.ago:
        return _last(session, arguments)
    if (
        arguments.parents or arguments.children or arguments.times or arguments.arguments
        or arguments.groups or arguments.limits
    ):  # fmt: skip
        return _translated(delegate(session, "ps", arguments.text))
    return _table(session, arguments)


def selected(session: Session, arguments: argparse.Namespace) -> list[Object]:
    """The tasks that the words and filters choose, in crash's order."""
    program = session.program
    tasks = all_tasks(program)
    if arguments.which:
        chosen: dict[int, Object] = {}
        words = re.findall(r"'[^']*'|\S+", arguments.text)
        for word in arguments.which:
            quoted = f"'{word}'" if f"'{word}'" in words else word
            if quoted == word and is_task(session, word):
                found = [pid_or_task(session, word)]
            else:
                found = list(named(tasks, quoted))
            if not found:
                raise CommandError("no task of this pid, address or name", thing=word)
            chosen |= {task.value_(): task for task in found}
        tasks = list(chosen.values())
        if arguments.leaders:
            leaders = [task.group_leader.read_() for task in tasks]
            tasks = list({task.value_(): task for task in leaders}.values())
    elif arguments.leaders:
        tasks = [task for task in tasks if thread_group_leader(task)]
    if arguments.kernel:
        tasks = [task for task in tasks if is_kernel(task)]
    if arguments.user:
        tasks = [task for task in tasks if not is_kernel(task)]
    if arguments.no_idle:
        tasks = [task for task in tasks if int(task.pid) != 0]
    if arguments.active:
        running = on_cpu(program)
        tasks = [task for task in tasks if task.value_() in running]
    if arguments.policy is not None:
        wanted = _policy(arguments.policy)
        tasks = [task for task in tasks if int(task.policy) in wanted]
    return tasks


def _policy(words: str) -> set[int]:
    found = set()
    for word in words.split(","):
        number = _POLICIES.get(word.upper(), int(word) if word.isdigit() else None)
        if number is None:
            raise BadArgumentsError("invalid policy", thing=word, hint="N F R B I D or a number")
        found.add(number)
    return found


def _table(session: Session, arguments: argparse.Namespace) -> Iterator[str]:
    program = session.program
    if not arguments.no_header:
        title = "KSTACKP" if arguments.stack else "TASK"
        yield (f"      PID    PPID  CPU  {title:^16}  ST  %MEM      VSZ      RSS  COMM")
    running = on_cpu(program)
    pages = _total_pages(session)
    memory: dict[int, tuple[int, int]] = {}
    for task in selected(session, arguments):
        yield _row(session, task, running, pages, memory, stack=arguments.stack)


def _row(
    session: Session,
    task: Object,
    running: set[int],
    pages: int,
    memory: dict[int, tuple[int, int]],
    *,
    stack: bool,
) -> str:
    address = task.value_()
    mark = ">" if address in running else " "
    comm = text(task.comm.string_())
    total = resident = 0
    if is_kernel(task):
        comm = f"[{comm}]"
    else:
        mm = int(task.mm)
        if mm not in memory:
            memory[mm] = _memory(session, task)
        total, resident = memory[mm]
    place = f"{address:x}"
    if stack:
        # Of a task that runs nothing is saved.
        place = f"{'--':^16}" if address in running else f"{int(task.thread.sp):x}"
    share = 100 * resident / pages if pages else 0.0
    try:
        # The idle tasks are nobody's children, though init forked all but the first.
        parent = str(int(task.real_parent.pid) if int(task.pid) else 0)
    except READ_ERRORS:
        parent = "?"
    return (
        f"{mark} {int(task.pid):>7} {parent:>7} {task_cpu(task):>3}  {place}  "
        f"{state(task)} {share:>5.1f} {total * 4:>8} {resident * 4:>8}  {comm}"
    )


def _memory(session: Session, task: Object) -> tuple[int, int]:
    try:
        return int(task.mm.total_vm), task_rss(session.program, task).total
    except READ_ERRORS:
        return 0, 0


def _total_pages(session: Session) -> int:
    """What %MEM is of: the page frames that the nodes span, as crash."""
    from drgn.helpers.linux.mmzone import for_each_online_pgdat

    try:
        return sum(int(node.node_spanned_pages) for node in for_each_online_pgdat(session.program))
    except READ_ERRORS:
        return 0


def _states(session: Session) -> Iterator[str]:
    counts = Counter(state(task) for task in all_tasks(session.program))
    for name in dict.fromkeys(STATES.values()):
        if counts[name]:
            yield f"  {name}: {counts[name]}"
    if counts["??"]:
        yield f"  ??: {counts['??']}"


def _last(session: Session, arguments: argparse.Namespace) -> Iterator[str]:
    tasks = selected(session, arguments)
    stamped = sorted(
        ((_last_run(task), task) for task in tasks), key=lambda one: one[0], reverse=True
    )
    if arguments.cpus is None:
        yield from _stamped(session, stamped, ago=arguments.ago)
        return
    for cpu in cpus(session, arguments.cpus):
        yield f"CPU: {cpu}"
        mine = [one for one in stamped if task_cpu(one[1]) == cpu]
        yield from _stamped(session, mine, ago=arguments.ago)
        yield ""


def _last_run(task: Object) -> int:
    """``sched_info.last_arrival``, as crash; kernels without it have the entity's start."""
    for owner, member in (("sched_info", "last_arrival"), ("se", "exec_start")):
        try:
            return int(task.member_(owner).member_(member))
        except READ_ERRORS:
            continue
    return 0


def _stamped(
    session: Session, stamped: Iterable[tuple[int, Object]], *, ago: bool
) -> Iterator[str]:
    clocks: dict[int, int] = {}
    for stamp, task in stamped:
        cpu = task_cpu(task)
        if ago:
            if cpu not in clocks:
                clocks[cpu] = _clock(session, cpu)
            when = _duration(max(0, clocks[cpu] - stamp))
        else:
            when = str(stamp)
        comm = text(task.comm.string_())
        yield (
            f"[{when}] [{state(task)}]  PID: {int(task.pid):<8} TASK: {task.value_():x}  "
            f'CPU: {cpu:<4} COMMAND: "{comm}"'
        )


def _clock(session: Session, cpu: int) -> int:
    """The runqueue's clock, which crash measures from; where it lags, so does crash's number."""
    from drgn.helpers.linux.sched import cpu_rq

    try:
        return int(cpu_rq(session.program, cpu).clock)
    except READ_ERRORS:
        return now(session.program)


def _duration(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    days, seconds = divmod(seconds, 86400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    return f"{days} {hours:02}:{minutes:02}:{seconds:02}.{rest // 10**6:03}"


def _translated(lines: Iterable[str]) -> Iterator[str]:
    """drgn's lines; its state letters are the kernel's."""
    for line in lines:
        yield re.sub(
            r"^(>?\s+\d+\s+\d+\s+\d+\s+[0-9a-f]{8,16}\s+)([A-Za-z])(\s)",
            lambda found: found[1] + STATES.get(found[2], found[2]) + found[3],
            line,
        )
