"""How fast the shell is: `python bench/shell.py [--series 6.12] [--runs 7] [--large VMCORE]`.

Small: from the start to the prompt on a terminal, with all that is printed before it, on the lab's
dump: kautopsy without debuginfo, drgn-crash and crash with the kernel's vmlinux, after one run each
that warms the page cache and kautopsy's own. Goals: at most 1.2 times drgn-crash, an eighth of
crash. Large: `foreach bt`, `kmem -s` and searches of all memory on the dump that
bench/triage.py makes (10,000 threads, 8 GB), each in a session of its own, the start left out.
Goal: faster than crash. SQL: counts over its tasks, from the start of `kautopsy sql` to its end.
Goal: a second. Medians of the runs, all programs in turns, all in one run; by the clock and by CPU
time, which a busy machine changes less.
"""

from __future__ import annotations

import argparse
import os
import pty
import resource
import select
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from kautopsy.lab.cache import lab_cache
from kautopsy.lab.crash import crash_for
from kautopsy.lab.kernels import fetch_kernel
from kautopsy.lab.specimen import specimen

PROMPT = b"crash> "
START = "p 1"
LARGE = (
    "foreach bt",
    "kmem -s",
    "search -k 123456789abcdef1",
    "search -K -m ffff 123456789abc0000",
    "search -k init_task",
)
# A session's start varies by more than these take.
_SHORT, _TIMES = {"kmem -s"}, 200
QUERIES = (
    "select count(*) from tasks",
    "select count(*) from tasks where state = 'D'",
    "select state, count(*) from tasks group by state",
)
_SECONDS = 3600
# drgn would ask our plugin for types that drgn-crash has from DWARF; its own make its commands.
_ENVIRONMENT = {**os.environ, "TERM": "dumb", "DRGN_DISABLE_PLUGINS": "kautopsy"}
# Installed programs are compiled; without this every start would compile all of both.
_ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)


def to_prompt(argv: tuple[str, ...]) -> tuple[float, float]:
    """Wall seconds until a terminal shows the prompt, and CPU seconds of all, its end included."""
    began = time.monotonic()
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe(argv[0], argv, _ENVIRONMENT)
    said = b""
    try:
        while PROMPT not in said[-64:]:
            if not select.select([terminal], [], [], _SECONDS)[0]:
                raise TimeoutError
            said += os.read(terminal, 1 << 16)
        wall = time.monotonic() - began
        while True:
            if select.select([terminal], [], [], 0.2)[0]:
                os.read(terminal, 1 << 16)
            else:  # again, for crash throws away what comes before it is ready
                os.write(terminal, b"q\n")
    except OSError as error:  # EIO: it has left
        if PROMPT not in said[-64:]:
            raise SystemExit(f"{argv}: no prompt: {said[-500:]!r}") from error
    finally:
        os.close(terminal)
    _, _, usage = os.wait4(child, 0)
    return wall, usage.ru_utime + usage.ru_stime


@dataclass(frozen=True)
class Taken:
    """Seconds by the clock and of CPU, and how many lines were said."""

    wall: float
    cpu: float
    lines: int = 0

    def less(self, start: Taken, times: int) -> Taken:
        """Without the start, of each of ``times``."""
        wall, cpu = max(0.01, self.wall - start.wall), max(0.01, self.cpu - start.cpu)
        return Taken(wall / times, cpu / times, self.lines // times)


def seconds(argv: tuple[str, ...], lines: list[str]) -> Taken:
    """A session that runs ``lines``."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    done = subprocess.run(
        argv,
        input="\n".join([*lines, "quit", ""]),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        errors="replace",
        timeout=_SECONDS,
        check=False,
        env=_ENVIRONMENT,
    )
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Taken(wall, cpu, done.stdout.count("\n"))


def programs(dump: Path, vmlinux: Path, crash: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    own = (sys.executable, "-m", "kautopsy", "shell", str(dump), "--debuginfo", "never")
    drgn = str(Path(sys.executable).parent / "drgn-crash")
    return {
        "kautopsy": own,
        "drgn-crash": (drgn, str(vmlinux), str(dump)),
        "crash": (*crash, "-s", str(vmlinux), str(dump)),
    }


def medians(
    contenders: dict[str, tuple[str, ...]], lines: list[str], runs: int
) -> dict[str, Taken]:
    taken: dict[str, list[Taken]] = {name: [] for name in contenders}
    for _ in range(runs):
        for name, argv in contenders.items():
            taken[name].append(seconds(argv, lines))
    return {
        name: Taken(
            statistics.median(one.wall for one in all_),
            statistics.median(one.cpu for one in all_),
            all_[-1].lines,
        )
        for name, all_ in taken.items()
    }


def small(series: str, runs: int) -> bool:
    made = specimen(series)
    contenders = programs(made.vmcore, made.vmlinux(), crash_for(series).argv)
    for argv in contenders.values():
        to_prompt(argv)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for _ in range(runs):
        for name, argv in contenders.items():  # in turns: a busy moment hits all alike
            taken[name].append(to_prompt(argv))
    print(f"start to prompt, {series}, medians of {runs}:\n| | wall s | CPU s |\n|---|---|---|")
    found: dict[str, float] = {}
    for name, pairs in taken.items():
        wall, cpu = (statistics.median(values) for values in zip(*pairs, strict=True))
        found[name] = wall
        print(f"| {name} | {wall:.2f} | {cpu:.2f} |")
    to_drgn = found["kautopsy"] / found["drgn-crash"]
    to_crash = found["crash"] / found["kautopsy"]
    print(f"{to_drgn:.2f} times drgn-crash (goal 1.2), {to_crash:.1f} times as fast as crash (8)\n")
    return to_drgn <= 1.2 and to_crash >= 8


def large(series: str, dump: Path, vmlinux: Path, only: str) -> bool:
    contenders = programs(dump, vmlinux, crash_for(series).argv)
    del contenders["drgn-crash"]
    starts = medians(contenders, [START], 1)
    fine = True
    for line in (one for one in LARGE if one.startswith(only)):
        times = _TIMES if line in _SHORT else 1
        found = {
            name: one.less(starts[name], times)
            for name, one in medians(contenders, [line] * times, 1).items()
        }
        own, crash = found["kautopsy"], found["crash"]
        # By CPU time: a start takes crash so long that by the clock only its moods are measured.
        fine &= crash.cpu >= own.cpu
        rows = ", ".join(f"{name} {one.lines} lines" for name, one in found.items())
        print(
            f"{line}: kautopsy {own.wall:.3g} s (CPU {own.cpu:.3g}), crash {crash.wall:.3g} s "
            f"(CPU {crash.cpu:.3g}): {crash.wall / own.wall:.1f} times as fast (goal 1; "
            f"CPU {crash.cpu / own.cpu:.1f}); {rows}",
            flush=True,
        )
    return fine


def queries(dump: Path, runs: int) -> bool:
    fine = True
    for query in QUERIES:
        argv = (sys.executable, "-m", "kautopsy", "sql", str(dump), query, "--debuginfo", "never")
        seconds(argv, [])
        taken = medians({"sql": argv}, [], runs)["sql"]
        fine &= taken.wall <= 1
        print(f"{query}: {taken.wall:.2f} s, CPU {taken.cpu:.2f} s (goal 1)", flush=True)
    return fine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", default="6.12")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--large", type=Path, help="a large dump of a kernel of the series")
    parser.add_argument("--vmlinux", type=Path, help="its kernel's")
    parser.add_argument("--small-only", action="store_true")
    parser.add_argument("--large-only", action="store_true")
    parser.add_argument("--only", default="", help="of the large ones those that begin so")
    arguments = parser.parse_args()
    fine = True
    if not arguments.large_only:
        fine &= small(arguments.series, arguments.runs)
    if not arguments.small_only:
        kernel = fetch_kernel(arguments.series)
        kept = sorted((lab_cache() / "large").glob(f"{kernel.release}-*/vmcore"))
        dump = arguments.large or (kept[0] if kept else None)
        if dump is None:
            print("no large dump: bench/triage.py makes one")
        else:
            fine &= queries(dump, arguments.runs)
            vmlinux = arguments.vmlinux or kernel.vmlinux()
            fine &= large(arguments.series, dump, vmlinux, arguments.only)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
