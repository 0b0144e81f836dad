"""A log of any size → sightings: memory stays flat, whatever the log holds.

What the machine said of itself at boot (command line, CPU, DMI, livepatches, its name) is caught on
the way and goes with the crashes that follow it.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from kautopsy.fleet.grouping.sighting import Machine, Sighting, hardware_of, machine_of
from kautopsy.fleet.intake.clock import seconds_of
from kautopsy.fleet.intake.origin import usable
from kautopsy.oops.crashes import read_reports

_HEAD = 256
_LINE = 4096
# arch/x86/kernel/setup.c and init/main.c; smpboot.c; dmi_scan.c; livepatch/core.c; systemd.
_FACTS = tuple(
    (literal, re.compile(pattern))
    for literal, pattern in (
        (b"ommand line: ", rb"ommand line: (?P<cmdline>[^\r\n]*)"),
        (b"smpboot: CPU0: ", rb"smpboot: CPU0: (?P<cpu>[^\r\n]*)"),
        (b"Booting Linux on physical CPU ", rb"physical CPU \w+ \[(?P<cpu>0x\w+)\]"),
        (b"DMI: ", rb"DMI: (?P<hardware>[^\r\n]*)"),
        (b"livepatch: enabling patch '", rb"enabling patch '(?P<livepatch>[^'\r\n]*)'"),
        (b"Hostname set to <", rb"Hostname set to <(?P<host>[^>\r\n]*)>"),
        (b"Linux version ", rb"Linux version (?P<boot>\S+)"),
    )
)


@dataclass(frozen=True)
class _Fact:
    line: int
    kind: str
    value: str


class _Listener(io.RawIOBase):
    """Hands a stream on and catches what stands in it about the machine."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._tail = b""
        self._line = 1
        self.facts: list[_Fact] = []
        self.head = b""

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        if len(self.head) < _HEAD:
            self.head += data[: _HEAD - len(self.head)]
        self._listen(data)
        return data

    def _listen(self, data: bytes) -> None:
        # A fact may lie across two blocks: only whole lines are looked at.
        text = self._tail + data
        end = text.rfind(b"\n") + 1 if data else len(text)
        found: list[tuple[int, str, str]] = []
        for literal, pattern in _FACTS:
            at = text.find(literal, 0, end)
            while at >= 0:
                match = pattern.search(text, max(0, at - 1), min(end, at + _LINE))
                if match is not None and match.lastgroup is not None:
                    value = match[match.lastgroup].decode("utf-8", "replace").strip()
                    found.append((at, match.lastgroup, value))
                at = text.find(literal, at + len(literal), end)
        line, position = self._line, 0
        for at, kind, value in sorted(found):
            line += text.count(b"\n", position, at)
            position = at
            self.facts.append(_Fact(line, kind, value))
        self._line = line + text.count(b"\n", position, end)
        self._tail = text[end:][-(1 << 20) :]

    def before(self, line: int) -> tuple[Machine, str]:
        """The machine that booted last before ``line``, and its name; older facts are dropped."""
        past = [fact for fact in self.facts if fact.line <= line]
        start = max((i for i, fact in enumerate(past) if fact.kind == "boot"), default=0)
        past = past[start:]
        self.facts = past + [fact for fact in self.facts if fact.line > line]
        values = {fact.kind: fact.value for fact in past}
        hardware = hardware_of(values.get("hardware"))
        return (
            Machine(
                model=hardware.model,
                firmware=hardware.firmware,
                cpu=values.get("cpu", ""),
                cmdline=tuple(values.get("cmdline", "").split()),
                livepatches=tuple(
                    dict.fromkeys(fact.value for fact in past if fact.kind == "livepatch")
                ),
            ),
            values.get("host", ""),
        )


def sightings(
    stream: BinaryIO, *, host: str, written: float, source_id: int | None = None
) -> Iterator[Sighting]:
    """The crashes of a log.

    :param host: of all of them; empty: as the log itself says, line by line
    :param written: when it was, in seconds since 1970
    """
    listener = _Listener(stream)
    ordinals = Counter[bytes]()
    for report, crash in read_reports(listener):  # type: ignore[arg-type]
        machine, booted = listener.before(crash.text.first_line if crash.text else 0)
        said = report.body.head.host or ""
        name = host or (said if usable(said) else "") or (booted if usable(booted) else "")
        own = machine_of(crash)
        ordinal = 0
        stream_key = ""
        if crash.uptime_seconds is None and not crash.wall_time:
            stream_key = hashlib.sha256(listener.head).hexdigest()[:16]
            key = hashlib.sha256(f"{crash.title} {crash.registers}".encode()).digest()
            ordinal = ordinals[key]
            ordinals[key] += 1
        yield Sighting(
            crash=crash,
            host=name,
            at=seconds_of(crash.wall_time, written),
            fallback_at=written,
            origin="log",
            source_id=source_id,
            machine=replace(
                machine,
                model=own.model or machine.model,
                firmware=own.firmware or machine.firmware,
                livepatches=tuple(dict.fromkeys((*machine.livepatches, *own.livepatches))),
            ),
            stream=stream_key,
            ordinal=ordinal,
        )
