"""Tables: generators of frozen rows that say what their columns are.

A table is a function over a program that yields rows; the row is a frozen struct whose annotations
carry a :class:`Column` each. One definition serves the terminal, JSON, SQL and the tests::

    class Cpu(msgspec.Struct, frozen=True):
        \"\"\"One CPU.\"\"\"
        cpu: Annotated[int, Column("number")]
        tick_age: Annotated[int | Unreadable, Column("time since its last tick", unit="ns")]

    @table
    def cpus(program: Program) -> Iterator[Cpu]:
        \"\"\"Every CPU that was online.\"\"\"

Where some columns cost much more than the others, the function takes ``wanted: Wanted`` too, asks
it for their names, and puts :data:`NOT_WANTED`, or something empty, in the place of those that
nobody wants: whoever named the columns looks at no others.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar, get_args, get_type_hints

import msgspec
from drgn import Program

from kautopsy.model.base import Unreadable

_R = TypeVar("_R", bound=msgspec.Struct)

NOT_WANTED = Unreadable("not read: nobody asked for it")


class Everything(Container[str]):
    """Names of columns: all there are."""

    def __contains__(self, name: object) -> bool:
        return True


Wanted = Container[str]
EVERYTHING = Everything()


@dataclass(frozen=True)
class Column:
    """What a column holds.

    :param doc: a few words
    :param unit: ``ns``, ``bytes``, ``pages``, ``address`` (to be shown in hexadecimal) or none
    """

    doc: str
    unit: str = ""


@dataclass(frozen=True)
class TableColumn:
    """A column of a table: ``type`` is int, float, bool or str; lists are joined text in SQL."""

    name: str
    type: type
    doc: str
    unit: str
    can_be_unreadable: bool
    can_be_none: bool


@dataclass(frozen=True)
class Table(Generic[_R]):
    """A named generator of rows; call it with a program."""

    name: str
    doc: str
    columns: tuple[TableColumn, ...]
    row: type[_R]
    rows: Callable[..., Iterator[_R]]
    selective: bool

    def __call__(self, program: Program, wanted: Wanted = EVERYTHING) -> Iterator[_R]:
        """Yield the rows of ``program``.

        :param wanted: columns; the others may hold anything
        """
        return self.rows(program, wanted) if self.selective else self.rows(program)


_TABLES: dict[str, Table[typing.Any]] = {}


def _column(name: str, annotation: object) -> TableColumn:
    base, *extras = get_args(annotation)
    [column] = [extra for extra in extras if isinstance(extra, Column)]
    is_union = typing.get_origin(base) in (types.UnionType, typing.Union)
    alternatives = get_args(base) if is_union else (base,)
    plain = [one for one in alternatives if one not in (Unreadable, types.NoneType)]
    kind = plain[0]
    return TableColumn(
        name=name,
        type=typing.get_origin(kind) or kind,
        doc=column.doc,
        unit=column.unit,
        can_be_unreadable=Unreadable in alternatives,
        can_be_none=types.NoneType in alternatives,
    )


def table(rows: Callable[..., Iterator[_R]]) -> Table[_R]:
    """Declare a table: its name is the function's, its doc the first line of the docstring."""
    [row] = get_args(get_type_hints(rows)["return"])
    hints = get_type_hints(row, include_extras=True)
    declared: Table[_R] = Table(
        name=rows.__name__,
        doc=(rows.__doc__ or "").strip().splitlines()[0],
        columns=tuple(_column(name, hints[name]) for name in row.__struct_fields__),
        row=row,
        rows=rows,
        selective="wanted" in inspect.signature(rows).parameters,
    )
    _TABLES[declared.name] = declared
    return declared


def tables() -> tuple[Table[typing.Any], ...]:
    """Every table there is, by name."""
    import kautopsy.kernel

    for module in pkgutil.iter_modules(kautopsy.kernel.__path__):
        importlib.import_module(f"kautopsy.kernel.{module.name}")
    return tuple(_TABLES[name] for name in sorted(_TABLES))


def named(name: str, module: str) -> Table[typing.Any]:
    """The table ``name``, which ``module`` declares; no other module is loaded.

    :raises KeyError: it declares no such table
    """
    importlib.import_module(module)
    return _TABLES[name]
