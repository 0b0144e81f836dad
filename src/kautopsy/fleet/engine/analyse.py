"""One dump, one isolated child, one named outcome. This is all that a Dask worker runs.

A worker never opens a dump itself: a parser that crashes, hangs or eats memory takes the child
along and nobody else.
"""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path

import msgspec

from kautopsy.fleet.nouns import Outcome
from kautopsy.model.errors import KautopsyError
from kautopsy.model.report import Report
from kautopsy.triage.isolation import CHILD, End, Ended, Limits, analyse


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What to analyse, and what it may use."""

    job_id: int
    path: str
    time_limit: float
    memory_limit: int
    debuginfo: bool = True
    command: tuple[str, ...] = CHILD


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended. ``report`` may be there without :attr:`Outcome.OK`: the part that was done."""

    job_id: int
    outcome: Outcome
    detail: str
    seconds: float
    report: Report | None = None


def run(raw: bytes) -> bytes:
    """Analyse: a :class:`Task` in, a :class:`Result` out, both as msgpack.

    Bytes, so that a cluster whose kautopsy differs a little from the coordinator's still answers.
    """
    return msgspec.msgpack.encode(analyse_dump(msgspec.msgpack.decode(raw, type=Task)))


def analyse_dump(task: Task) -> Result:
    """Analyse a dump in a child process, and name how that ended."""
    started = time.monotonic()
    kills = _oom_kills()
    ended: list[Ended] = []
    report: Report | None = None
    outcome, detail = Outcome.OK, ""
    try:
        for fuller in analyse(
            Path(task.path),
            debuginfo=task.debuginfo,
            limits=Limits(task.time_limit, task.memory_limit),
            command=task.command,
            on_early_end=ended.append,
        ):
            report = fuller
    except KautopsyError as error:
        outcome, detail = Outcome.UNREADABLE, str(error)
    except OSError as error:
        outcome, detail = Outcome.UNREADABLE, error.strerror or str(error)
    if ended:
        outcome, detail = _name(ended[0], kills)
    return Result(
        job_id=task.job_id,
        outcome=outcome,
        detail=detail,
        seconds=time.monotonic() - started,
        report=report,
    )


def _name(ended: Ended, kills: int) -> tuple[Outcome, str]:
    match ended.end:
        case End.TIMEOUT:
            return Outcome.TIMEOUT, ended.words
        case End.MEMORY:
            return Outcome.OOM, ended.words
        case End.SIGNAL if ended.signal == signal.SIGKILL and _oom_kills() > kills:
            return Outcome.OOM, f"{ended.words}, and the kernel's OOM killer had been at work"
        case End.SIGNAL:
            return Outcome.SIGNAL, ended.words
        case _:
            return Outcome.UNREADABLE, ended.words


def _oom_kills() -> int:
    """How often the OOM killer killed since boot (/proc/vmstat's oom_kill, since Linux 4.13)."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
