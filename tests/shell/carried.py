"""This Python and kautopsy, to be carried into a guest that has neither."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import kautopsy

_SKIPPED = {
    "test", "tests", "idlelib", "lib2to3", "tkinter", "ensurepip", "site-packages", "turtledemo",
    "dist-packages", "pydoc_data", "unittest", "distutils", "xml", "asyncio", "curses", "sqlite3",
}  # fmt: skip
_MODULES = re.compile(r"_(tkinter|sqlite3|ssl|curses|dbm|gdbm|test)|audioop|nis|ossaudio|xxlimited")
"""Of the standard library, those that need libraries and that nothing here needs."""
_PACKAGES = ("drgn", "_drgn_util", "_drgn", "msgspec")


def python() -> str:
    """The interpreter's path, here and in the guest."""
    return str(Path(sys._base_executable).resolve())  # type: ignore[attr-defined]


def search_path() -> str:
    """For PYTHONPATH in the guest."""
    return "/carried/source:/carried/site"


def files() -> dict[str, Path]:
    """Path in the guest → file here.

    The interpreter lies where it does here, what is imported in a folder of its own: the guest
    mounts a /tmp over whatever was put there.
    """
    found: set[Path] = {Path(python())}
    standard = Path(sysconfig.get_paths()["stdlib"])
    found |= set(_below(standard))
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None
        origin = Path(spec.origin)
        found |= set(_below(origin.parent)) if origin.name == "__init__.py" else {origin}
    found |= set(_below(_site() / "drgn.libs"))
    # Its entry points: that is how drgn finds its own commands.
    for folder in _site().glob("drgn-*.dist-info"):
        found |= set(_below(folder))
    found |= set(_below(_source() / "kautopsy"))
    for path in [one for one in found if ".so" in one.name or one == Path(python())]:
        found |= set(_libraries(path))
    return {_there(path): path for path in found}


def _there(path: Path) -> str:
    for here, there in ((_source(), "carried/source"), (_site(), "carried/site")):
        if path.is_relative_to(here):
            return f"{there}/{path.relative_to(here)}"
    return str(path).lstrip("/")


def _source() -> Path:
    return Path(kautopsy.__file__).parents[1]


def _site() -> Path:
    import drgn

    return Path(drgn.__file__).parents[1]


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*") if folder.is_dir() else ():
        inside = path.relative_to(folder).parts
        if _SKIPPED & set(inside) or path.suffix == ".a":
            continue
        if path.is_file() and not ("lib-dynload" in inside and _MODULES.match(path.name)):
            yield path


def _libraries(program: Path) -> Iterator[Path]:
    """What the loader maps for ``program``, the loader itself too."""
    told = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    for path in re.findall(r"(/\S+) \(0x", told.stdout):
        yield Path(path)
