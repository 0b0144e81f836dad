"""The verdict: which finding explains the others."""

from __future__ import annotations

from kautopsy.model.crash import Kind
from kautopsy.model.finding import Finding, Verdict

THRESHOLD = 0.5
"""Below this confidence the verdict is ``unknown``, with the findings listed."""


def weigh(findings: tuple[Finding, ...]) -> Verdict:
    """The verdict over ``findings``."""
    best: int | None = None
    for index, finding in enumerate(findings):
        if finding.confidence < THRESHOLD:
            continue
        if best is None or finding.confidence > findings[best].confidence:
            best = index
    if best is None:
        return Verdict(
            kind=Kind.UNKNOWN,
            title="no finding is certain enough to name a cause",
            confidence=0.0,
        )
    finding = findings[best]
    return Verdict(
        kind=finding.kind,
        title=finding.title,
        confidence=finding.confidence,
        culprit=finding.culprit,
        finding=best,
        key=finding.kind.value,
    )
