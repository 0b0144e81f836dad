"""How fast the shell is: `python bench/shell.py [--series 6.12] [--runs 3] [--large VMCORE]`.

Small: from the start to the first answer at the prompt (`p 1`), on the lab's dump: kautopsy without
debuginfo, drgn-crash and crash with the kernel's vmlinux. Goals: at most 1.2 times drgn-crash, an
eighth of crash. Large: `foreach bt`, `kmem -s` and a `search` of all memory on the dump that
bench/triage.py makes (10,000 threads, 8 GB), each in a session of its own, the start left out.
Goal: faster than crash. Medians of the runs, all programs in turns, all in one run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from kautopsy.lab.cache import lab_cache
from kautopsy.lab.crash import crash_for
from kautopsy.lab.kernels import fetch_kernel
from kautopsy.lab.specimen import specimen

START = "p 1"
LARGE = ("foreach bt", "kmem -s", "search -k 123456789abcdef1")
_SECONDS = 1800


def seconds(argv: tuple[str, ...], lines: list[str]) -> tuple[float, int]:
    """Wall seconds of a session that runs ``lines``, and how many lines it said."""
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
        env={**os.environ, "TERM": "dumb", "DRGN_DISABLE_PLUGINS": "*"},
    )
    return time.monotonic() - began, done.stdout.count("\n")


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
) -> dict[str, tuple[float, int]]:
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    said: dict[str, int] = {}
    for _ in range(runs):
        for name, argv in contenders.items():
            wall, count = seconds(argv, lines)
            taken[name].append(wall)
            said[name] = count
    return {name: (statistics.median(walls), said[name]) for name, walls in taken.items()}


def small(series: str, runs: int) -> bool:
    made = specimen(series)
    contenders = programs(made.vmcore, made.vmlinux(), crash_for(series).argv)
    for argv in contenders.values():
        seconds(argv, [START])  # warms the page cache
    found = {name: wall for name, (wall, _) in medians(contenders, [START], runs).items()}
    for name, wall in found.items():
        print(f"{series} start to answer, {name}: {wall:.2f} s")
    to_drgn = found["kautopsy"] / found["drgn-crash"]
    to_crash = found["crash"] / found["kautopsy"]
    print(f"{to_drgn:.2f} times drgn-crash (goal 1.2), {to_crash:.1f} times as fast as crash (8)")
    return to_drgn <= 1.2 and to_crash >= 8


def large(series: str, dump: Path, vmlinux: Path) -> bool:
    contenders = programs(dump, vmlinux, crash_for(series).argv)
    del contenders["drgn-crash"]
    starts = {name: wall for name, (wall, _) in medians(contenders, [START], 1).items()}
    fine = True
    for line in LARGE:
        found = medians(contenders, [line], 1)
        walls = {name: max(0.01, wall - starts[name]) for name, (wall, _) in found.items()}
        ratio = walls["crash"] / walls["kautopsy"]
        fine &= ratio >= 1
        rows = ", ".join(f"{name} {found[name][1]} lines" for name in found)
        print(
            f"{line}: kautopsy {walls['kautopsy']:.1f} s, crash {walls['crash']:.1f} s: "
            f"{ratio:.1f} times as fast (goal 1); {rows}"
        )
    return fine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", default="6.12")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--large", type=Path, help="a large dump of a kernel of the series")
    parser.add_argument("--vmlinux", type=Path, help="its kernel's")
    parser.add_argument("--small-only", action="store_true")
    parser.add_argument("--large-only", action="store_true")
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
            fine &= large(arguments.series, dump, arguments.vmlinux or kernel.vmlinux())
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
