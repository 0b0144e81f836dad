"""Where SQL's rows come from: a dump, read by a child process, or a snapshot of one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from kautopsy.model.errors import UnreadableError
from kautopsy.shell.sql_messages import Answer, Question, Subject
from kautopsy.triage.isolation import Limits, environment

_LIMITS = Limits()
CHILD = (sys.executable, "-m", "kautopsy.shell.sql_child")


@dataclass(frozen=True)
class DumpSource:
    """A dump whose tables are asked for.

    :param name: what the column ``dump`` shows
    :param live: not a dump, but the running kernel
    :param vmlinux: of exactly this kernel; None for what is found, or none with ``debuginfo`` off
    """

    name: str
    path: Path
    vmlinux: Path | None = None
    debuginfo: bool = True
    limits: Limits = _LIMITS
    live: bool = False
    _begun: list[subprocess.Popen[bytes]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    def begin(self) -> None:
        """Start the child: it opens the dump already, before anybody knows what will be asked."""
        if not self._begun:
            self._begun.append(self._start())

    def give_up(self) -> None:
        """End a child that nobody asked."""
        while self._begun:
            child = self._begun.pop()
            child.kill()
            child.communicate()

    def _start(self) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            CHILD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # libdrgn's OpenMP threads would wait for work at a processor's full speed.
            env={"OMP_WAIT_POLICY": "passive", **os.environ, **environment()},
            start_new_session=True,
        )
        subject = Subject(
            str(self.path),
            str(self.vmlinux) if self.vmlinux else None,
            self.debuginfo,
            self.limits.memory_bytes,
            self.live,
        )
        _tell(child, subject)
        return child

    def answers(
        self,
        tables: tuple[str, ...],
        columns: frozenset[str] | None = None,
        *,
        header: bool = True,
    ) -> Iterator[Answer]:
        """What the child says of ``tables``, in order; the last answer is final.

        :param columns: that are wanted; None: all. Others may be missing where they cost much.
        :param header: whether ``opened.system`` is wanted

        A child that dies on the way ends the rows with a note.

        :raises KautopsyError: the dump cannot be opened
        """
        child = self._begun.pop() if self._begun else self._start()
        late = threading.Event()

        def end() -> None:
            late.set()
            child.kill()

        timer = threading.Timer(self.limits.seconds, end)
        timer.daemon = True
        timer.start()
        opened = finished = False
        try:
            _tell(child, Question(tables, columns, header))
            assert child.stdout is not None
            for line in child.stdout:
                answer = msgspec.json.decode(line, type=Answer)
                if answer.failure is not None:
                    if not opened:
                        raise answer.failure.error()
                    finished = True
                    yield Answer(note=f"reading ended early: {answer.failure.what}", final=True)
                    return
                opened = opened or answer.opened is not None
                finished = answer.final
                yield answer
            child.wait()  # it ends by itself, and how must not be blamed on us
        finally:
            timer.cancel()
            if not finished and child.poll() is None:
                child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
        if finished:
            return
        why = _how_it_died(child.returncode)
        if late.is_set():
            why = f"it took longer than its {self.limits.seconds:.0f} s"
        if not opened:
            raise UnreadableError(why, thing=str(self.path), slug="analysis-died")
        yield Answer(note=f"reading ended early: {why}", final=True)


def _tell(child: subprocess.Popen[bytes], what: Subject | Question) -> None:
    assert child.stdin is not None
    # A child that has died already says so by its exit code.
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(msgspec.json.encode(what) + b"\n")
        child.stdin.flush()


def _how_it_died(code: int) -> str:
    if code < 0:
        return f"the process that read it died of {signal.Signals(-code).name}"
    return f"the process that read it exited with {code}"
