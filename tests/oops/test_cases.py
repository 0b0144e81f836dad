"""Every file of cases/ is a log in our own words and what must be read from it.

A few ``KEY: value`` lines, an empty line, the log. What a kernel prints was taken from its sources
(see the families), the logs are made up.
"""

from pathlib import Path

import pytest

from kautopsy.model.crash import Crash
from kautopsy.oops import read_text

CASES = sorted((Path(__file__).parent / "cases").glob("*.txt"))


def _parse(path: Path) -> tuple[list[tuple[str, str]], str]:
    header, _, log = path.read_text().partition("\n\n")
    return [tuple(line.split(": ", 1)) for line in header.split("\n")], log  # type: ignore[misc]


def _seen(key: str, crash: Crash, crashes: list[Crash]) -> object:
    """What the reading says on one key of a case."""
    match key:
        case "KIND":
            return crash.kind
        case "TRIGGER":
            return crash.trigger or "-"
        case "TITLE":
            return crash.title
        case "INSTRUCTION":
            return crash.instruction and crash.instruction.function
        case "MODULE":
            return crash.instruction and crash.instruction.module
        case "FIRST":
            return crash.frames[0].function if crash.frames else None
        case "LAST":
            return crash.frames[-1].function if crash.frames else None
        case "FRAMES":
            return str(len(crash.frames))
        case "UNRELIABLE":
            return str(sum(not frame.reliable for frame in crash.frames))
        case "CPU":
            return str(crash.cpu)
        case "PID":
            return str(crash.task and crash.task.pid)
        case "COMM":
            return crash.task and crash.task.comm
        case "TAINTED":
            return " ".join(crash.tainted) or "-"
        case "RELEASE":
            return crash.release
        case "HARDWARE":
            return crash.hardware
        case "MODULES":
            return " ".join(crash.modules)
        case "CORRUPTED":
            return "yes" if crash.corrupted else "no"
        case "CRASHES":
            return str(len(crashes))
        case "WALL":
            return crash.wall_time
        case "FIRST-LINE":
            return str(crash.text and crash.text.first_line)
        case "FOLLOW-UP":
            return " | ".join(crash.follow_ups)
    raise AssertionError(f"unknown key {key}")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    expected, log = _parse(path)
    crashes = read_text(log)
    if ("CRASHES", "0") in expected:
        assert [crash.title for crash in crashes] == []
        return
    assert crashes, "no crash was found"
    crash = crashes[0]
    wrong = []
    for key, value in expected:
        if key == "FUNCTION":
            right = crash.title.endswith(f" in {value}")
            seen: object = crash.title
        elif key == "ALSO":
            right, seen = value in crash.titles, crash.titles
        elif key == "SECOND":
            seen = crashes[1].title if len(crashes) > 1 else None
            right = seen == value
        elif key == "REGISTER":
            name, digits = value.split()
            seen = crash.registers.get(name)
            right = seen == int(digits, 16)
        else:
            seen = _seen(key, crash, crashes)
            right = seen == value
        if not right:
            wrong.append(f"{key}: {seen!r} instead of {value!r}")
    assert not wrong, "\n".join(wrong)


def test_cases_cover_every_kind_that_text_can_tell() -> None:
    """Kinds that only a verdict on a dump can give are the exceptions."""
    from kautopsy.model.crash import Kind

    only_verdicts = {Kind.DEADLOCK, Kind.IO_HANG, Kind.UNKNOWN}
    covered = {value for path in CASES for key, value in _parse(path)[0] if key == "KIND"}
    assert set(map(str, set(Kind) - only_verdicts)) - covered == set()
