"""``extend``: commands of one's own, in Python files."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from kautopsy.shell.errors import CommandError
from kautopsy.shell.registry import Lines, argument, command, commands, flag, forget
from kautopsy.shell.session import Session
from kautopsy.shell.table import columns


@command(
    "extend",
    "extend the command set",
    usage="[file.py ...] | [-u [file.py ...]]",
    arguments=(
        flag("-u", "unload the files, or all of them", dest="unload"),
        argument("files", nargs="*", help="Python files that declare commands"),
    ),
    table=True,
)
def extend(session: Session, arguments: argparse.Namespace) -> Lines:
    """Loads Python files whose commands then stand beside the shell's own.

    A file declares them as the shell does:

        from kautopsy.shell.registry import command

        @command("hello", "say hello", usage="")
        def hello(session, arguments):
            yield f"hello from {session.program['init_uts_ns'].name.nodename.string_()}"

    crash's own extensions are shared objects of crash and cannot be loaded.
    """
    loaded = session.extensions
    if arguments.unload:
        for name in arguments.files or list(loaded):
            key = _resolved(name, loaded)
            forget(loaded.pop(key))
            yield f"{key}: unloaded"
        return
    for name in arguments.files:
        path = Path(name).expanduser()
        names = _load(path)
        loaded[str(path)] = names
        yield f"{path}: extension loaded"
    if not arguments.files:
        rows = [(file, " ".join(names)) for file, names in loaded.items()]
        yield from columns(("EXTENSION", "COMMANDS"), rows)


def _resolved(name: str, loaded: dict[str, tuple[str, ...]]) -> str:
    for key in loaded:
        if name in (key, Path(key).name):
            return key
    raise CommandError("not loaded", thing=name)


def _load(path: Path) -> tuple[str, ...]:
    if path.suffix == ".so":
        raise CommandError(
            "is an extension of crash itself", thing=str(path), hint="only Python files load"
        )
    if not path.is_file():
        raise CommandError("no such file", thing=str(path))
    before = dict(commands())
    name = f"kautopsy_extension_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise CommandError("is no Python file", thing=str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise CommandError(
            f"does not load: {type(error).__name__}: {error}", thing=str(path)
        ) from error
    made = tuple(key for key, value in commands().items() if before.get(key) is not value)
    if not made:
        raise CommandError("declares no command", thing=str(path), hint="help extend")
    taken = [key for key in made if key in before]
    if taken:
        commands().update(before)
        forget(tuple(key for key in made if key not in before))
        raise CommandError("wants the name of a command that exists", thing=taken[0])
    return made
