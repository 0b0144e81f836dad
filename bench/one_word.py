"""Alters single words and pages that a report has read, and counts what verdicts come of it.

    python bench/one_word.py [--count 400] [--seed 1] [--dumps DIR] [--only PATTERN]

`bench/damage.py` damages files at random, and most of what it hits nobody reads. Here one analysis
of the sound dump notes every address that it asks for; then, one at a time, one of those words is
altered (zero, ones, random, one bit, another word of its page) or one of those pages reads as
zeros, as where a dump is incomplete, and the analysis is done again. A verdict that is wrong then
rested on one word, or on a page that was not there.

Ends with status 1 if a verdict was wrong, or the analysis failed.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import fnmatch
import os
import random
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from drgn import FaultError, Program
from rich.console import Console
from rich.table import Table

from kautopsy.model.report import Report
from kautopsy.symbols.ladder import OpenedDump, open_program
from kautopsy.triage.autopsy import examine

PAGE = 4096
SECONDS = 120
"""Of CPU time, after which an analysis is called one that does not end."""

Alter = Callable[[int, bytes], bytes]
"""What is read at an address in place of the bytes that are there."""


class Watched:
    """A dump whose reads are noted, or altered.

    :param path: of the dump
    """

    def __init__(self, path: Path) -> None:
        self._under = open_program(path, debuginfo=False).program
        self.opened: OpenedDump = open_program(path, debuginfo=False)
        self.reads: list[tuple[int, int]] = []
        self.alter: Alter | None = None
        self.opened.program.add_memory_segment(0, (1 << 64) - 1, self._read, False)

    def _read(self, address: int, count: int, _offset: int, _physical: bool) -> bytes:
        content: bytes = self._under.read(address, count)
        if self.alter is None:
            self.reads.append((address, count))
            return content
        return self.alter(address, content)

    def original(self, address: int, count: int) -> bytes:
        return bytes(self._under.read(address, count))

    @property
    def program(self) -> Program:
        return self.opened.program


def _replace(start: int, new: bytes) -> Alter:
    def alter(address: int, content: bytes) -> bytes:
        low, high = max(start, address), min(start + len(new), address + len(content))
        if low >= high:
            return content
        changed = bytearray(content)
        changed[low - address : high - address] = new[low - start : high - start]
        return bytes(changed)

    return alter


def word(watched: Watched, dice: random.Random) -> Alter:
    """One word of one that was read."""
    address, count = dice.choice(watched.reads)
    start = (address + 8 * dice.randrange(max(1, count // 8))) & -8
    old = watched.original(start, 8)
    page = start & -PAGE
    with contextlib.suppress(FaultError):
        other = watched.original(page + 8 * dice.randrange(PAGE // 8), 8)
        bit = (int.from_bytes(old, "little") ^ 1 << dice.randrange(64)).to_bytes(8, "little")
        return _replace(
            start, dice.choice((bytes(8), b"\xff" * 8, dice.randbytes(8), bit, bit, other))
        )
    return _replace(start, bytes(8))


def page(watched: Watched, dice: random.Random) -> Alter:
    """One page of one that was read."""
    address, count = dice.choice(watched.reads)
    start = (address + dice.randrange(count)) & -PAGE
    return _replace(start, bytes(PAGE))


def absent(watched: Watched, dice: random.Random) -> Alter:
    """As :func:`page`, but the dump says that it lacks it."""
    address, count = dice.choice(watched.reads)
    start = (address + dice.randrange(count)) & -PAGE

    def alter(address: int, content: bytes) -> bytes:
        if address < start + PAGE and start < address + len(content):
            raise FaultError("not in the dump", max(address, start))
        return content

    return alter


WAYS = (word, page, absent)


def examined(watched: Watched, alter: Alter) -> Report | str:
    """The report of a fork of this process, or how the fork ended."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(out)
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            watched.alter = alter
            *_, report = examine(watched.opened)
            with os.fdopen(into, "wb") as stream:
                stream.write(msgspec.json.encode(report))
            status = 0
        except BaseException as error:
            os.write(into, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(status)
    os.close(into)
    with os.fdopen(out, "rb") as stream:
        said = stream.read()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        return msgspec.json.decode(said, type=Report)
    return f"{'signal ' + str(-code) if code < 0 else 'traceback'} {said.decode()}"


def main() -> int:
    from bench.damage import BAD, dumps_of, judge

    arguments = parse()
    table = Table(box=None, pad_edge=False)
    outcomes = ("right", "less", "unknown", *BAD)
    for column in ("dump", "altered", "reports", *outcomes, "CPU s each"):
        table.add_column(column, justify="left" if column in ("dump", "altered") else "right")
    bad = 0
    for sound, path in dumps_of(arguments.dumps):
        if not fnmatch.fnmatchcase(sound.name, arguments.only):
            continue
        watched = Watched(path)
        fork_of(watched)
        for way in WAYS:
            counts: collections.Counter[str] = collections.Counter()
            began = _cpu()
            for seed in range(arguments.seed, arguments.seed + arguments.count):
                alter = way(watched, random.Random(f"{sound.name} {way.__name__} {seed}"))
                report = examined(watched, alter)
                outcome, said = (
                    ("traceback", report) if isinstance(report, str) else judge(sound, report, [])
                )
                counts[outcome] += 1
                if outcome in BAD:
                    bad += 1
                    print(
                        sound.name, way.__name__, seed, outcome, said, file=sys.stderr, flush=True
                    )
            each = (_cpu() - began) / arguments.count
            cells = (str(counts[outcome]) for outcome in outcomes)
            table.add_row(sound.name, way.__name__, str(arguments.count), *cells, f"{each:.2f}")
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 1 if bad else 0


def fork_of(watched: Watched) -> None:
    """Note what a whole analysis reads; a fork's, so that this process keeps no answers."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        *_, _last = examine(watched.opened)
        with os.fdopen(into, "wb") as stream:
            stream.write(msgspec.json.encode(watched.reads))
        os._exit(0)
    os.close(into)
    with os.fdopen(out, "rb") as stream:
        watched.reads = [tuple(one) for one in msgspec.json.decode(stream.read())]
    os.waitpid(child, 0)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=400, help="of each way, for each dump")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="*", help="a pattern of dumps, such as 6.1/*")
    parser.add_argument("--dumps", type=Path, help="take DUMPS/KERNEL/SCENE where they are there")
    return parser.parse_args()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for what the benches share
    began = time.monotonic()
    code = main()
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    sys.exit(code)
