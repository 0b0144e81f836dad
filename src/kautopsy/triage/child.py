"""The child process in which a dump is analysed.

A dump is hostile and large: a parser may be led into a loop, into gigabytes, into a bug of a C
library. So the analysis runs in a process of its own, with a memory limit, without a network,
and writes what it has found so far as lines of JSON; whoever started it keeps the last line.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import sys
from pathlib import Path

import msgspec

from kautopsy.model.errors import ExitCode, KautopsyError, error_from, in_words
from kautopsy.model.report import Report
from kautopsy.triage.limits import end_with_parent, limit_memory

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_YOUNG = 200_000
"""Objects made before garbage is looked for; what a report makes of thousands of tasks is none."""


class Job(msgspec.Struct, frozen=True):
    """What the child is asked: one JSON object on its standard input."""

    dump: str
    vmlinux: str | None
    debuginfo: bool
    memory_bytes: int


class Failure(msgspec.Struct, frozen=True):
    """A :class:`KautopsyError` on its way to the parent."""

    slug: str
    what: str
    thing: str
    hint: str
    exit_code: int

    @classmethod
    def of(cls, error: KautopsyError) -> Failure:
        """``error``, ready to be sent."""
        return cls(error.slug, error.what, error.thing, error.hint, int(error.exit_code))

    @classmethod
    def out_of_memory(cls, dump: str, memory_bytes: int) -> Failure:
        """The child met its limit."""
        return cls(
            "out-of-memory",
            f"the analysis needs more than its {memory_bytes >> 20} MiB",
            dump,
            "raise --memory-limit",
            int(ExitCode.UNREADABLE),
        )

    @classmethod
    def of_defect(cls, dump: str, error: Exception) -> Failure:
        """Nobody expected ``error``."""
        return cls(
            "analysis-died",
            f"the process that read it failed with {in_words(error)}",
            dump,
            "this is a defect of kautopsy; kautopsy report tells what else can be read",
            int(ExitCode.UNREADABLE),
        )

    def error(self) -> KautopsyError:
        """The error again, on the parent's side."""
        return error_from(
            self.exit_code, what=self.what, thing=self.thing, hint=self.hint, slug=self.slug
        )


class Message(msgspec.Struct, frozen=True):
    """One line from the child: a fuller report, or why there is none. ``final`` ends the stream."""

    report: Report | None = None
    failure: Failure | None = None
    final: bool = False


def confine(memory_bytes: int) -> None:
    """Limit this process for good: memory, core dumps, network, life beyond its parent's.

    Where namespaces are not allowed the network stays; nothing in the analysis opens a socket
    anyway.
    """
    limit_memory(memory_bytes)
    end_with_parent(signal.SIGKILL)
    # As root a network namespace is enough; others need a user namespace around it. Files keep
    # their owners' checks either way, but a user namespace would take root's own rights to them.
    ctypes.CDLL(None).unshare(
        _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWUSER | _CLONE_NEWNET
    )


def main() -> int:
    """Do the one job on standard input; the exit code is 0 unless the process dies."""
    return work(msgspec.json.decode(sys.stdin.buffer.read(), type=Job))


def work(job: Job) -> int:
    """Do ``job`` in this process, which is nothing else's; the exit code."""
    # Only Messages may reach the pipe: whatever a library prints goes to stderr.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    confine(job.memory_bytes)

    def send(message: Message) -> None:
        out.write(msgspec.json.encode(message) + b"\n")
        out.flush()

    # What is made until the first report stays: looking for garbage in it only takes time.
    gc.disable()
    from kautopsy.triage.autopsy import autopsy_steps

    report: Report | None = None
    try:
        for report in autopsy_steps(
            Path(job.dump),
            vmlinux=Path(job.vmlinux) if job.vmlinux else None,
            debuginfo=job.debuginfo,
        ):
            send(Message(report=report))
            if not gc.isenabled():
                gc.freeze()
                gc.set_threshold(_YOUNG)
                gc.enable()
    except KautopsyError as error:
        send(Message(failure=Failure.of(error), final=True))
        return 0
    except MemoryError:
        send(Message(failure=Failure.out_of_memory(job.dump, job.memory_bytes), final=True))
        return 0
    send(Message(final=True))
    return 0


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
