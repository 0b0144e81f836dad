"""Tools over the dumps and snapshots that the server was started with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kautopsy.kernel.table import tables
from kautopsy.mcp.answers import Cites, answer
from kautopsy.model.base import Unreadable
from kautopsy.model.errors import UnreadableError, UsageError
from kautopsy.model.report import Report
from kautopsy.shell.snapshot import Snapshot, is_snapshot, open_snapshot
from kautopsy.shell.sql_guard import Query, ask
from kautopsy.shell.sql_source import DumpSource
from kautopsy.shell.sql_views import VIEWS
from kautopsy.shell.sql_words import named
from kautopsy.triage.isolation import Limits, analyse
from kautopsy.triage.target import find_target

_ROWS = 200
_SECONDS = 120.0
_QUERY_BYTES = 512 << 20


@dataclass(frozen=True)
class Dumps:
    """Dumps by the names they were given; a report is made once."""

    sources: dict[str, DumpSource | Snapshot]
    reports: dict[str, Report] = field(default_factory=dict)

    @classmethod
    def of(cls, paths: Sequence[str]) -> Dumps:
        """Dumps, directories in which one lies, or snapshots.

        :raises UnreadableError: one of them is none of that
        """
        sources: dict[str, DumpSource | Snapshot] = {}
        for name in paths:
            path = Path(name)
            if is_snapshot(path):
                sources[name] = open_snapshot(path, name)
                continue
            target = find_target(path)
            if target.dump is None:
                raise UsageError("is no dump", thing=name, hint="a log: kautopsy oops")
            sources[name] = DumpSource(name, target.dump, limits=Limits(seconds=_SECONDS))
        return cls(sources)

    def tools(self) -> tuple[Callable[..., str], ...]:
        """What the server offers; the docstrings are the agents' manual."""
        return (self.list_dumps, self.report, self.findings, self.log, self.schema, self.query)

    def list_dumps(self) -> str:
        """The dumps and snapshots that can be asked about, by the names other tools take."""
        return answer(
            [
                {"dump": name, "kind": "snapshot" if isinstance(one, Snapshot) else "dump"}
                for name, one in self.sources.items()
            ]
        )

    def report(self, dump: str) -> str:
        """Why a machine died or hung: the verdict with its confidence, what the kernel reported,
        the crash's backtrace, who waits for whom, memory, and what the dump lacks.

        Args:
            dump: a name from list_dumps
        """
        report = self._report(dump)
        return answer(
            {
                "verdict": report.verdict,
                "crash": report.crash,
                "system": report.system,
                "waits": report.waits,
                "memory": report.memory,
                "problems": report.dump.problems if report.dump else (),
            },
            self._cites(dump, report),
            notes=report.symbols.notes,
        )

    def findings(self, dump: str) -> str:
        """Everything the detectors found, each with its evidence; every item of evidence names the
        crash command that shows it, and addresses are those of the dump.

        Args:
            dump: a name from list_dumps
        """
        report = self._report(dump)
        return answer(report.findings, self._cites(dump, report))

    def log(self, dump: str, contains: str = "", last: int = 100) -> str:
        """The last lines of the kernel log.

        Args:
            dump: a name from list_dumps
            contains: only lines with this text in them
            last: how many, at most 400
        """
        report = self._report(dump)
        if isinstance(report.log, Unreadable):
            raise UnreadableError(report.log.unreadable, thing=dump, slug="no-log")
        lines = [line for line in report.log if contains in line]
        return answer(lines[-max(1, min(last, 400)) :], self._cites(dump, report, "log"))

    def schema(self) -> str:
        """The tables and views that query takes, with their columns, types and units."""
        described: list[dict[str, Any]] = [
            {
                "table": table.name,
                "doc": table.doc,
                "columns": {
                    column.name: f"{column.type.__name__}{f' {column.unit}' if column.unit else ''}"
                    f": {column.doc}"
                    for column in table.columns
                },
            }
            for table in tables()
        ]
        described += [{"view": view.name, "doc": view.doc} for view in VIEWS]
        return answer(described)

    def query(self, sql: str, dump: str = "") -> str:
        """SQL (DuckDB) over the tables of the dumps: one SELECT, at most 200 rows come back. Every
        table has a column `dump`; what a dump lacks is NULL, with the reason in the map column
        `unreadable`. Nothing else of this machine can be reached.

        Args:
            sql: one query, e.g. select state, count(*) from tasks group by state
            dump: ask only this one; empty: all
        """
        chosen = [self._source(dump)] if dump else list(self.sources.values())
        query = Query(sql, max_rows=_ROWS, seconds=_SECONDS, memory_bytes=_QUERY_BYTES)
        asked = ask(chosen, query)
        result = asked.result
        assert result is not None  # nothing was to be saved
        notes = tuple(dict.fromkeys(asked.notes))
        notes += tuple(str(failure.error()) for failure in asked.failures)
        words = named(sql)
        read = tuple(table.name for table in tables() if table.name in words)
        return answer(
            {
                "columns": [
                    {"name": name, "type": kind}
                    for name, kind in zip(result.columns, result.types, strict=True)
                ],
                "rows": result.rows,
            },
            *(Cites(source=one.name, tables=read) for one in chosen),
            notes=notes,
            truncated=result.truncated,
        )

    def _source(self, dump: str) -> DumpSource | Snapshot:
        if dump not in self.sources:
            raise UnreadableError(
                "this server was not given such a dump",
                thing=dump,
                slug="no-such-dump",
                hint="list_dumps",
            )
        return self.sources[dump]

    def _report(self, dump: str) -> Report:
        source = self._source(dump)
        if isinstance(source, Snapshot):
            raise UsageError(
                "is a snapshot: it has tables, and no report", thing=dump, slug="snapshot",
                hint="query",
            )  # fmt: skip
        if dump not in self.reports:
            *_, self.reports[dump] = analyse(source.path, limits=source.limits)
        return self.reports[dump]

    def _cites(self, dump: str, report: Report, *read: str) -> Cites:
        file = report.dump
        return Cites(
            source=dump,
            tables=read,
            release=file.release if file else None,
            build_id=file.build_id if file else None,
            symbols=report.symbols.source.value,
        )
