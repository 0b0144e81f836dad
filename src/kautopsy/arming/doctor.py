"""All checks of a machine, and the verdict."""

from __future__ import annotations

import importlib
import pkgutil

from kautopsy.arming import checks
from kautopsy.arming.check import QUESTIONS, Priority, Question
from kautopsy.model.host import HostFacts
from kautopsy.model.readiness import Check, CheckStatus, DoctorDocument

# Without an answer to these nobody can say that a dump will come.
ESSENTIAL = frozenset(
    {"kernel-support", "crashkernel-reserved", "image-loaded", "crashkernel-size"}
)
_BADNESS = (
    CheckStatus.FAIL,
    CheckStatus.WARN,
    CheckStatus.UNKNOWN,
    CheckStatus.PASS,
    CheckStatus.SKIP,
)


def questions() -> tuple[Question, ...]:
    """All checks, the most important ones first."""
    for module in sorted(m.name for m in pkgutil.iter_modules(checks.__path__)):
        importlib.import_module(f"{checks.__name__}.{module}")
    return tuple(sorted(QUESTIONS.values(), key=lambda question: question.priority))


def examine(facts: HostFacts) -> DoctorDocument:
    """Ask everything: failures first, then by priority.

    ``ready`` is false where a check failed, null where one that matters most has no answer, and
    true else: warnings cost quality, not the dump.
    """
    priorities: dict[str, Priority] = {}
    answers = []
    for question in questions():
        priorities[question.id] = question.priority
        answers.append(question.answer(facts))
    answers.sort(key=lambda c: (_BADNESS.index(c.status), priorities[c.id]))
    return DoctorDocument(ready=verdict(answers), checks=tuple(answers))


def verdict(answers: list[Check]) -> bool | None:
    """Whether a dump will come."""
    if any(check.status is CheckStatus.FAIL for check in answers):
        return False
    if any(c.status is CheckStatus.UNKNOWN and c.id in ESSENTIAL for c in answers):
        return None
    return True
