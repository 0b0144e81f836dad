"""Plays every scene on every kernel and counts what the reports get right.

A dump is kept in the lab's cache, by the hash of the module's sources and of the scene's entry, so
that only what changed is played again. Each is reported by `kautopsy report --json` in a process of
its own, as a user's would be: without debuginfo, and with it where the kernel's vmlinux is in the
lab's cache (--fetch-debuginfo gets it, about 350 MB a kernel). The console's text of the same crash
must have the same fingerprint. Ends with status 1 if a report is not right.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from kautopsy.lab.cache import lab_cache
from kautopsy.lab.faults.build import sources_hash
from kautopsy.lab.faults.judge import Judgement, judge
from kautopsy.lab.faults.play import Played, play
from kautopsy.lab.faults.scenes import Scene, load_scenes
from kautopsy.lab.kernels import GuestKernel, fetch_kernel
from kautopsy.lab.series import SERIES
from kautopsy.model.base import from_json
from kautopsy.model.crash import Kind
from kautopsy.model.errors import KautopsyError
from kautopsy.model.report import Report
from kautopsy.triage.textual import report_on_log

# What is printed in NMI context (an NMI, a machine check, a double fault) is kept for later, and
# panic() starts the capture kernel before it flushes a console (kernel/panic.c, kernel/printk/).
_NEVER_PRINTED = (
    Kind.OPERATOR_NMI,
    Kind.HARDWARE_NMI,
    Kind.MACHINE_CHECK,
    Kind.STACK_OVERFLOW,
    Kind.DOUBLE_FAULT,
)
_SAME, _SILENT, _CUT = "same", "silent", "cut"


@dataclass(frozen=True)
class Row:
    played: Played
    symbols: str
    seconds: float
    judgement: Judgement | None
    console: str = ""
    problem: str = ""

    @property
    def right(self) -> bool:
        agrees = self.console in (_SAME, _SILENT, _CUT)
        return self.judgement is not None and self.judgement.right and agrees


def main() -> int:
    arguments = parse()
    kernels = [name for name in SERIES if matches(name, arguments.kernels)]
    scenes = [scene for name, scene in load_scenes().items() if matches(name, arguments.scenes)]
    console = Console(width=None if sys.stdout.isatty() else 160)
    rows: list[Row] = []
    unplayed = 0
    for series in kernels:
        kernel = fetch_kernel(series)
        vmlinux = kernel.vmlinux() if arguments.fetch_debuginfo else kernel.cached_vmlinux
        for scene in scenes:
            if series not in scene.kernels:
                continue
            try:
                played = dump_of(scene, kernel, arguments.dumps, play_it=not arguments.no_play)
            except KautopsyError as error:
                print(f"{series} {scene.name}: {error}", file=sys.stderr, flush=True)
                unplayed += 1
                continue
            if played is None:
                continue
            for row in reports(played, vmlinux):
                rows.append(row)
                print(line(row), file=sys.stderr, flush=True)
    console.print(table(rows))
    for symbols in dict.fromkeys(row.symbols for row in rows):
        summarise(symbols, [row for row in rows if row.symbols == symbols])
    if unplayed:
        print(f"{unplayed} scenes left no dump")
    wrong = [row for row in rows if not row.right]
    return 1 if wrong or unplayed or not rows else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--scenes", default="*", help="patterns, separated by commas")
    parser.add_argument("--kernels", default="*", help="series, separated by commas")
    parser.add_argument("--fetch-debuginfo", action="store_true")
    parser.add_argument("--no-play", action="store_true", help="only the dumps that are there")
    parser.add_argument("--dumps", type=Path, help="take DUMPS/KERNEL/SCENE where they are there")
    return parser.parse_args()


def matches(name: str, patterns: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns.split(","))


def dump_of(
    scene: Scene, kernel: GuestKernel, dumps: Path | None, *, play_it: bool
) -> Played | None:
    if dumps is not None and (dumps / kernel.series.name / scene.name / "truth.json").exists():
        folder = dumps / kernel.series.name / scene.name
        # What is true of a scene may have been written down better since it was played.
        return msgspec.structs.replace(
            from_json((folder / "truth.json").read_bytes(), Played), scene=scene
        )
    entry = hashlib.sha256(msgspec.json.encode(scene)).hexdigest()[:12]
    folder = lab_cache() / "faults/dumps" / f"{kernel.release}-{sources_hash()}-{entry}"
    folder = folder / scene.name
    if (folder / "truth.json").exists():
        return from_json((folder / "truth.json").read_bytes(), Played)
    if not play_it:
        return None
    print(f"play {scene.name} on {kernel.release}", file=sys.stderr, flush=True)
    return play(scene, kernel, out=folder)


def reports(played: Played, vmlinux: Path | None) -> Iterator[Row]:
    yield report(played, "btf", ["--debuginfo", "never"])
    if vmlinux is not None:
        yield report(played, "dwarf", ["--vmlinux", str(vmlinux)])


def report(played: Played, symbols: str, options: list[str]) -> Row:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "kautopsy", "report", played.vmcore, "--json", *options],
        capture_output=True,
        env={**os.environ, "COLUMNS": "200"},
        check=False,
    )
    seconds = time.monotonic() - started
    if done.returncode != 0:
        problem = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        problems = " ".join(problem) or "failed without a word"
        return Row(played, symbols, seconds, None, problem=problems)
    found = from_json(done.stdout, Report)
    return Row(played, symbols, seconds, judge(found, played), console_of(found, played))


def console_of(report: Report, played: Played) -> str:
    """How the crash on the console compares with the one in the dump's log.

    ``cut``: the capture kernel started while another CPU was printing, and the text engine itself
    says that the report is not whole.
    """
    told, read = report_on_log(Path(played.console)).crash, report.crash
    if read is None or told is None:
        expected = read is not None and read.kind in _NEVER_PRINTED
        return _SILENT if expected else "says nothing"
    if told.fingerprint == read.fingerprint:
        return _SAME
    return _CUT if told.corrupted else "differs"


def line(row: Row) -> str:
    """One row as progress, with what a person needs who has to mend it."""
    head = f"{row.played.kernel:5} {row.played.scene.name:26} {row.symbols:5} {row.seconds:5.1f} s"
    if row.judgement is None:
        return f"{head}  {row.problem}"
    found = row.judgement
    if row.right:
        return f"{head}  right"
    wrong = [
        ("" if found.crash else f"crash.kind {found.said[0] or 'none'}"),
        ("" if found.verdict else f"verdict {found.said[1] or 'none'}"),
        ("" if found.culprit else f"culprit {found.said[2] or 'none'}"),
        (f"tasks not named: {', '.join(found.missing_tasks)}" if found.missing_tasks else ""),
        (f"not mentioned: {', '.join(found.missing_words)}" if found.missing_words else ""),
        ("" if row.console in (_SAME, _SILENT, _CUT) else f"console {row.console}"),
    ]
    return f"{head}  {'; '.join(filter(None, wrong))}"


def table(rows: list[Row]) -> Table:
    result = Table(box=None, pad_edge=False)
    for column in ("kernel", "scene", "symbols", "crash", "verdict", "culprit", "tasks", "words"):
        result.add_column(column)
    result.add_column("console")
    for column in ("confidence", "seconds"):
        result.add_column(column, justify="right")
    for row in rows:
        found = row.judgement
        cells = [row.played.kernel, row.played.scene.name, row.symbols]
        if found is None:
            cells += ["FAILED", "", "", "", "", "", ""]
        else:
            cells += [
                mark(found.crash, found.said[0]),
                mark(found.verdict, found.said[1]),
                mark(found.culprit, found.said[2]),
                mark(not found.missing_tasks, ""),
                mark(not found.missing_words, ""),
                row.console,
                f"{found.confidence:.2f}",
            ]
        result.add_row(*cells, f"{row.seconds:.1f}")
    return result


def mark(right: bool, said: str) -> str:
    return "✓" if right else f"✗ {said or 'none'}"


def summarise(symbols: str, rows: list[Row]) -> None:
    found = [row.judgement for row in rows if row.judgement is not None]
    total = len(rows)
    seconds = sorted(row.seconds for row in rows)
    print(
        f"{symbols}: {total} reports: kind right {sum(f.crash for f in found)}"
        f" (reported), {sum(f.verdict for f in found)} (verdict);"
        f" culprit right {sum(f.culprit for f in found)};"
        f" tasks named {sum(not f.missing_tasks for f in found)};"
        f" all right {sum(f.right for f in found)};"
        f" console the same {sum(row.console == _SAME for row in rows)},"
        f" silent {sum(row.console == _SILENT for row in rows)},"
        f" cut {sum(row.console == _CUT for row in rows)};"
        f" confidently wrong {sum(f.confidently_wrong for f in found)};"
        f" failed {total - len(found)};"
        f" median {seconds[len(seconds) // 2]:.1f} s, slowest {seconds[-1]:.1f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
