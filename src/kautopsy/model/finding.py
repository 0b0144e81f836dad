"""What went wrong, with evidence: what detectors yield and what the verdict weighs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from kautopsy.model.base import Noun
from kautopsy.model.crash import Kind

Confidence = Annotated[float, Meta(ge=0.0, le=1.0)]
"""0 is a guess, 1 is read straight from memory with nothing left to doubt."""


class Severity(StrEnum):
    """How much a finding matters to the machine's death."""

    INFO = "info"
    WARNING = "warning"
    FATAL = "fatal"


class Culprit(Noun, frozen=True, kw_only=True):
    """The code that did it; ``module`` is None for the kernel itself."""

    function: str | None
    module: str | None = None
    file: str | None = None
    line: int | None = None


class Evidence(Noun, frozen=True, kw_only=True):
    """One fact behind a finding, and the command that shows it (``show``, a crash command)."""

    what: str
    value: str
    show: str = ""


class TaskRole(Noun, frozen=True, kw_only=True):
    """A task and the part it plays: ``panicking``, ``owner``, ``waiter``, ``victim`` ..."""

    pid: int
    comm: str
    role: str


class Finding(Noun, frozen=True, kw_only=True):
    """One thing that is wrong (or was asked for).

    :param title: one line
    :param explanation: prose an on-call engineer can act on
    :param next: concrete steps
    :param key: names the cause, equal for every dump of one cause: becomes the verdict's
    """

    kind: Kind
    title: str
    explanation: str
    confidence: Confidence
    severity: Severity
    culprit: Culprit | None = None
    tasks: tuple[TaskRole, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    next: tuple[str, ...] = ()
    key: str = ""


class Verdict(Noun, frozen=True, kw_only=True):
    """The finding that explains the others.

    :param finding: its index in the report's findings; None if the verdict is ``unknown``
    :param key: names the cause (for a deadlock: the locks and where they are taken), equal for
        every dump of one cause
    """

    kind: Kind
    title: str
    confidence: Confidence
    culprit: Culprit | None = None
    finding: int | None = None
    key: str = ""
