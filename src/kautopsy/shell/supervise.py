"""The process that holds the dump is not the one that was started: its death is told, not shared.

A dump is hostile. Libraries that read it have died of SIGBUS and SIGSEGV on damaged ones, where
nothing can be caught. So the shell forks before it loads anything: the child has the terminal,
the dump, a limit on memory and no core dumps; the parent only waits, and says how it ended. The
network stays open: pipes and scripts in the shell are the user's own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
from collections.abc import Callable, Iterator
from types import FrameType

from kautopsy.model.errors import ExitCode, UnreadableError
from kautopsy.triage.limits import end_with_parent, limit_memory

_OF_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
_TO_PASS_ON = (signal.SIGTERM, signal.SIGHUP)


def supervise(work: Callable[[], int], *, thing: str, memory_bytes: int) -> int:
    """Run ``work`` in a child of this process; its exit code.

    :param work: raises nothing
    :param thing: what it reads, for the message
    :raises UnreadableError: the child died of a signal that nobody sent
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with _terminal_kept() as give_back, _quiet() as handlers:
        child = os.fork()
        if child == 0:
            _become_child(work, memory_bytes, handlers)
        sent: list[int] = []

        def pass_on(number: int, _frame: FrameType | None) -> None:
            sent.append(number)
            os.kill(child, number)

        for one in _TO_PASS_ON:
            signal.signal(one, pass_on)
        _pid, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code >= 0:
            return code
        give_back()
    if -code in sent or -code in (*_OF_THE_TERMINAL, *_TO_PASS_ON):
        return 128 - code
    hint = "the dump may be damaged: kautopsy report tells what can be read"
    if -code == signal.SIGKILL:
        hint = "by hand, or for want of memory: the kernel's log tells"
    raise UnreadableError(
        f"the process that read it died of {signal.Signals(-code).name}",
        thing=thing,
        slug="analysis-died",
        hint=hint,
    )


def _become_child(work: Callable[[], int], memory_bytes: int, handlers: dict[int, object]) -> None:
    code = int(ExitCode.BUG)
    try:
        end_with_parent(signal.SIGHUP)
        limit_memory(memory_bytes)
        for number, handler in handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        code = work()
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = 128 + signal.SIGPIPE
    finally:
        # Not back into the caller's code, which waits in the parent.
        os._exit(code)


@contextlib.contextmanager
def _quiet() -> Iterator[dict[int, object]]:
    """Ctrl-C and Ctrl-\\ reach both processes and are the child's; yields what was set for them."""
    before: dict[int, object] = {one: signal.getsignal(one) for one in _OF_THE_TERMINAL}
    passed_on = {one: signal.getsignal(one) for one in _TO_PASS_ON}
    for number in before:
        signal.signal(number, signal.SIG_IGN)
    try:
        yield before
    finally:
        for number, handler in (before | passed_on).items():
            signal.signal(number, handler)  # type: ignore[arg-type]


@contextlib.contextmanager
def _terminal_kept() -> Iterator[Callable[[], None]]:
    """Yields what puts the terminal back as it was: a child that dies cannot."""
    settings: list[object] | None = None
    if sys.stdin.isatty():
        with contextlib.suppress(termios.error):
            settings = termios.tcgetattr(sys.stdin.fileno())

    def give_back() -> None:
        if settings is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, settings)  # type: ignore[arg-type]

    yield give_back
