"""Python on a dump: ``kautopsy.open(path)`` gives tables, findings and the drgn program.

The dump is read in this very process, with no limits and no second chance: a service that takes
dumps from strangers uses :func:`kautopsy.triage.isolation.analyse` instead.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from drgn import Program

from kautopsy.kernel.modules import see_modules
from kautopsy.kernel.reading import READ_ERRORS, reason
from kautopsy.kernel.table import tables
from kautopsy.model.dump import DumpFile
from kautopsy.model.errors import UsageError
from kautopsy.model.finding import Finding, Verdict
from kautopsy.model.report import Report, Symbols
from kautopsy.symbols.ladder import OpenedDump, open_program
from kautopsy.triage.autopsy import examine
from kautopsy.triage.target import find_target


class Dump:
    """An open dump.

    :ivar program: the ``drgn.Program``; all of drgn's helpers work on it
    :ivar file: what the dump's own headers say
    :ivar symbols: where names and types come from, and what is missing because of that
    """

    def __init__(self, opened: OpenedDump) -> None:
        self._opened = opened
        self.program: Program = opened.program
        self.file: DumpFile = opened.dump
        self.symbols: Symbols = opened.symbols
        self.notes: dict[str, str] = {}
        """Table → why it has fewer rows than it should, for those that were read."""
        see_modules(self.program)

    def __repr__(self) -> str:
        return f"<Dump {self.file.path}: {self.file.release}, {self.symbols.source}>"

    @property
    def tables(self) -> tuple[str, ...]:
        """Names for :meth:`table`; docs/tables.md says what they hold."""
        return tuple(one.name for one in tables())

    def table(self, name: str) -> tuple[Any, ...]:
        """The rows of a table: frozen structs; values that the dump lacks are ``Unreadable``.

        Where the dump ends a table early, the rows up to there; :attr:`notes` then says why.

        :raises UsageError: there is no such table
        """
        found = next((one for one in tables() if one.name == name), None)
        if found is None:
            raise UsageError(
                "there is no such table", thing=name, hint=f"one of {', '.join(self.tables)}"
            )
        rows: list[msgspec.Struct] = []
        try:
            for row in found(self.program):
                rows.append(row)
        except READ_ERRORS as error:
            self.notes[name] = reason(error)
        return tuple(rows)

    @cached_property
    def report(self) -> Report:
        """The whole report, as ``kautopsy report --json`` gives it."""
        *_, last = examine(self._opened)
        return last

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the detectors found."""
        return self.report.findings

    @property
    def verdict(self) -> Verdict | None:
        """Why it died or hung; None if nothing can be said."""
        return self.report.verdict


def open_path(
    path: str | Path, *, vmlinux: str | Path | None = None, debuginfo: bool = True
) -> Dump:
    """Open a dump, or the newest complete one in a directory.

    :param vmlinux: of exactly this kernel, with debugging information
    :param debuginfo: whether to look for some where ``vmlinux`` is not given
    :raises UnreadableError: not a dump that can be opened
    """
    target = find_target(Path(path))
    if target.dump is None:
        raise UsageError("is no dump", thing=str(path), hint="for logs: kautopsy.oops")
    return Dump(
        open_program(target.dump, vmlinux=Path(vmlinux) if vmlinux else None, debuginfo=debuginfo)
    )
