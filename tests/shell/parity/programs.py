"""Both programs, asked the same."""

from __future__ import annotations

import io
import re
import subprocess
import time
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

from kautopsy.lab.crash import CrashProgram
from kautopsy.shell.run import execute
from kautopsy.shell.session import Session

_MARK = "@@@ line "
_SECONDS = 900


@dataclass(frozen=True)
class Answer:
    """What a program said to a line.

    :param died: it ended while it was at it
    """

    text: str
    died: bool = False
    seconds: float = 0.0


def ask_crash(crash: CrashProgram, vmlinux: Path, vmcore: Path, lines: list[str]) -> list[Answer]:
    """crash's answers; where it dies it is started again behind the line that killed it."""
    found: list[Answer] = []
    while len(found) < len(lines):
        found += _one_run(crash, vmlinux, vmcore, lines, len(found))
    return found


def _one_run(
    crash: CrashProgram, vmlinux: Path, vmcore: Path, lines: list[str], start: int
) -> list[Answer]:
    script = ["set scroll off"]
    for number, line in enumerate(lines[start:], start):
        # The current task and the radix are as at the beginning for every line.
        script += ["set -p > /dev/null", f"!echo '{_MARK}{number}'", line]
    script += [f"!echo '{_MARK}{len(lines)}'", "quit"]
    done = subprocess.run(
        [*crash.argv, "-s", str(vmlinux), str(vmcore)],
        input="\n".join(script) + "\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=_SECONDS,
        check=False,
        env={"TERM": "dumb", "HOME": "/nonexistent", "PATH": "/usr/bin:/bin", "TZ": "UTC"},
    )
    parts = re.split(rf"^{_MARK}(\d+)\n", done.stdout, flags=re.MULTILINE)
    texts = {int(parts[at]): parts[at + 1] for at in range(1, len(parts) - 1, 2)}
    if start not in texts:
        raise RuntimeError(f"crash does not start: {done.stdout[-400:]}")
    found: list[Answer] = []
    for number in range(start, len(lines)):
        if number not in texts:
            break
        died = number + 1 not in texts and number + 1 <= len(lines)
        found.append(Answer(texts[number], died=died))
        if died:
            break
    return found


def ask_own(session: Session, lines: list[str]) -> list[Answer]:
    """Our answers, in this process; what goes to stderr is part of them."""
    found: list[Answer] = []
    for line in lines:
        out = io.StringIO()
        began = time.monotonic()
        execute(session, "set -p > /dev/null", io.StringIO())
        with redirect_stderr(out):
            execute(session, line, out)
        found.append(Answer(out.getvalue(), seconds=time.monotonic() - began))
    return found
