"""Can this machine leave a dump, and what would make it."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from kautopsy.model.base import Noun


class CheckStatus(StrEnum):
    """What a check found."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"
    UNKNOWN = "unknown"


class Check(Noun, frozen=True, kw_only=True):
    """One answered question; ``fix`` is a command."""

    id: str
    status: CheckStatus
    summary: str
    evidence: str = ""
    fix: str = ""


class DoctorDocument(Noun, frozen=True, kw_only=True):
    """``kautopsy doctor --json``; ``ready`` is None where too little could be seen."""

    schema: Literal["kautopsy.doctor/1"] = "kautopsy.doctor/1"
    ready: bool | None
    checks: tuple[Check, ...]
