"""Dumps that were never taken: rows as a child process would send them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from kautopsy.model.base import Unreadable
from kautopsy.model.dump import DumpFile, DumpFormat
from kautopsy.model.report import Symbols, SymbolSource, System
from kautopsy.shell.sql_messages import Answer, Opened
from kautopsy.shell.sql_source import DumpSource

Rows = Sequence[Mapping[str, object]]


def opened(path: str) -> Opened:
    lacking = Unreadable("not looked at")
    return Opened(
        DumpFile(path=path, format=DumpFormat.KDUMP, complete=True),
        Symbols(source=SymbolSource.BTF),
        System(
            release="6.1.0", version=lacking, nodename="db7", machine="x86_64", cpus=2,
            memory_bytes=1 << 30, crash_time=1_700_000_000.0, uptime_seconds=5.0,
            load_average=lacking, tasks=3, tainted=lacking, cpus_online=2, panic=lacking,
        ),
    )  # fmt: skip


@dataclass(frozen=True)
class Canned(DumpSource):
    """Answers with ``rows``; ``asked`` keeps which tables were wanted."""

    rows: Mapping[str, Rows] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    columns: list[frozenset[str] | None] = field(default_factory=list)

    def begin(self) -> None:
        """There is no child."""

    def answers(
        self,
        tables: tuple[str, ...],
        columns: frozenset[str] | None = None,
        *,
        header: bool = True,
    ) -> Iterator[Answer]:
        self.columns.append(columns)
        self.asked.extend(tables)
        yield Answer(opened=opened(str(self.path)))
        for name in tables:
            rows = msgspec.json.encode(list(self.rows.get(name, ())))
            yield Answer(table=name, rows=msgspec.Raw(rows))
        yield Answer(final=True)
