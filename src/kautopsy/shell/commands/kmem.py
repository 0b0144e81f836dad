"""``kmem``: the kernel's memory."""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Iterable, Iterator

from drgn import Object, sizeof

from kautopsy.kernel.tasks import stack_size
from kautopsy.shell.commands.set import shown_context
from kautopsy.shell.commands.sym import symbol_lines
from kautopsy.shell.context import all_tasks
from kautopsy.shell.delegate import delegate
from kautopsy.shell.errors import CommandError
from kautopsy.shell.expression import address_of
from kautopsy.shell.pageflags import page_lines
from kautopsy.shell.registry import Lines, command
from kautopsy.shell.session import Session
from kautopsy.shell.slabs import cache_table, every_object, object_lines, rooted

# drgn: order, size, migrate type, list, and but for -F blocks and pages.
_FREE_LIST = re.compile(r"\s*(\d+)\s+(\d+k)\s+[A-Z_]+\s+([0-9a-f]{8,16})(?:\s+(\d+)\s+(\d+))?$")


_USAGE_HEAD = "                 PAGES        TOTAL      PERCENTAGE"


@command(
    "kmem",
    "kernel memory",
    usage="[-f|-F|-c|-C|-i|-v|-V|-n|-z|-o|-h] [-p | -m member[,member]] "
    "[[-s|-S|-S=cpu[s]|-r] [slab] [-I slab[,slab]]] [-g [flags]] [[-P] address]",
    raw=True,
    table=True,
)
def kmem(session: Session, arguments: argparse.Namespace) -> Lines:
    """What an address is: symbol, slab object, page, task, stack. Or memory in use, by an option.

    -S lists every object of a slab cache, [allocated] in brackets, by CPU and node. -r sums a root
    cache and its children (4.11 to 5.8). -c and -C walk the page_hash_table, which Linux 2.6 did
    away with. Objects that kernels since 7.0 keep in a CPU's sheaves count as allocated. The other
    options are drgn's, listed below.
    """
    session.need_types("kmem")
    words = arguments.text.split()
    if not words:
        raise CommandError("an option or an address is missing", hint="help kmem")
    ignored = _option(words, "-I")
    if words[0] in ("-c", "-C"):
        raise CommandError("this kernel has no page_hash_table (it went away in Linux 2.6)")
    if words[0].startswith("-S"):
        return every_object(session, words[0][2:].lstrip("="), words[1:], ignored)
    if words[0] == "-r":
        return rooted(session, words[1:], ignored)
    if words[0] == "-s":
        return cache_table(session, words[1:], ignored)
    if words[0] in ("-p", "-m") or not words[0].startswith("-") or words[0] == "-P":
        return _address(session, words)
    lines = delegate(session, "kmem", arguments.text)
    if words[0] == "-i" or words[0].startswith("-i="):
        return _usage(session, delegate(session, "kmem", "-i"))
    if words[0] in ("-f", "-F"):
        return _free(lines)
    if words[0] == "-v":
        return _areas(lines)
    return _shaped(lines)


def _areas(lines: Iterator[str]) -> Iterator[str]:
    """By address: since 6.9 (d093602919ad) the kernel keeps them in several trees."""
    yield from itertools.islice(lines, 1)
    yield from sorted(lines, key=lambda line: line.split()[2:3])


def _shaped(lines: Iterable[str]) -> Iterator[str]:
    """drgn's tables in crash's form; what only names where other counters begin is left out."""
    for line in lines:
        if re.match(r"\s*(?:NR_(?:ZONE_)?LRU|WORKINGSET_[A-Z]+)_BASE\b", line):
            continue
        counter = re.match(r"(\s*NR_\w+)\s+(-?\d+)$", line)
        flags = re.match(r"\s*(PG_\w+\s+\d+  )([0-9a-f]+)$", line)
        node = re.match(r"(\s*\d+\s+\d+\s+[0-9a-f]{16})\s+([0-9a-f]{16})$", line)
        if counter is not None:
            yield f"{counter[1]}: {counter[2]}"
        elif flags is not None:
            yield f"{flags[1]}{flags[2]:0>7}"
        elif node is not None:
            yield f"{node[1]}        ----        {node[2]}"
        else:
            yield line


def _address(session: Session, words: list[str]) -> Iterator[str]:
    """What an address is; a physical one stands for the page that it lies in."""
    from drgn.helpers.linux.mm import pfn_to_page, phys_to_virt

    program = session.program
    words = [word for word in words if word != "-P"]
    if len(words) == (0, 2)[words[0] == "-m"] or words == ["-p"]:
        yield from delegate(session, "kmem", " ".join(words))
        return
    address = address_of(program, words[-1])
    rest = words[:-1]
    if not address >> 47:
        if rest:
            address = int(pfn_to_page(program, address >> 12))
        else:
            address = int(phys_to_virt(program, address))
    lines = page_lines(session, " ".join([*rest, f"{address:x}"]))
    nothing = True
    for line in _crashs_order(session, address, lines):
        nothing = False
        symbol = re.match(r"([0-9a-f]{16}) \(\?\) (\S+)$", line)
        state = re.match(r"  STATE: ", line)
        if symbol is not None:
            yield from symbol_lines(session, symbol[1])
        elif state is not None:
            yield list(shown_context(session, _task(session, address)))[-1]
        else:
            yield line
    if nothing:
        raise CommandError("neither symbol, object, page nor stack is there", thing=f"{address:x}")


def _crashs_order(session: Session, address: int, lines: Iterable[str]) -> Iterator[str]:
    """The slab object comes before the task that it is, and tells more of the slab."""
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line:
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    blocks.sort(key=lambda block: not (block and block[0].startswith("CACHE")))
    for number, block in enumerate(block for block in blocks if block):
        if number:
            yield ""
        slab = list(object_lines(session, address)) if block[0].startswith("CACHE") else []
        yield from slab or block


def _task(session: Session, address: int) -> Object:
    """The task whose task_struct or stack an address lies in."""
    size = stack_size(session.program)
    for task in all_tasks(session.program):
        start = task.value_()
        if start <= address < start + sizeof(task.type_.type):
            return task
        if int(task.stack) <= address < int(task.stack) + size:
            return task
    return session.context


def _option(words: list[str], name: str) -> tuple[str, ...]:
    if name not in words:
        return ()
    at = words.index(name)
    if at + 1 >= len(words):
        raise CommandError(f"{name} takes slab caches", hint="help kmem")
    value = words[at + 1]
    del words[at : at + 2]
    return tuple(value.split(","))


def _usage(session: Session, lines: Iterable[str]) -> Iterator[str]:
    """Percentages rounded down, sizes spaced, and what is shared, as crash shows them."""
    total: dict[str, int] = {}
    for line in lines:
        found = re.match(
            r"\s*([A-Z][A-Z ]*?)\s+(\d+)\s+([\d.]+\s?[KMGT]?B?)\s+(?:----|\d+% of ([A-Z ]+))$", line
        )
        if found is None:
            yield _USAGE_HEAD if "PERCENTAGE" in line else line
            continue
        name, pages, of = found[1], int(found[2]), found[4]
        total[name] = pages
        whole = {"TOTAL LIMIT": "COMMIT LIMIT"}.get(of or "", of or "")
        size = re.sub(r"^([\d.]+?)(?:\.0)?\s?([KMGT]B)$", r"\1 \2", found[3])
        share = (
            "----" if of is None else f"{100 * pages // max(1, total.get(whole, 0)):>3}% of {of}"
        )
        yield f"{name:>13}  {pages:>7}  {size:>12}  {share:>11}".rstrip()
        if name == "USED":
            shared = _shared(session)
            if shared is not None:
                memory = total.get("TOTAL MEM", 0)
                share = f"{100 * shared // max(1, memory):>3}% of TOTAL MEM"
                yield f"{'SHARED':>13}  {shared:>7}  {_pages(shared):>12}  {share:>11}"


def _pages(count: int) -> str:
    from kautopsy.shell.commands.mach import size_words

    return size_words(count * 4096)


def _shared(session: Session) -> int | None:
    """Pages in files that are mapped, ``NR_FILE_MAPPED``, as crash counts them since 5.0."""
    from drgn.helpers.linux.vmstat import global_node_page_state

    try:
        return int(global_node_page_state(session.program["NR_FILE_MAPPED"]))
    except (LookupError, TypeError, ValueError):
        return None


def _free(lines: Iterable[str]) -> Iterator[str]:
    """crash's heads; its table does not say which migrate type a list is of."""
    for line in lines:
        line = line.replace("START_PFN", "START_MAPNR")
        if line.startswith("ORDER"):
            yield "AREA    SIZE  FREE_AREA_STRUCT  BLOCKS  PAGES"
            continue
        found = re.match(
            r"\s*(\d+)\s+(\d+k)\s+[A-Z_]+\s+([0-9a-f]{8,16})(?:\s+(\d+)\s+(\d+))?$", line
        )
        if found is None:
            yield line
        elif found[4] is None:
            yield f"{found[1]:>3} {found[2]:>9}  {found[3]}"
        else:
            yield f"{found[1]:>3} {found[2]:>9}  {found[3]}  {found[4]:>6} {found[5]:>6}"
