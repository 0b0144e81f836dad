"""A fork of this process as its child: it starts with all that is loaded here.

Another interpreter would first load what its parent has loaded already, a fifth of what a report on
a small dump takes. It asks for a parent that has nothing which a fork would break: threads, or
libdrgn and its OpenMP.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Callable


class Forked:
    """The child as its parent sees it, in the words of :class:`subprocess.Popen`."""

    def __init__(self, work: Callable[[], int], environment: dict[str, str]) -> None:
        """Run ``work`` in a child with pipes for what it prints; its result is the exit code."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # what waits there is ours to say, and once
        out, err = os.pipe(), os.pipe()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _live(work, environment, out[1], err[1])
        os.close(out[1])
        os.close(err[1])
        # By whoever is first: it must be so before it is killed, and before it is interrupted.
        with contextlib.suppress(OSError):
            os.setpgid(self.pid, self.pid)
        self.stdout = io.FileIO(out[0])
        self.stderr = io.FileIO(err[0])

    def poll(self) -> int | None:
        """The exit code, or minus the signal that ended it; None while it lives."""
        return self._collect(os.WNOHANG)

    def wait(self) -> int:
        """As :meth:`poll`, when it has ended."""
        code = self._collect(0)
        assert code is not None
        return code

    def _collect(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def can_fork() -> bool:
    """Whether a fork of this process would work as this process does."""
    try:
        threads = len(list(os.scandir("/proc/self/task")))  # C libraries' too
    except OSError:
        return False
    return threads == 1 and "_drgn" not in sys.modules


def _live(work: Callable[[], int], environment: dict[str, str], out: int, err: int) -> None:
    """In the child; does not return."""
    code = 1
    try:
        os.setpgid(0, 0)  # Ctrl-C is its parent's
        null = os.open(os.devnull, os.O_RDONLY)
        for mine, standard in ((null, 0), (out, 1), (err, 2)):
            os.dup2(mine, standard)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.environ.update(environment)
        code = work()
    except BaseException:
        # As an interpreter does: the parent shows the last line.
        os.write(2, traceback.format_exc().encode("utf-8", "backslashreplace"))
    finally:
        # Not back into code that waits in the parent.
        os._exit(code)
