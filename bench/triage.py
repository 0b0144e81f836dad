"""How fast a dump is reported: `python bench/triage.py [--kernel SERIES] [--threads N] [DUMP]`.

Two measures, each with its goal. Small: `kautopsy report --json` without debuginfo on the lab's own
dumps, 2 s each. Large: a guest of 8 GB with 10,000 threads, against `crash` doing `foreach bt` on
the same dump with the kernel's vmlinux; ten times as fast, with less than 400 MB of memory, which
must not grow with the size of the dump. The large guest's dump is made once and kept in the lab's
cache; with DUMP (and --vmlinux) one that exists is measured instead.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from kautopsy.lab.cache import lab_cache, staged
from kautopsy.lab.config import GuestConfig
from kautopsy.lab.crash import crash_for
from kautopsy.lab.guest import Guest, State, Way
from kautopsy.lab.kernels import fetch_kernel
from kautopsy.lab.series import SERIES
from kautopsy.lab.specimen import specimen

SMALL_SECONDS = 2.0
LARGE_RATIO = 10.0
LARGE_MIB = 400

# Every one a process of its own: a thread group, an address space and a kernel stack each.
_CROWD = """\
echo 200000 > /proc/sys/kernel/pid_max; echo 200000 > /proc/sys/kernel/threads-max
i=0; while [ $i -lt {count} ]; do sleep 100000 & i=$((i + 1)); done; sleep 2
"""


@dataclass(frozen=True)
class Measure:
    """Wall and CPU seconds, the largest resident set in MiB, and what was printed."""

    seconds: float
    cpu: float
    mib: int
    output: str

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s, {self.cpu:.2f} s of CPU, {self.mib} MiB"


_TIMER = """\
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print("USED", used.ru_utime + used.ru_stime, used.ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def measured(command: list[str], *, stdin: str = "") -> Measure:
    """Run ``command``; what its children use counts too."""
    began = time.monotonic()
    made = subprocess.run(
        [sys.executable, "-c", _TIMER, *command],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        # Without the variable every start would compile what an installed program has compiled.
        env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
    )
    seconds = time.monotonic() - began
    [used] = [line.split() for line in made.stderr.splitlines() if line.startswith("USED ")]
    return Measure(seconds, float(used[1]), int(used[2]) >> 10, made.stdout)


def report(dump: Path) -> Measure:
    command = [sys.executable, "-m", "kautopsy", "report", str(dump), "--json"]
    return measured([*command, "--debuginfo", "never"])


def large_dump(series: str, threads: int) -> Path:
    folder = lab_cache() / "large"
    folder.mkdir(exist_ok=True)
    kernel = fetch_kernel(series)
    final = folder / f"{kernel.release}-{threads}"
    if not (final / "vmcore").exists():
        config = GuestConfig(kernel, memory_mib=8192, crashkernel="512M", sink_mib=16384)
        with staged(final) as draft, Guest(config) as guest:
            guest.transition(State.ARMED)
            guest.run(_CROWD.format(count=threads), limit=1200)
            guest.crash(Way.SYSRQ)
            guest.transition(State.CAPTURED)
            guest.take_dump(draft / "vmcore")
    return final / "vmcore"


def small() -> bool:
    fine = True
    for series in SERIES:
        found = report(specimen(series).vmcore)
        verdict = json.loads(found.output)["verdict"]["kind"] if found.output else "no report"
        fine &= found.seconds <= SMALL_SECONDS
        print(
            f"{series:5} report --json: {found} ({found.seconds / SMALL_SECONDS:.2f} of the "
            f"{SMALL_SECONDS:.0f} s goal, {found.cpu / SMALL_SECONDS:.2f} by CPU), {verdict}"
        )
    return fine


def _median(measures: list[Measure]) -> Measure:
    return sorted(measures, key=lambda one: one.seconds)[len(measures) // 2]


def large(dump: Path, vmlinux: Path | None, crash: tuple[str, ...]) -> bool:
    # One report takes a tenth of what crash takes, and a machine's moods: five around it.
    reports = [report(dump) for _ in range(3)]
    found = _median(reports)
    tasks = json.loads(found.output)["system"]["tasks"] if found.output else 0
    print(f"large report --json: {found}, {tasks} tasks (median of 3)")
    fine = found.mib < LARGE_MIB
    if vmlinux is None or not crash:
        print("crash or its vmlinux is not here: no comparison")
        return fine
    theirs = measured([*crash, "-s", str(vmlinux), str(dump)], stdin="foreach bt\nquit\n")
    frames = theirs.output.count(" #0 ")
    if frames < tasks // 2:
        print(f"crash reaches only {frames} tasks of this kernel's: no comparison")
        return fine
    found = _median([*reports, report(dump), report(dump)])
    ratio = theirs.seconds / found.seconds
    print(f"large crash foreach bt: {theirs}, {frames} backtraces")
    by_cpu = theirs.cpu / found.cpu
    print(f"kautopsy is {ratio:.1f} times as fast, {by_cpu:.1f} by CPU (goal {LARGE_RATIO:.0f})")
    return fine and ratio >= LARGE_RATIO


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dump", nargs="?", type=Path, help="a large dump that exists")
    parser.add_argument("--vmlinux", type=Path, help="its kernel's, for crash")
    parser.add_argument("--kernel", default="6.12", choices=list(SERIES), metavar="SERIES")
    parser.add_argument("--threads", type=int, default=10_000)
    parser.add_argument("--small-only", action="store_true")
    arguments = parser.parse_args()
    fine = small() if arguments.dump is None else True
    if not arguments.small_only:
        dump, vmlinux = arguments.dump, arguments.vmlinux
        if dump is None:
            dump = large_dump(arguments.kernel, arguments.threads)
            vmlinux = vmlinux or fetch_kernel(arguments.kernel).vmlinux()
            crash = crash_for(arguments.kernel).argv
        else:
            crash = tuple(filter(None, [shutil.which("crash")]))
        fine &= large(dump, vmlinux, crash)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
