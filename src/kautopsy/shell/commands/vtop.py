"""``vtop`` and ``ptov``: virtual to physical addresses, and back."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from drgn import Architecture, Object, Program
from drgn.helpers.linux.mm import pfn_to_page, phys_to_virt, virt_to_phys

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.shell.context import pid_or_task
from kautopsy.shell.delegate import delegate
from kautopsy.shell.errors import BadArgumentsError, CommandError
from kautopsy.shell.expression import address_of
from kautopsy.shell.pageflags import page_lines
from kautopsy.shell.paging import Walk, explained, kernel_pgd, user_pgd, walk
from kautopsy.shell.registry import Lines, PerTask, argument, command, flag
from kautopsy.shell.session import Session


@command(
    "vtop",
    "virtual to physical",
    usage="[-c [pid | taskp]] [-u|-k] address ...",
    arguments=(
        flag("-u", "user space of the current task", dest="user"),
        flag("-k", "kernel space", dest="kernel"),
        argument("-c", dest="context", metavar="pid|taskp", help="user space of this task"),
        argument("addresses", nargs="+", metavar="address"),
    ),
    per_task=PerTask.CONTEXT,
    drgn="""
    from drgn.helpers.linux.mm import follow_phys, virt_to_phys
    hex(virt_to_phys(0xffff...))             # the direct map and the kernel's image
    hex(follow_phys(task.mm, 0x400000))      # through the page tables
    """,
)
def vtop(session: Session, arguments: argparse.Namespace) -> Lines:
    """Translates addresses by the page tables: every entry on the way, its flags, the page.

    Without -u and -k the address tells which: what the user's half holds is the current task's.
    """
    session.need_types("vtop")
    task = pid_or_task(session, arguments.context) if arguments.context else session.context
    for number, text in enumerate(arguments.addresses):
        address = address_of(session.program, text)
        if number:
            yield ""
        user = arguments.user or (not arguments.kernel and not address >> 63)
        yield from _one(session, task, address, user=user)


def _one(session: Session, task: Object, address: int, *, user: bool) -> Iterator[str]:
    program = session.program
    platform = program.platform
    if platform is None or platform.arch is not Architecture.X86_64:
        yield from delegate(session, "vtop", f"{'-u' if user else '-k'} {address:x}")
        return
    error: CommandError | None = None
    found: Walk | None = None
    try:
        found = walk(program, user_pgd(task) if user else kernel_pgd(program), address)
    except CommandError as failure:
        error = failure
    physical = found.physical if found is not None else None
    if physical is None and not user:
        # The page tables may be excluded from the dump; the direct map needs none.
        try:
            physical = int(virt_to_phys(program, address))
        except READ_ERRORS:
            physical = None
    shown = f"{physical:x}" if physical is not None else "(not mapped)"
    width = max(len(f"{address:x}"), 8)
    yield f"{'VIRTUAL':<{width}}  PHYSICAL"
    yield f"{address:<{width}x}  {shown}"
    yield ""
    if found is not None:
        yield from _levels(found, None if user else program)
        last = found.levels[-1]
        if last.entry:
            yield ""
            yield from explained(program, last.entry, large=found.size > 4096)
    elif error is not None:
        yield f"({error})"
    if user:
        yield from _vma(session, task, address)
    if physical is not None:
        yield ""
        try:
            page = int(pfn_to_page(session.program, physical >> 12))
            yield from page_lines(session, f"-p {page:x}")
        except (CommandError, *READ_ERRORS):
            yield "(its struct page is not in the dump)"


def _levels(found: Walk, kernel: Program | None) -> Iterator[str]:
    levels = found.levels
    if kernel is not None and levels:
        # As crash lays out the kernel's own: the directory, and its entry.
        yield f"PGD DIRECTORY: {int(kernel['init_mm'].pgd):x}"
        yield f"PAGE DIRECTORY: {levels[0].entry:x}"
        levels = levels[1:]
    for level in levels:
        yield f"{level.name:>6}: {level.at:x} => {level.entry:x}"
    if found.physical is not None:
        base = found.physical & ~(found.size - 1)
        size = {1 << 21: "  (2MB)", 1 << 30: "  (1GB)"}.get(found.size, "")
        yield f"{'PAGE':>6}: {base:x}{size}"


def _vma(session: Session, task: Object, address: int) -> Iterator[str]:
    from drgn.helpers.linux.mm import vma_find

    from kautopsy.shell.vmas import vma_head, vma_line

    try:
        vma = vma_find(task.mm, address)
    except READ_ERRORS:
        return
    if vma:
        yield ""
        yield vma_head()
        yield vma_line(vma)


@command(
    "ptov",
    "physical to virtual",
    usage="address | cpuid:offset ...",
    arguments=(argument("addresses", nargs="+", metavar="address"),),
    table=True,
    drgn="""
    from drgn.helpers.linux.mm import phys_to_virt
    phys_to_virt(0x56e000)
    """,
)
def ptov(session: Session, arguments: argparse.Namespace) -> Lines:
    """The kernel's virtual address of physical memory, by its direct map.

    OFFSET:cpuspec translates a per-CPU offset on CPUs 0,2-3, a for all, nothing for the current.
    """
    from drgn.helpers.linux.percpu import per_cpu_ptr

    from kautopsy.shell.context import cpus

    program = session.program
    for number, text in enumerate(arguments.addresses):
        if number:
            yield ""
        word, colon, spec = text.partition(":")
        try:
            address = int(word, 16)
        except ValueError:
            raise BadArgumentsError("a physical address is hexadecimal", thing=word) from None
        if colon:
            yield f"PER-CPU OFFSET: {address:x}"
            yield "  CPU    VIRTUAL"
            for cpu in cpus(session, spec):
                pointer = Object(program, "void *", address)
                yield f"  [{cpu}]  {int(per_cpu_ptr(pointer, cpu)):x}"
            continue
        yield "VIRTUAL           PHYSICAL"
        yield f"{int(phys_to_virt(program, address)):<16x}  {address:<16x}".rstrip()
