"""Both programs, asked the same."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tempfile
import time
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

from kautopsy.lab.cache import lab_cache
from kautopsy.lab.crash import CrashProgram
from kautopsy.shell.run import execute
from kautopsy.shell.session import Session

_MARK = "@@@ line "
_SECONDS = 3600


@dataclass(frozen=True)
class Answer:
    """What a program said to a line.

    :param died: it ended while it was at it
    """

    text: str
    died: bool = False
    seconds: float = 0.0


def ask_crash(
    crash: CrashProgram, vmlinux: Path, vmcore: Path, lines: list[str], *, fresh: bool = False
) -> list[Answer]:
    """crash's answers; where it dies it is started again behind the line that killed it.

    It takes minutes, and says the same of the same dump each time: answers are kept beside the
    lab's dumps.

    :param fresh: ask again what was asked before
    """
    kept = _Kept(crash, vmcore)
    if fresh:
        kept.forget(lines)
    while ask := kept.lacking(lines):
        answered = _one_run(crash, vmlinux, vmcore, ask)
        kept.keep(answered)
    return [kept.answers[line] for line in lines]


class _Kept:
    """Answers in a file: what a crash said of a dump, line by line."""

    def __init__(self, crash: CrashProgram, vmcore: Path) -> None:
        about = f"{vmcore.parent.name}-{vmcore.stat().st_mtime_ns:x}"
        self._file = lab_cache() / "crash-answers" / f"{about}-{crash.suite}-{crash.version}.json"
        self.answers = self._read()

    def _read(self) -> dict[str, Answer]:
        if not self._file.exists():
            return {}
        told = json.loads(self._file.read_text())
        return {line: Answer(text, died) for line, (text, died) in told.items()}

    def lacking(self, lines: list[str]) -> list[str]:
        return [line for line in dict.fromkeys(lines) if line not in self.answers]

    def forget(self, lines: list[str]) -> None:
        for line in lines:
            self.answers.pop(line, None)

    def keep(self, answers: dict[str, Answer]) -> None:
        # Somebody else may have asked other lines meanwhile.
        self.answers = self._read() | self.answers | answers
        self._file.parent.mkdir(parents=True, exist_ok=True)
        told = {line: (one.text, one.died) for line, one in self.answers.items()}
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps(told))
        draft.replace(self._file)


def _one_run(
    crash: CrashProgram, vmlinux: Path, vmcore: Path, lines: list[str]
) -> dict[str, Answer]:
    """Answers to ``lines`` up to the one in which crash dies, or its time is up."""
    script = ["set scroll off"]
    for number, line in enumerate(lines):
        # The current task is as at the beginning for every line. Some outputs end without a new
        # line: the mark begins one.
        script += ["set -p > /dev/null", f"!echo; echo '{_MARK}{number}'", line]
    script += [f"!echo; echo '{_MARK}{len(lines)}'", "quit"]
    with tempfile.TemporaryFile() as told:
        child = subprocess.Popen(
            [*crash.argv, "-s", str(vmlinux), str(vmcore)],
            stdin=subprocess.PIPE,
            stdout=told,
            stderr=subprocess.STDOUT,
            env={"TERM": "dumb", "HOME": "/nonexistent", "PATH": "/usr/bin:/bin", "TZ": "UTC"},
        )
        in_time = True
        try:
            child.communicate(("\n".join(script) + "\n").encode(), timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            in_time = False
            child.kill()
            child.communicate()
        told.seek(0)
        parts = re.split(rf"^{_MARK}(\d+)\n", told.read().decode(errors="replace"), flags=re.M)
    texts = {int(parts[at]): parts[at + 1] for at in range(1, len(parts) - 1, 2)}
    if 0 not in texts:
        raise RuntimeError(f"crash does not start: {parts[0][-400:]}")
    last = max(texts)
    found = {lines[at]: Answer(text) for at, text in texts.items() if at < last}
    if in_time and last < len(lines):
        found[lines[last]] = Answer(texts[last], died=True)
    if not found:
        raise RuntimeError(f"crash does not end in time: {lines[last]}")
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
