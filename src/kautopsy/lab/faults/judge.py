"""Holds a report against what is true of a scene."""

from __future__ import annotations

from kautopsy.lab.faults.play import Played
from kautopsy.model.base import Noun
from kautopsy.model.crash import Kind
from kautopsy.model.report import Report


class Judgement(Noun, frozen=True, kw_only=True):
    """What a report got right.

    :param crash: ``crash.kind`` is one of the right ones
    :param verdict: ``verdict.kind`` is
    :param culprit: ``verdict.culprit`` is; also right where the truth names none
    :param missing_tasks: comms of tasks that no finding names
    :param missing_words: words that no finding contains
    :param said: ``crash.kind``, ``verdict.kind`` and the culprit's function, as reported
    :param confidence: of the verdict, 0 if there is none
    """

    crash: bool
    verdict: bool
    culprit: bool
    missing_tasks: tuple[str, ...]
    missing_words: tuple[str, ...]
    said: tuple[str, str, str]
    confidence: float

    @property
    def right(self) -> bool:
        """Nothing is wrong or missing."""
        return (
            self.crash
            and self.verdict
            and self.culprit
            and not self.missing_tasks
            and not self.missing_words
        )

    @property
    def confidently_wrong(self) -> bool:
        """The verdict names a wrong cause.

        Below its threshold of confidence a verdict is ``unknown``; whatever else it says it stands
        for, so any other wrong kind counts, however confident.
        """
        return not self.verdict and self.said[1] not in (Kind.UNKNOWN, "")


def judge(report: Report, played: Played) -> Judgement:
    """Hold ``report`` against the truth of the scene that was ``played``."""
    scene = played.scene
    crash, verdict = report.crash, report.verdict
    culprit = verdict.culprit if verdict is not None else None
    named = {task.comm for finding in report.findings for task in finding.tasks}
    if crash is not None and crash.task is not None:
        named.add(crash.task.comm)
    text = "\n".join(
        part
        for finding in report.findings
        for part in (
            finding.title,
            finding.explanation,
            *(f"{evidence.what} {evidence.value}" for evidence in finding.evidence),
        )
    )
    right_culprit = not scene.culprit or (
        culprit is not None
        and culprit.function in scene.culprit
        and (culprit.module or "") == scene.module
    )
    return Judgement(
        crash=crash is not None and crash.kind in scene.crash_kinds(played.trigger),
        verdict=verdict is not None and verdict.kind in scene.verdict,
        culprit=right_culprit,
        missing_tasks=tuple(
            sorted({actor.comm for actor in scene.tasks if actor.comm not in named})
        ),
        missing_words=tuple(word for word in scene.mentions if word not in text),
        said=(
            crash.kind if crash is not None else "",
            verdict.kind if verdict is not None else "",
            (culprit.function or "") if culprit is not None else "",
        ),
        confidence=verdict.confidence if verdict is not None else 0.0,
    )
