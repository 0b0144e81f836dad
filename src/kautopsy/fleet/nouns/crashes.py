"""One crash, two side by side, and what a search finds."""

from __future__ import annotations

from kautopsy.fleet.nouns.groups import CrashRow, GroupRow, Note
from kautopsy.fleet.nouns.words import SourceKind
from kautopsy.model.base import Noun
from kautopsy.model.crash import Crash
from kautopsy.model.report import Report


class SourceRow(Noun, frozen=True, kw_only=True):
    """A file that came in. ``path`` is empty where its bytes were not kept."""

    id: int
    content: str
    kind: SourceKind
    name: str
    path: str
    host: str
    size: int
    received: float
    state: str
    detail: str


class ReportRow(Noun, frozen=True, kw_only=True):
    """A report by one version of the analysis."""

    id: int
    analysis: str
    made: float
    verdict_kind: str
    verdict_title: str
    confidence: float | None
    symbols: str


class CrashDetail(Noun, frozen=True, kw_only=True):
    """Everything of one crash.

    :param document: the crash itself; None where retention dropped it
    :param report: the newest report; made from ``document`` where there was no dump
    """

    crash: CrashRow
    group: GroupRow
    document: Crash | None
    report: Report | None
    reports: tuple[ReportRow, ...]
    source: SourceRow | None
    attributes: tuple[tuple[str, str], ...]
    notes: tuple[Note, ...]


class Difference(Noun, frozen=True, kw_only=True):
    """A field in which two crashes differ, or in which they are the same."""

    field: str
    one: str
    other: str
    same: bool


class FrameRow(Noun, frozen=True, kw_only=True):
    """A row of two backtraces side by side: what is in one only leaves the other empty."""

    one: str
    other: str
    same: bool


class CrashDiff(Noun, frozen=True, kw_only=True):
    """Two crashes side by side.

    :param why: what they share, in the words of the ranking, with its score
    """

    one: CrashRow
    other: CrashRow
    fields: tuple[Difference, ...]
    frames: tuple[FrameRow, ...]
    only_one: tuple[str, ...]
    only_other: tuple[str, ...]
    score: float
    why: tuple[str, ...]


class SearchHit(Noun, frozen=True, kw_only=True):
    """Something that was found: ``kind`` is group, host, crash, function or module."""

    kind: str
    id: int | None
    name: str
    detail: str
    count: int
