"""The stages of a drill: each is timed, and the first that fails ends the walk."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Protocol

from kautopsy.model.drill import Stage, StageStatus
from kautopsy.model.errors import KautopsyError


class Name(StrEnum):
    """What a drill of a guest walks through, in this order."""

    KERNEL = "kernel"
    BOOTED = "booted"
    ARMED = "armed"
    NONCE = "nonce written"
    TRIGGERED = "triggered"
    CAPTURE_KERNEL = "capture kernel up"
    SAVED = "saved"
    VERIFIED = "verified"
    ANALYSED = "analysed"
    NONCE_FOUND = "nonce found"
    RECORDED = "recorded"


class HostStage(StrEnum):
    """What a drill of a machine walks through, in this order."""

    REACHED = "reached"
    READY = "ready"
    CONSOLE = "console"
    NONCE = "nonce written"
    TRIGGERED = "triggered"
    PANICKED = "panicked"
    CAPTURE_KERNEL = "capture kernel up"
    SAVED = "saved"
    BACK = "back"
    COLLECTED = "collected"
    VERIFIED = "verified"
    ANALYSED = "analysed"
    RECORDED = "recorded"


class StageView(Protocol):
    """What shows a stage to whoever waits; ``detail`` is set while the stage runs."""

    detail: str


Watch = Callable[[str], AbstractContextManager[StageView]]


class DrillFailedError(KautopsyError):
    """A stage failed; the walk ends here."""

    slug = "drill-failed"


class Stages:
    """Collects stages as they end.

    :param watch: shows each to the user; it sees the exception of one that fails
    :param names: of all stages there are
    """

    def __init__(self, watch: Watch, names: Iterable[str] = tuple(Name)) -> None:
        self._watch = watch
        self._names = tuple(map(str, names))
        self._done: list[Stage] = []

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[StageView]:
        """Run one stage in the block.

        :raises DrillFailedError: the block raised a :class:`KautopsyError`
        """
        started = time.monotonic()
        detail = ""
        try:
            with self._watch(str(name)) as view:
                try:
                    yield view
                    detail = view.detail
                except KautopsyError as error:
                    detail = _explain(error)
                    view.detail = detail
                    raise
        except KautopsyError as error:
            self._add(name, StageStatus.FAILED, started, detail)
            failed = DrillFailedError(detail, thing=str(name))
            # What a guard or a silent machine ends keeps its own exit code.
            failed.exit_code = error.exit_code
            raise failed from error
        except KeyboardInterrupt:
            self._add(name, StageStatus.FAILED, started, "interrupted")
            raise
        self._add(name, StageStatus.PASSED, started, detail)

    def skip(self, name: str, why: str) -> None:
        """A stage that this machine does not have."""
        self._done.append(
            Stage(name=str(name), status=StageStatus.SKIPPED, seconds=0.0, detail=why)
        )

    @property
    def failed(self) -> Stage | None:
        """The stage that failed, if one did."""
        return next((s for s in self._done if s.status is StageStatus.FAILED), None)

    def all(self) -> tuple[Stage, ...]:
        """Every stage there is, in order; those not reached are skipped."""
        done = {stage.name: stage for stage in self._done}
        return tuple(
            done.get(name) or Stage(name=name, status=StageStatus.SKIPPED, seconds=0.0)
            for name in self._names
        )

    def _add(self, name: str, status: StageStatus, started: float, detail: str) -> None:
        seconds = round(time.monotonic() - started, 3)
        self._done.append(Stage(name=str(name), status=status, seconds=seconds, detail=detail))


def _explain(error: KautopsyError) -> str:
    thing = f"{error.thing}: " if error.thing else ""
    hint = f". What to do: {error.hint}" if error.hint else ""
    return f"{thing}{error.what}{hint}"
