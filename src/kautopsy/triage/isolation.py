"""Analyse a dump in a child process, with limits, keeping what it found if it dies."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import sys
import time
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kautopsy.model.errors import UnreadableError
from kautopsy.model.report import Report
from kautopsy.triage.child import Job, Message, work
from kautopsy.triage.forked import Forked, can_fork

if TYPE_CHECKING:
    from subprocess import Popen

    Child = Popen[bytes] | Forked

CHILD = (sys.executable, "-m", "kautopsy.triage.child")
_STDERR_KEPT = 4096
# Of drgn's own, the commands of its shells; and ours, which is for programs that are not ours.
_PLUGINS = ("builtin_commands", "crash_commands", "kautopsy")


@dataclass(frozen=True)
class Limits:
    """What an analysis may use: seconds of wall clock, bytes of private memory."""

    seconds: float = 600.0
    memory_bytes: int = 4 << 30


class End(StrEnum):
    """How an analysis that did not come to its end was ended."""

    TIMEOUT = "timeout"
    MEMORY = "memory"
    """It asked for more than it may have, and said so."""
    SIGNAL = "signal"
    EXIT = "exit"
    FAILURE = "failure"
    """It gave up by itself, with an error of ours."""


@dataclass(frozen=True)
class Ended:
    """What ended an analysis early, and in words."""

    end: End
    words: str
    signal: int = 0


def analyse(
    path: Path,
    *,
    vmlinux: Path | None = None,
    debuginfo: bool = True,
    limits: Limits | None = None,
    command: Sequence[str] = CHILD,
    fork: bool = False,
    on_early_end: Callable[[Ended], None] | None = None,
) -> Generator[Report, None, None]:
    """Ever fuller reports on ``path``; the last is all there is.

    The child is at work when this returns: what is done before the first report is asked for costs
    no time. If the child dies after its first report, the last one comes again with a problem in
    ``symbols.notes`` that says how the analysis ended.

    :param command: what to run as the child; reads a :class:`Job`, writes :class:`Message` lines
    :param fork: the child may be a fork of this process instead, which is at work sooner; for a
        program that does nothing else
    :param on_early_end: called with how the analysis ended, if it did not come to its end
    :raises KautopsyError: what the analysis itself raised; or it died before its first report
    """
    limits = limits or Limits()
    job = Job(str(path), str(vmlinux) if vmlinux else None, debuginfo, limits.memory_bytes)
    deadline = time.monotonic() + limits.seconds
    here = fork and can_fork()
    child = Forked(lambda: work(job), environment()) if here else _run(command, job)
    reports = _reports(child, path, deadline, limits, on_early_end)
    weakref.finalize(reports, _kill, child)  # a generator that nobody starts has no end
    return reports


def _run(command: Sequence[str], job: Job) -> Popen[bytes]:
    import subprocess

    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment()},
        start_new_session=True,
    )
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError), child.stdin:
        child.stdin.write(msgspec.json.encode(job))
    return child


def environment() -> dict[str, str]:
    """A child's: else drgn looks for debuginfo on the network, and loads its commands."""
    disabled = (os.environ.get("DRGN_DISABLE_PLUGINS", ""), *_PLUGINS)
    return {
        "DEBUGINFOD_URLS": "",
        "DRGN_DISABLE_PLUGINS": "*" if "*" in disabled else ",".join(filter(None, disabled)),
    }


def _kill(child: Child) -> None:
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)


def _reports(
    child: Child,
    path: Path,
    deadline: float,
    limits: Limits,
    on_early_end: Callable[[Ended], None] | None,
) -> Generator[Report, None, None]:
    last: Report | None = None
    stderr = bytearray()
    finished = False
    try:
        for line in _lines(child, deadline, stderr):
            message = msgspec.json.decode(line, type=Message)
            if message.failure is not None:
                error = message.failure.error()
                if on_early_end is not None:
                    early = End.MEMORY if error.slug == "out-of-memory" else End.FAILURE
                    on_early_end(Ended(early, str(error)))
                if last is None:
                    raise error
                yield _with_note(last, f"the analysis ended early: {error}")
                finished = True
                return
            if message.report is not None:
                last = message.report
                yield last
            if message.final:
                finished = True
    finally:
        timed_out = time.monotonic() >= deadline
        if not finished:
            _kill(child)
        code = child.wait()
        for stream in (child.stdout, child.stderr):
            if stream is not None:
                stream.close()
    if finished:
        return
    ended = _how_it_died(code, timed_out, limits, bytes(stderr))
    if on_early_end is not None:
        on_early_end(ended)
    if last is None:
        hint = "raise --time-limit" if ended.end is End.TIMEOUT else ""
        raise UnreadableError(ended.words, thing=str(path), hint=hint, slug="analysis-died")
    yield _with_note(last, f"the analysis ended early: {ended.words}")


def _lines(child: Child, deadline: float, stderr: bytearray) -> Iterator[bytes]:
    """Complete lines of the child's stdout until it ends or ``deadline``; stderr on the side."""
    assert child.stdout is not None and child.stderr is not None
    buffer = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        selector.register(child.stderr, selectors.EVENT_READ)
        while selector.get_map():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return
            for key, _events in selector.select(remaining):
                data = os.read(key.fd, 1 << 16)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fileobj is child.stderr:
                    stderr += data
                    del stderr[:-_STDERR_KEPT]
                else:
                    *lines, buffer = (buffer + data).split(b"\n")
                    yield from lines


def _how_it_died(code: int, timed_out: bool, limits: Limits, stderr: bytes) -> Ended:
    if timed_out:
        return Ended(End.TIMEOUT, f"the analysis took longer than its {limits.seconds:.0f} s")
    if code < 0:
        name = signal.Signals(-code).name
        return Ended(End.SIGNAL, f"the analysis process was killed by {name}", -code)
    last_line = stderr.decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
    return Ended(End.EXIT, f"the analysis process exited with {code}: {last_line}")


def _with_note(report: Report, note: str) -> Report:
    symbols = msgspec.structs.replace(report.symbols, notes=(*report.symbols.notes, note))
    return msgspec.structs.replace(report, symbols=symbols)
