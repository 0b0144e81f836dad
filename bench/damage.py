"""Damages dumps in every way and counts what the reports make of it.

    python bench/damage.py [--count 1000] [--seed 1] [--jobs 2] [--dumps DIR] [--kinds PATTERNS]

A damaged dump may get a report that says what is missing, or an error with a name. A verdict must
be that of the sound dump, or one that is true of it and says less, or `unknown`. Counted are those
that name a wrong cause or culprit, crash the child, end in a traceback or do not end. Bytes are
flipped where they hurt: in the headers, the bitmaps, the page descriptors, the pages' data; pages
are left out, zeroed or altered in a file that stays valid; and the file is cut off.

Ends with status 1 if a report was wrong, died or did not end.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import fnmatch
import random
import re
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from kautopsy.lab.faults.scenes import Scene, find_scene
from kautopsy.model.crash import Kind
from kautopsy.model.errors import KautopsyError
from kautopsy.model.finding import Verdict
from kautopsy.model.report import Report
from kautopsy.symbols.ladder import open_program
from kautopsy.triage.detector import DEFECT
from kautopsy.triage.isolation import End, Ended, Limits, analyse

SECONDS = 120.0
"""After this an analysis is called one that does not end; it takes about one."""
PAGE = 4096
_DESC = struct.Struct("<qIIQ")
_ZLIB = 1


@dataclass(frozen=True)
class Layout:
    """Where the parts of a kdump-compressed file are: ranges of bytes ``[start, end)``."""

    header: range
    sub_header: range
    bitmaps: range
    bitmap: range
    descriptors: range
    data: range
    frames: tuple[int, ...] = field(repr=False)
    """Numbers of the page frames in the dump, in the order of their descriptors."""
    image: range
    """Frames of the kernel's image, with its types and names, which any report needs."""

    @classmethod
    def of(cls, raw: bytes | bytearray, image: range = range(0)) -> Layout:
        """That of ``raw``, written by makedumpfile on a little-endian 64-bit machine."""
        assert raw[:8] == b"KDUMP   "
        _status, block, sub, bitmaps = struct.unpack_from("<4i", raw, 424)
        assert block == PAGE
        first, second = (1 + sub) * block, (1 + sub) * block + bitmaps * block // 2
        after = (1 + sub + bitmaps) * block
        bits = int.from_bytes(raw[second:after], "little")
        frames = tuple(i for i, bit in enumerate(reversed(bin(bits)[2:])) if bit == "1")
        end = after + len(frames) * _DESC.size
        return cls(
            range(464),
            range(block, block + 1024),
            range(first, after),
            range(second, after),
            range(after, end),
            range(end, len(raw)),
            frames,
            image,
        )

    def descriptor(self, index: int) -> int:
        """Where the ``index``-th one is."""
        return self.descriptors.start + index * _DESC.size


Damage = Callable[[bytearray, Layout, random.Random], None]


def _flip(raw: bytearray, where: range, count: int, dice: random.Random) -> None:
    for _ in range(count):
        raw[dice.randrange(where.start, min(where.stop, len(raw)))] = dice.randrange(256)


def header(raw: bytearray, layout: Layout, dice: random.Random) -> None:
    """Bytes of the main header."""
    _flip(raw, layout.header, dice.choice((1, 2, 8)), dice)


def sub_header(raw: bytearray, layout: Layout, dice: random.Random) -> None:
    """Bytes of the second header, with where VMCOREINFO and the notes are."""
    fields = range(layout.sub_header.start, layout.sub_header.start + 120)
    _flip(raw, dice.choice((fields, layout.sub_header)), dice.choice((1, 2, 8)), dice)


def bitmap(raw: bytearray, layout: Layout, dice: random.Random) -> None:
    """Bytes of the bitmaps: all later pages are taken for others."""
    used = range(layout.bitmap.start, layout.bitmap.start + layout.frames[-1] // 8)
    _flip(raw, dice.choice((used, layout.bitmaps)), dice.choice((1, 3, 30)), dice)


def descriptors(raw: bytearray, layout: Layout, dice: random.Random) -> None:
    """Bytes of page descriptors: offsets, sizes, flags."""
    _flip(raw, layout.descriptors, dice.choice((1, 30, 1000)), dice)


def data(raw: bytearray, layout: Layout, dice: random.Random) -> None:
    """Bytes of compressed pages."""
    _flip(raw, layout.data, dice.choice((1, 30, 1000, 20_000)), dice)


def holes(raw: bytearray, layout: Layout, dice: random.Random) -> None:
    """Runs of 4 KiB of the file are zero, as where a disk lost blocks."""
    for _ in range(dice.choice((1, 10, 200))):
        start = dice.randrange(PAGE, len(raw)) & -PAGE
        size = min(PAGE * dice.choice((1, 8)), len(raw) - start)
        raw[start : start + size] = bytes(size)


def cut(raw: bytearray, layout: Layout, dice: random.Random) -> None:
    """The file ends early."""
    del raw[dice.randrange(len(raw)) :]


def _some(layout: Layout, dice: random.Random) -> list[int]:
    """Indices of pages; of the kernel's image too in every other dump only."""
    spared = layout.image if dice.randrange(2) else range(0)
    pages = [index for index, frame in enumerate(layout.frames) if frame not in spared]
    return dice.sample(pages, dice.choice((1, 30, 500, len(pages) // 5)))


def left_out(raw: bytearray, layout: Layout, dice: random.Random) -> None:
    """Random pages are not in the dump, which stays valid."""
    gone = set(_some(layout, dice)) - {0}  # the first page's data tell where all data begin
    shift = len(gone) * _DESC.size
    kept = bytearray()
    for index, frame in enumerate(layout.frames):
        if index in gone:
            raw[layout.bitmap.start + frame // 8] &= ~(1 << frame % 8)
        else:
            offset, *rest = _DESC.unpack_from(raw, layout.descriptor(index))
            kept += _DESC.pack(offset - shift, *rest)
    raw[layout.descriptors.start : layout.descriptors.stop] = kept


def zeroed(raw: bytearray, layout: Layout, dice: random.Random) -> None:
    """Random pages hold zeros, in a dump that stays valid."""
    where = len(raw)
    raw += bytes(PAGE)
    for index in _some(layout, dice):
        _DESC.pack_into(raw, layout.descriptor(index), where, PAGE, 0, 0)


def altered(raw: bytearray, layout: Layout, dice: random.Random) -> None:
    """Words of random pages are others, in a dump that stays valid."""
    for index in _some(layout, dice)[:3000]:
        content = page(raw, layout, index)
        if content is None:
            continue
        for _ in range(dice.choice((1, 8, 64))):
            at = 8 * dice.randrange(PAGE // 8)
            other = 8 * dice.randrange(PAGE // 8)
            word = dice.choice(
                (bytes(8), b"\xff" * 8, dice.randbytes(8), content[other : other + 8])
            )
            content[at : at + 8] = word
        _DESC.pack_into(raw, layout.descriptor(index), len(raw), PAGE, 0, 0)
        raw += content


def page(raw: bytearray, layout: Layout, index: int) -> bytearray | None:
    """What a page holds, None where it is compressed in a way Python does not know."""
    offset, size, flags, _ = _DESC.unpack_from(raw, layout.descriptor(index))
    content = bytes(raw[offset : offset + size])
    if flags & _ZLIB:
        return bytearray(zlib.decompress(content))
    return bytearray(content) if size == PAGE else None


DAMAGES: dict[str, Damage] = {
    one.__name__.replace("_", "-"): one
    for one in (
        header, sub_header, bitmap, descriptors, data, holes, cut, left_out, zeroed, altered,
    )
}  # fmt: skip


@dataclass(frozen=True)
class Sound:
    """A dump that is whole, and what is true of it.

    :param kinds: verdicts that are right
    :param less: verdicts that are true too and say less, where not all evidence is left
    :param culprits: functions that may be blamed; empty: any
    """

    name: str
    raw: bytes = field(repr=False)
    layout: Layout = field(repr=False)
    kinds: frozenset[Kind]
    less: frozenset[Kind]
    culprits: frozenset[str]

    @classmethod
    def read(cls, name: str, path: Path, scene: Scene, *less: Kind) -> Sound:
        """Report on ``path``, which must be right before it is damaged.

        :param scene: what was played
        """
        *_, report = analyse(path, debuginfo=False)
        kinds = frozenset(Kind(kind) for kind in scene.verdict)
        assert report.verdict is not None and report.verdict.kind in kinds, path
        named = [f.culprit.function for f in report.findings if f.culprit is not None]
        culprits = frozenset(name for name in (*named, *scene.culprit) if name)
        raw = path.read_bytes()
        return cls(name, raw, Layout.of(raw, _image(path, raw)), kinds, frozenset(less), culprits)


def _image(path: Path, raw: bytes) -> range:
    """Page frames of the kernel's image: mapped from __START_KERNEL_map on at phys_base."""
    program = open_program(path, debuginfo=False).program
    found = re.search(rb"NUMBER\(phys_base\)=(-?\d+)", raw)
    assert found is not None
    start, end = (
        (program.symbol(name).address - 0xFFFFFFFF80000000 + int(found[1])) // PAGE
        for name in ("_stext", "_end")
    )
    return range(start, end)


@dataclass(frozen=True)
class Result:
    """``outcome``: right, less, unknown, error; wrong, silent, died, endless, traceback."""

    name: str
    damage: str
    seed: int
    outcome: str
    said: str
    seconds: float


BAD = ("wrong", "silent", "died", "endless", "traceback")


def damaged(sound: Sound, damage: str, seed: int) -> bytes:
    """``sound``'s bytes after a damage; the same for the same seed."""
    raw = bytearray(sound.raw)
    DAMAGES[damage](raw, sound.layout, random.Random(f"{sound.name} {damage} {seed}"))
    return bytes(raw)


def examine(sound: Sound, damage: str, seed: int, folder: Path) -> Result:
    """Damage ``sound``, report on it, judge."""
    path = folder / f"{damage}-{seed}.vmcore"
    path.write_bytes(damaged(sound, damage, seed))
    began = time.monotonic()
    ended: list[Ended] = []
    limits = Limits(seconds=SECONDS)
    try:
        *_, report = analyse(path, debuginfo=False, limits=limits, on_early_end=ended.append)
        outcome, said = judge(sound, report, ended)
    except KautopsyError as error:
        outcome, said = "error", error.slug
        if ended and ended[0].end is not End.FAILURE:
            outcome, said = _end(ended[0])
    finally:
        path.unlink()
    return Result(sound.name, damage, seed, outcome, said, time.monotonic() - began)


def _end(ended: Ended) -> tuple[str, str]:
    names = {End.TIMEOUT: "endless", End.SIGNAL: "died", End.MEMORY: "died"}
    return names.get(ended.end, "traceback"), ended.words


def judge(sound: Sound, report: Report, ended: list[Ended]) -> tuple[str, str]:
    """What a report on a damaged dump is worth."""
    if ended and ended[0].end is not End.FAILURE:
        return _end(ended[0])
    defects = [note for note in report.symbols.notes if DEFECT in note]
    if defects:
        return "traceback", defects[0]
    assert report.dump is not None
    verdict = report.verdict
    if verdict is None or verdict.kind is Kind.UNKNOWN:
        told = report.dump.problems or report.symbols.notes
        return ("unknown", "") if told else ("silent", "unknown, without a word why")
    said = f"{verdict.kind.value} {verdict.confidence:.2f} {_function(verdict)}: {verdict.title}"
    if verdict.kind not in sound.kinds | sound.less:
        return "wrong", said
    if sound.culprits and _function(verdict) not in {"", *sound.culprits}:
        return "wrong", said
    return ("right" if verdict.kind in sound.kinds else "less"), said


def _function(verdict: Verdict) -> str:
    return (verdict.culprit.function or "") if verdict.culprit is not None else ""


def main() -> int:
    arguments = parse()
    bases = list(sounds(arguments.dumps))
    kinds = [name for name in DAMAGES if any(map(name_matches(name), arguments.kinds.split(",")))]
    results: list[Result] = []
    with (
        tempfile.TemporaryDirectory(prefix="kautopsy-damage-") as folder,
        ThreadPoolExecutor(arguments.jobs) as pool,
    ):
        futures = [
            pool.submit(
                examine, bases[n % len(bases)], kinds[n // len(bases) % len(kinds)], n, Path(folder)
            )
            for n in range(arguments.seed, arguments.seed + arguments.count)
        ]
        for future in futures:
            results.append(future.result())
            print(*dataclasses.astuple(results[-1]), file=sys.stderr, flush=True)
    show(results)
    return 1 if any(result.outcome in BAD for result in results) else 0


def name_matches(name: str) -> Callable[[str], bool]:
    return lambda pattern: fnmatch.fnmatchcase(name, pattern)


def sounds(dumps: Path | None) -> Iterator[Sound]:
    """As :func:`dumps_of`, without the paths."""
    for sound, _path in dumps_of(dumps):
        yield sound


def dumps_of(dumps: Path | None) -> Iterator[tuple[Sound, Path]]:
    """A healthy machine and one of each family of deaths; played if they are not there yet."""
    from bench.verdicts import dump_of

    from kautopsy.lab.kernels import fetch_kernel

    for series, name, *less in (
        ("6.1", "healthy-sysrq"),
        ("6.12", "healthy-nmi"),
        ("5.10", "abba-mutex", Kind.HUNG_TASK),
        ("5.10", "spinlock-abba", Kind.SOFT_LOCKUP, Kind.HARD_LOCKUP),
        ("5.10", "io-hang", Kind.HUNG_TASK),
        ("7.2", "oom-process"),
        ("7.2", "null-read"),
        ("7.2", "use-after-free", Kind.BAD_POINTER),
    ):
        played = dump_of(find_scene(name), fetch_kernel(series), dumps, play_it=True)
        assert played is not None
        path = Path(played.vmcore)
        yield Sound.read(f"{series}/{name}", path, played.scene, *less), path


def show(results: list[Result]) -> None:
    outcomes = ("right", "less", "unknown", "error", *BAD)
    table = Table(box=None, pad_edge=False)
    for column in ("damage", "dumps", *outcomes, "slowest s"):
        table.add_column(column, justify="left" if column == "damage" else "right")
    for damage in (*dict.fromkeys(result.damage for result in results), ""):
        rows = [result for result in results if damage in ("", result.damage)]
        counts = collections.Counter(result.outcome for result in rows)
        slowest = max(result.seconds for result in rows)
        cells = [str(counts[outcome]) for outcome in outcomes]
        table.add_row(damage or "all", str(len(rows)), *cells, f"{slowest:.1f}")
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    errors = collections.Counter(r.said for r in results if r.outcome == "error")
    print("errors:", ", ".join(f"{slug} {count}" for slug, count in errors.most_common()))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="the first of COUNT seeds")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kinds", default="*", help="patterns of damages, separated by commas")
    parser.add_argument("--dumps", type=Path, help="take DUMPS/KERNEL/SCENE where they are there")
    return parser.parse_args()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for what the benches share
    sys.exit(main())
