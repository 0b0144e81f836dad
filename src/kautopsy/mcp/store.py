"""Tools over a fleet's store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kautopsy.fleet import migrate, queries
from kautopsy.fleet.attribution import attribution
from kautopsy.fleet.database import Database
from kautopsy.fleet.nouns import GroupFilter
from kautopsy.mcp.answers import Cites, answer

_MOST = 100


@dataclass(frozen=True)
class Store:
    """The store behind the tools; every answer cites it and the row."""

    database: Database

    def tools(self) -> tuple[Callable[..., str], ...]:
        """What the server offers; the docstrings are the agents' manual."""
        return (
            self.fleet_status, self.groups, self.group, self.group_crashes, self.crash,
            self.compare_crashes, self.host, self.readiness, self.search,
        )  # fmt: skip

    def fleet_status(self) -> str:
        """The fleet in figures: hosts, crashes, groups by state, analyses and how they ended."""
        with self.database.read() as connection:
            found = queries.work.status(
                connection, database=self.database.url, revision=migrate.head()
            )
        return answer(found, self._cites())

    def groups(self, text: str = "", host: str = "", release: str = "", limit: int = 20) -> str:
        """Groups of crashes that are one bug, the most harmful first, of every state.

        Args:
            text: stands in the title, in a function or module of the stack, or in a note
            host: only those that hit this host
            release: only those that hit this kernel release
            limit: how many, at most 100
        """
        wanted = GroupFilter(
            all_states=True, text=text, host=host, release=release, limit=_few(limit)
        )
        with self.database.read() as connection:
            found = queries.groups.ranked(connection, wanted)
        return answer(found, self._cites("group"), truncated=found.total > len(found.groups))

    def group(self, group_id: int) -> str:
        """One group: why its crashes are one bug (signatures with their frames), hosts, kernels,
        days, what is probably the same and why, notes, links, what people decided; and what it
        follows (a host, a model, a kernel), with the counts and Fisher's exact test behind it.

        Args:
            group_id: its number
        """
        with self.database.read() as connection:
            found = queries.groups.detail(connection, group_id)
            follows = attribution(connection, group_id)
        return answer(
            {"group": found, "follows": follows}, self._cites("group", "signature", "crash")
        )

    def group_crashes(self, group_id: int, limit: int = 20) -> str:
        """The crashes of a group, the newest first.

        Args:
            group_id: its number
            limit: how many, at most 100
        """
        with self.database.read() as connection:
            found = queries.groups.crashes_of(connection, group_id, limit=_few(limit))
        return answer(found, self._cites("crash"), truncated=found.total > len(found.crashes))

    def crash(self, crash_id: int) -> str:
        """One crash: its backtrace and registers, the verdict with findings and evidence, the
        machine it was on, the file it came from.

        Args:
            crash_id: its number
        """
        with self.database.read() as connection:
            found = queries.crashes.detail(connection, crash_id)
        report = found.report
        return answer(
            {
                "crash": found.crash,
                "group": found.group,
                "document": found.document,
                "verdict": report.verdict if report else None,
                "findings": report.findings if report else (),
                "machine": found.attributes,
                "source": found.source,
                "notes": found.notes,
            },
            self._cites("crash", "report"),
        )

    def compare_crashes(self, one: int, other: int) -> str:
        """Two crashes side by side: fields that differ, backtraces aligned, how alike they are.

        Args:
            one: a crash's number
            other: another's
        """
        with self.database.read() as connection:
            return answer(queries.compare.diff(connection, one, other), self._cites("crash"))

    def host(self, name: str) -> str:
        """One host: what hit it, its boots and how they ended, the doctor's answer, drills.

        Args:
            name: as the store knows it
        """
        with self.database.read() as connection:
            return answer(queries.hosts.detail(connection, name), self._cites("host", "boot"))

    def readiness(self) -> str:
        """Which hosts could leave a dump if they died now, why others could not, and how many died
        without a word."""
        with self.database.read() as connection:
            return answer(queries.readiness.summary(connection), self._cites("readiness"))

    def search(self, text: str) -> str:
        """Groups, hosts, functions and modules that have a text in their names.

        Args:
            text: a part of a name
        """
        with self.database.read() as connection:
            return answer(queries.search.search(connection, text[:500]), self._cites())

    def _cites(self, *read: str) -> Cites:
        return Cites(source=self.database.url, tables=read)


def _few(limit: int) -> int:
    return max(1, min(limit, _MOST))
