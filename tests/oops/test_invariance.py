"""A crash is the same whoever logged it, and wherever it happened.

Every case is put through what consoles, daemons, mailers and people do to a log. None of it may
change what is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kautopsy.fingerprint.generic import role
from kautopsy.model.crash import Kind
from kautopsy.oops import read_text
from kautopsy.oops.helpers import is_helper

CASES = sorted((Path(__file__).parent / "cases").glob("*.txt"))
_PRINTK_TIME = re.compile(r"^(?:<\d>)?\[ *(\d+\.\d{6})\]", re.MULTILINE)
_CALLER = re.compile(r"^\[ *\d+\.\d+\]\[ *[TC]\d+\]", re.MULTILINE)


def _log(path: Path) -> str:
    return path.read_text().partition("\n\n")[2]


def _each(log: str, change: Callable[[str], str]) -> str:
    return "".join(change(line) + "\n" for line in log.splitlines())


def _journal_export(log: str) -> str:
    entry = "__CURSOR=s=1;i=2\n_TRANSPORT=kernel\nPRIORITY=4\n_HOSTNAME=host\nMESSAGE={}\n\n"
    return "".join(entry.format(line) for line in log.splitlines())


def _journal_json(log: str) -> str:
    return _each(log, lambda line: json.dumps({"_TRANSPORT": "kernel", "MESSAGE": line}))


def _lava(log: str) -> str:
    item = '- {{"dt": "2024-05-06T07:08:09.123456", "lvl": "target", "msg": {}}}'
    return _each(log, lambda line: item.format(json.dumps(line)))


WAYS: dict[str, Callable[[str], str]] = {
    "LAVA": _lava,
    "CRLF": lambda log: log.replace("\n", "\r\n"),
    "syslog": lambda log: _each(log, lambda line: f"Jan  2 03:04:05 host kernel: {line}"),
    "rsyslog, high precision": lambda log: _each(
        log, lambda line: f"2024-05-06T07:08:09.123456+02:00 host kernel: {line}"
    ),
    "rsyslog with level": lambda log: _each(
        log, lambda line: f"2024-05-06T07:08:09.123456+02:00 host kern.warn kernel: {line}"
    ),
    "console server": lambda log: _each(log, lambda line: f"2017-04-08 03:34:51    {line}"),
    "console server, tab": lambda log: _each(log, lambda line: f"2017-04-08 03:34:51\t{line}"),
    "console server, brackets": lambda log: _each(
        log, lambda line: f"[2017-04-08 03:34:51] {line}"
    ),
    "console server, clock": lambda log: _each(log, lambda line: f"03:34:51.123 {line}"),
    "journal, monotonic": lambda log: _PRINTK_TIME.sub("[ \\1] host kernel:", log),
    "relayed twice": lambda log: _each(
        log, lambda line: f"2024-05-06T07:08:09Z relay Jan  2 03:04:05 host kernel: {line}"
    ),
    "container runtime": lambda log: _each(log, lambda line: json.dumps({"log": line + "\n"})),
    "journal, export": _journal_export,
    "journal, JSON": _journal_json,
    "mail": lambda log: _each(log, lambda line: f"> {line}"),
    "answered mail": lambda log: _each(log, lambda line: f"> > {line}"),
    "levels": lambda log: _each(log, lambda line: f"<4>{line}"),
    "dmesg -x": lambda log: _each(log, lambda line: f"kern  :warn  : {line}"),
    "colours": lambda log: _PRINTK_TIME.sub("\x1b[32m\\g<0>\x1b[0m", log),
    "dmesg -H": lambda log: _PRINTK_TIME.sub("[  +0.000123]", log),
    "dmesg, delta": lambda log: _PRINTK_TIME.sub("[ \\1 <    0.000123>]", log),
    "Samsung": lambda log: _PRINTK_TIME.sub("\\g<0>  [2:    kworker/2:1:  234]", log),
    "MediaTek": lambda log: re.sub(
        r"^(\[ *\d+\.\d{6}\]) ?", r"\1 (2)[234:kworker/2:1]", log, flags=re.MULTILINE
    ),
    "pstore": lambda log: "Panic#1 Part1\n" + _each(log, lambda line: f"<4>{line}"),
    "a prompt before it": lambda log: "host login: " + log,
    "another log before it": lambda log: "[    0.100000] usb 1-1: new device\n" * 40 + log,
    "and after it": lambda log: log + "[99999.900000] usb 1-1: all is well\n" * 40,
    "dropped messages": lambda log: f"** 93 printk messages dropped ** {log}",
}


def _read(log: str) -> list[tuple[object, ...]]:
    return [
        (
            crash.kind,
            crash.title,
            crash.trigger,
            crash.corrupted,
            crash.cpu,
            crash.task,
            crash.instruction,
            crash.frames,
            crash.registers,
            crash.modules,
            crash.tainted,
            crash.release,
            crash.hardware,
            crash.fingerprint and crash.fingerprint.exact if crash.release else None,
        )
        for crash in read_text(log)
    ]


# What these are about is their form; a BUG that nobody says is the kernel's is no crash.
_FORMS = {
    "journal-export",
    "journal-json",
    "pstore-parts",
    "head-lost-huawei-panic",
    "negative-bug-of-programs",
    "negative-commit-messages",
    "negative-source-code",
    "negative-talk-of-crashes",
}
# The journal leaves out who printed a line, and vendors say it in a form of their own.
_WITHOUT_CALLER = {"journal, monotonic", "dmesg -H", "Samsung", "MediaTek"}
_PLAIN = [path for path in CASES if path.stem not in _FORMS]


@pytest.mark.parametrize("way", WAYS)
def test_who_logged_it_does_not_matter(way: str) -> None:
    wrong = []
    for path in _PLAIN:
        log = _log(path)
        if way in _WITHOUT_CALLER and _CALLER.search(log):
            continue
        if _read(WAYS[way](log)) != _read(log):
            wrong.append(path.stem)
    assert wrong == []


def test_what_other_cpus_say_in_between_does_not_matter() -> None:
    """With CONFIG_PRINTK_CALLER every line says whose it is."""
    wrong = []
    for path in _PLAIN:
        log = _log(path)
        if _CALLER.search(log) or not _PRINTK_TIME.match(log):
            continue
        mine = _PRINTK_TIME.sub("[ \\1][   T77]", log)
        noisy = re.sub(
            r"^(\[ *\d+\.\d+\])(\[ *T77\].*)$",
            r"\1\2\n\1[    C9] eth0: link up, 1000 Mbps\n\1[   T12]  audit: type=1400 op=open",
            mine,
            flags=re.MULTILINE,
        )
        if _read(noisy) != _read(mine):
            wrong.append(path.stem)
    assert wrong == []


def test_functions_are_not_known_beforehand() -> None:
    """The guilty function under another name is named all the same."""
    wrong = []
    for path in _PLAIN:
        log = _log(path)
        for crash in read_text(log)[:1]:
            before, named, function = crash.title.rpartition(" in ")
            if not named or function.startswith("sys") or is_helper(function) or role(function):
                continue
            renamed = re.sub(rf"\b{re.escape(function)}\b", f"xq_{function}", log)
            if (seen := read_text(renamed)[0].title) != f"{before} in xq_{function}":
                wrong.append(f"{path.stem}: {seen}")
    assert wrong == []


_DIED = {
    Kind.NULL_DEREFERENCE,
    Kind.BAD_POINTER,
    Kind.USE_AFTER_FREE,
    Kind.BUG,
    Kind.DIVIDE_ERROR,
    Kind.INVALID_OPCODE,
}


def test_a_report_without_its_head_is_found_and_doubted() -> None:
    """Registers, instructions and a backtrace with the end of a report behind it."""
    found = 0
    for path in _PLAIN:
        log = _log(path)
        whole = read_text(log)
        if len(whole) != 1 or whole[0].kind not in _DIED or "---[ end trace" not in log:
            continue
        lines = log.splitlines(keepends=True)
        start = next(
            i for i, text in enumerate(lines) if re.search(r"Modules linked|CPU: \d", text)
        )
        crashes = read_text("".join(lines[start:]))
        assert len(crashes) == 1, path.stem
        assert crashes[0].corrupted, path.stem
        assert "head" in (crashes[0].corrupted_reason or ""), path.stem
        cut, full = ([frame.function for frame in c.frames] for c in (crashes[0], whole[0]))
        assert cut == full, path.stem
        assert crashes[0].title.partition(" in ")[2] == whole[0].title.partition(" in ")[2]
        found += 1
    assert found >= 5
