"""``vm``: the memory of a task."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator

from drgn import Object
from drgn.helpers.linux.mm import for_each_vma, task_rss

from kautopsy.kernel.reading import READ_ERRORS, reason
from kautopsy.shell.context import header, hexadecimal, tasks_or_context
from kautopsy.shell.errors import BadArgumentsError, CommandError
from kautopsy.shell.paging import need_x86, swap_file, swapped, walk
from kautopsy.shell.registry import Lines, PerTask, argument, command, flag
from kautopsy.shell.session import Session
from kautopsy.shell.structures import Wanted, shown
from kautopsy.shell.vmas import vma_file, vma_head, vma_line

_PAGE = 4096
# include/linux/mm.h: bits that have kept their meaning since 3.x; others by their number.
_FLAGS = (
    "READ", "WRITE", "EXEC", "SHARED", "MAYREAD", "MAYWRITE", "MAYEXEC", "MAYSHARE", "GROWSDOWN",
    "UFFD_MISSING", "PFNMAP", "", "UFFD_WP", "LOCKED", "IO", "SEQ_READ", "RAND_READ", "DONTCOPY",
    "DONTEXPAND", "LOCKONFAULT", "ACCOUNT", "NORESERVE", "HUGETLB", "SYNC", "ARCH_1",
    "WIPEONFORK", "DONTDUMP", "SOFTDIRTY", "MIXEDMAP", "HUGEPAGE", "NOHUGEPAGE", "MERGEABLE",
)  # fmt: skip


@command(
    "vm",
    "virtual memory",
    usage="[-p | -P vma | -M mm | -v | -m | -x | -d | [-R reference] [pid | task]] [-f vm_flags]",
    arguments=(
        flag("-p", "translate every page", dest="pages"),
        argument("-P", dest="one", metavar="vma", help="translate the pages of one area"),
        argument("-M", dest="mm", help="use this mm_struct, of an exiting task for one"),
        argument("-R", dest="reference", help="only areas that refer to a number or a file"),
        flag("-m", "the mm_struct", dest="struct"),
        flag("-v", "all vm_area_structs", dest="areas"),
        flag("-x", "hexadecimal", dest="hexadecimal"),
        flag("-d", "decimal", dest="decimal"),
        argument("-f", dest="flags", metavar="vm_flags", help="what the bits of FLAGS mean"),
        argument("tasks", nargs="*", metavar="pid|task"),
    ),
    per_task=PerTask.ARGUMENT,
    drgn="""
    from drgn.helpers.linux.mm import for_each_vma
    for vma in for_each_vma(task.mm):
        print(hex(vma.vm_start), hex(vma.vm_end), vma.vm_file)
    """,
)
def vm(session: Session, arguments: argparse.Namespace) -> Lines:
    """The mm_struct, page directory, sizes and areas of the current task, or of those named."""
    if arguments.flags is not None:
        yield _flags(arguments.flags)
        return
    session.need_types("vm")
    for number, task in enumerate(tasks_or_context(session, arguments.tasks)):
        if number:
            yield ""
        lines = _one(session, task, arguments)
        if arguments.reference:
            yield from _referring(lines, arguments.reference)
        else:
            yield from lines


def _flags(text: str) -> str:
    try:
        value = int(text, 16)
    except ValueError:
        raise BadArgumentsError("flags are a hexadecimal number", thing=text) from None
    names = [
        (_FLAGS[bit] if bit < len(_FLAGS) else "") or f"bit {bit}"
        for bit in range(64)
        if value >> bit & 1
    ]
    return f"{value:x}: ({'|'.join(names)})"


def _one(session: Session, task: Object, arguments: argparse.Namespace) -> Iterator[str]:
    program = session.program
    yield header(task)
    mm = task.mm.read_()
    if arguments.mm:
        try:
            mm = Object(program, "struct mm_struct *", int(arguments.mm, 16))
        except ValueError:
            raise BadArgumentsError("an mm is a hexadecimal address", thing=arguments.mm) from None
    radix = session.base(hexadecimal=arguments.hexadecimal, decimal=arguments.decimal)
    if arguments.struct:
        if mm:
            yield from shown(program, Wanted("mm_struct"), mm.value_(), radix=radix)
        return
    if mm and arguments.areas:
        for vma in _areas(mm):
            yield from shown(program, Wanted("vm_area_struct"), vma.value_(), radix=radix)
        return
    if mm and arguments.one:
        yield from _one_area(session, mm, arguments.one)
        return
    yield "       MM               PGD          RSS    TOTAL_VM"
    if not mm:
        yield "       0                 0            0k       0k"
        return
    yield (
        f"{mm.value_():016x}  {int(mm.pgd):016x}  {_rss(session, task, mm)}k  "
        f"  {int(mm.total_vm) * 4}k"
    )
    first = True
    for vma in _areas(mm):
        if first or arguments.pages:
            yield vma_head()
        first = False
        yield vma_line(vma)
        if arguments.pages:
            yield from _pages(session, mm, vma)
            yield ""


def _one_area(session: Session, mm: Object, word: str) -> Iterator[str]:
    wanted = hexadecimal(word)
    if wanted is None:
        raise BadArgumentsError("a vma is a hexadecimal address", thing=word)
    for vma in _areas(mm):
        if vma.value_() == wanted:
            yield vma_head()
            yield vma_line(vma)
            yield from _pages(session, mm, vma)
            return
    raise CommandError("is no area of this task", thing=word)


def _areas(mm: Object) -> Iterator[Object]:
    try:
        yield from for_each_vma(mm)
    except READ_ERRORS as error:
        raise CommandError(f"the list of areas ends: {reason(error)}") from error


def _rss(session: Session, task: Object, mm: Object) -> int | str:
    try:
        if mm.value_() == task.mm.value_():
            return task_rss(session.program, task).total * 4
        return "?"
    except READ_ERRORS:
        return "?"


def _pages(session: Session, mm: Object, vma: Object) -> Iterator[str]:
    from drgn.helpers.linux.mm import virt_to_phys

    program = session.program
    need_x86(program)
    yield "VIRTUAL     PHYSICAL"
    pgd = int(virt_to_phys(mm.pgd))
    start = int(vma.vm_start)
    path = vma_file(vma)
    offset = int(vma.vm_pgoff) * _PAGE
    for address in range(start, int(vma.vm_end), _PAGE):
        try:
            entry = walk(program, pgd, address)
        except CommandError:
            yield f"{address:<10x}  (page table not in the dump)"
            continue
        last = entry.levels[-1]
        where = swapped(last.entry) if last.name == "PTE" else None
        if entry.physical is not None:
            yield f"{address:<10x}  {entry.physical:x}"
        elif where is not None:
            yield f"{address:<10x}  SWAP: {swap_file(program, where[0])}  OFFSET: {where[1]}"
        elif path:
            yield f"{address:<10x}  FILE: {path}  OFFSET: {offset + address - start:x}"
        else:
            yield f"{address:<10x}  (not mapped)"


def _referring(lines: Iterable[str], reference: str) -> Iterator[str]:
    """Heads and the lines with the reference; nothing where there is none."""
    heads: list[str] = []
    found = False
    pattern = re.compile(rf"(?<![0-9A-Za-z]){re.escape(reference.removeprefix('0x'))}")
    for line in lines:
        if re.match(r"PID:|\s+[A-Z]|[0-9a-f]{16}  [0-9a-f]{16}  .*k$", line):
            heads.append(line)
        elif pattern.search(line):
            if not found:
                yield from heads
            found = True
            yield line
