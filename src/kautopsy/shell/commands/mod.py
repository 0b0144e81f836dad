"""``mod``: modules, their symbols and debuginfo."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from drgn import RelocatableModule

from kautopsy.kernel.reading import READ_ERRORS
from kautopsy.shell.delegate import delegate
from kautopsy.shell.errors import CommandError
from kautopsy.shell.registry import Lines, argument, command, flag
from kautopsy.shell.session import Session


@command(
    "mod",
    "module information and loading of symbols and debugging data",
    usage="-s module [objfile] | -d module | -S [directory] [-D|-t|-r|-R|-o|-g]",
    arguments=(
        argument("-s", dest="load", nargs="+", metavar=("module", "objfile"),
                 help="load a module's debuginfo, from a file or from where it usually is"),
        argument("-S", dest="load_all", nargs="?", const="", metavar="directory",
                 help="load the debuginfo of all modules"),
        argument("-d", dest="delete", metavar="module", help="forget a module's debuginfo"),
        flag("-D", "forget the debuginfo of all modules", dest="delete_all"),
        flag("-t", "the taints of modules that have some", dest="taints"),
        flag("-R", "read the list of modules again", dest="again"),
        flag("-r", "as crash's, how its gdb loads: changes nothing here", dest="readnow"),
        flag("-g", "as -r", dest="sections"),
        flag("-o", "as -r", dest="old"),
    ),
    table=True,
    drgn='''
    for module, _ in prog.loaded_modules():
        print(module.name, hex(module.address_range[0]) if module.address_range else "")
    ''',
)  # fmt: skip
def mod(session: Session, arguments: argparse.Namespace) -> Lines:
    """The loaded modules, oldest first.

    Symbols come from the kernel's own tables without anything being loaded; -s and -S add source
    lines and types from debuginfo.
    """
    if arguments.old:
        return iter(())
    if arguments.taints:
        return delegate(session, "mod", "-t")
    if arguments.delete is not None or arguments.delete_all:
        return _forget(session, arguments.delete)
    if arguments.load is not None or arguments.load_all is not None:
        return _load(session, arguments)
    return _listed(session)


def _listed(session: Session) -> Iterator[str]:
    found = [
        module
        for module, _new in session.program.loaded_modules()
        if isinstance(module, RelocatableModule)
    ]
    if not found:
        raise CommandError("no modules are loaded, or their list is not in the dump")
    rows = [_row(module) for module in reversed(found)]
    width = max([4, *(len(row[1]) for row in rows)])
    yield f"     MODULE       {'NAME':<{width}}     TEXT_BASE        SIZE  OBJECT FILE"
    for address, name, base, size, file in rows:
        yield f"{address:016x}  {name:<{width}}  {base:016x} {size:>7}  {file}"


def _row(module: RelocatableModule) -> tuple[int, str, int, int, str]:
    address = size = 0
    symbols = "  [CONFIG_KALLSYMS]"
    try:
        address = module.object.value_()
    except READ_ERRORS:
        symbols = ""
    try:
        size = _size(module)
    except READ_ERRORS:
        size = sum(high - low for low, high in module.address_ranges or ())
    file = module.debug_file_path
    return address, module.name, module.address, size, file or f"(not loaded){symbols}"


def _size(module: RelocatableModule) -> int:
    """What the module keeps: its init part is gone (``module.mem`` since 6.4)."""
    struct_module = module.object
    try:
        # enum mod_mem_type: the init types come last, from MOD_INIT_TEXT on.
        first_init = int(struct_module.prog_["MOD_INIT_TEXT"])
        return sum(int(struct_module.mem[at].size) for at in range(first_init))
    except READ_ERRORS:
        layout = struct_module.core_layout
        return int(layout.size)


def _load(session: Session, arguments: argparse.Namespace) -> Iterator[str]:
    from kautopsy.shell.errors import BadArgumentsError

    if arguments.load is not None:
        if len(arguments.load) > 2:
            raise BadArgumentsError("-s takes a module and a file")
        name = arguments.load[0]
        if name not in {one.name for one, _new in session.program.loaded_modules()}:
            raise CommandError("no such module is loaded", thing=name, hint="mod lists them")
    yield from delegate(session, "mod", arguments.text)
    if arguments.load is not None:
        [module] = [
            one for one, _new in session.program.loaded_modules() if one.name == arguments.load[0]
        ]
        if module.debug_file_path is None:
            raise CommandError(
                "no debuginfo of this build was found for it", thing=module.name,
                hint="mod -s MODULE FILE",
            )  # fmt: skip


def _forget(session: Session, name: str | None) -> Iterator[str]:
    known = [
        one
        for one, _new in session.program.loaded_modules()
        if isinstance(one, RelocatableModule) and name in (None, one.name)
    ]
    if not known:
        raise CommandError("no such module is loaded", thing=name or "", hint="mod lists them")
    loaded = [one.name for one in known if one.debug_file_path is not None]
    if loaded:
        raise CommandError(
            f"drgn keeps debuginfo once it has it ({', '.join(loaded)})",
            hint="leave the shell and open the dump again",
        )
    yield "no debuginfo is loaded"
