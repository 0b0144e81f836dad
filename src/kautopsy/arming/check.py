"""What a check is: a question with a stable id and a priority, and the answer's five kinds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from kautopsy.model.host import HostFacts
from kautopsy.model.readiness import Check, CheckStatus


class Priority(IntEnum):
    """What is lost where the answer is bad."""

    IMPOSSIBLE = 0
    """Nothing can be captured."""
    LOST = 1
    """The dump is likely to fail, or to get lost."""
    DEGRADED = 2
    """The dump is worth less."""
    OPERATION = 3
    """It comes, and is harder to live with."""


@dataclass(frozen=True)
class Answer:
    """What a check says; ``fix`` is a command."""

    status: CheckStatus
    summary: str
    evidence: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Question:
    """A check as it was declared."""

    id: str
    priority: Priority
    ask: Callable[[HostFacts], Answer]

    def answer(self, facts: HostFacts) -> Check:
        """Ask; a defect of one check never takes the others down."""
        try:
            said = self.ask(facts)
        except Exception as error:
            said = unknown(f"this check has a defect: {type(error).__name__}: {error}")
        return Check(
            id=self.id,
            status=said.status,
            summary=said.summary,
            evidence=said.evidence,
            fix=said.fix,
        )


QUESTIONS: dict[str, Question] = {}


def check(
    name: str, priority: Priority
) -> Callable[[Callable[[HostFacts], Answer]], Callable[[HostFacts], Answer]]:
    """Declare a function as the check ``name``."""

    def declare(function: Callable[[HostFacts], Answer]) -> Callable[[HostFacts], Answer]:
        assert name not in QUESTIONS, name
        QUESTIONS[name] = Question(name, priority, function)
        return function

    return declare


def passed(summary: str, evidence: str = "") -> Answer:
    """It is as it should be."""
    return Answer(CheckStatus.PASS, summary, evidence)


def warned(summary: str, evidence: str = "", fix: str = "") -> Answer:
    """A dump will come, and something is wrong."""
    return Answer(CheckStatus.WARN, summary, evidence, fix)


def failed(summary: str, evidence: str = "", fix: str = "") -> Answer:
    """No dump will come, or none that is whole."""
    return Answer(CheckStatus.FAIL, summary, evidence, fix)


def skipped(summary: str) -> Answer:
    """It does not apply here."""
    return Answer(CheckStatus.SKIP, summary)


def unknown(summary: str, fix: str = "") -> Answer:
    """It could not be seen, and why."""
    return Answer(CheckStatus.UNKNOWN, summary, "", fix)


def unseen(facts: HostFacts, what: str) -> Answer:
    """``what`` could not be seen: for want of a running system, of root, or of a program."""
    if not facts.live:
        return unknown(f"{what}: only the running system can tell")
    if not facts.root:
        return unknown(f"{what}: only root can see it", "give the user sudo without a password")
    return unknown(f"{what}: the machine does not say")
