"""``tree``: red-black trees, radix trees, XArrays, maple trees."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from drgn import Object

from kautopsy.kernel.reading import READ_ERRORS, reason
from kautopsy.shell.commands.list import offset_of
from kautopsy.shell.delegate import delegate
from kautopsy.shell.errors import BadArgumentsError
from kautopsy.shell.expression import address_of
from kautopsy.shell.registry import Lines, argument, command, flag
from kautopsy.shell.session import Session
from kautopsy.shell.structures import Wanted, shown
from kautopsy.shell.trees import Entry, MapleTree, red_black, xarray

# From Linux 4.20 on a radix_tree_root is an XArray under another name (f8d5d0cc145c).
_KINDS = {"ra": "radix", "rb": "rbtree", "x": "xarray", "m": "maple"}


@command(
    "tree",
    "display radix tree, XArray, Maple Tree or red-black tree",
    usage="[-t [radix|xarray|rbtree|maple]] [-r offset] [-[s|S] struct[.member[,member]]] "
    "[-x|d] [-o offset] [-l] [-p] [-v] [-N] start",
    arguments=(
        argument("-t", dest="kind", default="rbtree",
                 help="radix, xarray, rbtree or maple, or ra, x, rb, m (%(default)s)"),
        argument("-r", dest="root_offset", metavar="offset",
                 help="of the root in the structure at start: a number or struct.member"),
        argument("-o", dest="offset",
                 help="of the rb_node in its structure: a number or struct.member"),
        argument("-s", dest="structs", action="append", default=[],
                 metavar="struct[.member[,member]]", help="show this structure for each entry"),
        argument("-S", dest="structs", action="append", metavar="struct.member", help="as -s"),
        flag("-x", "hexadecimal", dest="hexadecimal"),
        flag("-d", "decimal", dest="decimal"),
        flag("-l", "red-black trees: in order, from the leftmost on", dest="linear"),
        flag("-p", "say where each entry hangs: root/l/r, or its index and root/0/12",
             dest="position"),
        flag("-v", "maple trees: every node and what it holds", dest="verbose"),
        flag("-N", "start is a node (rb_node, xa_node, maple_node), not the root", dest="node"),
        argument("start", nargs="+", help="an address, symbol or expression"),
    ),
    drgn="""
    from drgn.helpers.linux.rbtree import rbtree_inorder_for_each_entry
    from drgn.helpers.linux.xarray import xa_for_each
    from drgn.helpers.linux.mapletree import mt_for_each
    for vma in mt_for_each(task.mm.mm_mt.address_of_()):
        print(vma)
    """,
)  # fmt: skip
def tree(session: Session, arguments: argparse.Namespace) -> Lines:
    """The entries of a tree, each by its address; -s shows structures at them, as list does."""
    kind = next((name for short, name in _KINDS.items() if name.startswith(arguments.kind)
                 and arguments.kind.startswith(short)), None)  # fmt: skip
    if kind is None:
        raise BadArgumentsError("invalid type of tree", thing=arguments.kind, hint="help tree")
    if kind != "rbtree" and (arguments.linear or arguments.offset):
        raise BadArgumentsError("-l and -o are for red-black trees")
    if kind != "maple" and arguments.verbose:
        raise BadArgumentsError("-v is for maple trees")
    session.need_types("tree")
    start = address_of(session.program, " ".join(arguments.start))
    if arguments.root_offset:
        start += offset_of(session, arguments.root_offset)
    if kind == "maple" and arguments.verbose:
        yield from _dumped(session, start, node=arguments.node)
        return
    wanted = [Wanted.parse(word) for word in arguments.structs]
    radix = session.base(hexadecimal=arguments.hexadecimal, decimal=arguments.decimal)
    for one in _entries(session, kind, start, arguments):
        yield f"{one.address:x}"
        if arguments.position:
            index = "" if one.index is None else f"index: {one.index}  "
            yield f"  {index}position: {one.position}"
        for each in wanted:
            try:
                yield from shown(session.program, each, one.address, radix=radix)
            except READ_ERRORS as error:
                yield f"  ({reason(error)})"


def _entries(
    session: Session, kind: str, start: int, arguments: argparse.Namespace
) -> Iterator[Entry]:
    program = session.program
    if kind == "radix":
        try:
            program.type("struct radix_tree_node").member("height")
        except LookupError:
            kind = "xarray"
    if kind == "radix":
        for line in delegate(session, "tree", f"-t radix {start:x}"):
            yield Entry(int(line.split()[0], 16), "")
        return
    if kind == "rbtree":
        offset = offset_of(session, arguments.offset) if arguments.offset else 0
        node = start if arguments.node else program.read_u64(start)
        yield from red_black(program, node, offset, sorted_=arguments.linear)
        return
    if kind == "xarray":
        head = start | 2 if arguments.node else _head(session, start)
        yield from xarray(program, head)
        return
    yield from MapleTree(program, _root(session, start, node=arguments.node)).entries()


def _head(session: Session, start: int) -> int:
    return int(Object(session.program, "struct xarray", address=start).xa_head)


def _root(session: Session, start: int, *, node: bool) -> int:
    if node:
        return start
    return int(Object(session.program, "struct maple_tree", address=start).ma_root)


def _dumped(session: Session, start: int, *, node: bool) -> Iterator[str]:
    root = _root(session, start, node=node)
    if not node:
        flags = int(Object(session.program, "struct maple_tree", address=start).ma_flags)
        # MT_FLAGS_HEIGHT_OFFSET and _MASK (include/linux/maple_tree.h)
        yield f"maple_tree({start:x}) flags {flags:X}, height {flags >> 2 & 0x1F} root {root:#x}"
        yield ""
    yield from MapleTree(session.program, root).dumped()
