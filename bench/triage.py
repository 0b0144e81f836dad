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
    seconds: float
    mib: int
    output: str


def measured(command: list[str], *, stdin: str = "") -> Measure:
    """Wall seconds and the largest resident set of ``command`` and its children."""
    began = time.monotonic()
    made = subprocess.run(
        ["/usr/bin/env", "time", "-f", "KIB %M", *command]
        if shutil.which("time")
        else [sys.executable, "-c", _TIMER, *command],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        # Without the variable every start would compile what an installed program has compiled.
        env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
    )
    seconds = time.monotonic() - began
    kib = [line.split()[1] for line in made.stderr.splitlines() if line.startswith("KIB ")]
    return Measure(seconds, int(kib[-1]) >> 10 if kib else 0, made.stdout)


_TIMER = """\
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print("KIB", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


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
            f"{series:5} report --json: {found.seconds:.2f} s ({found.seconds / SMALL_SECONDS:.2f} "
            f"of the {SMALL_SECONDS:.0f} s goal), {found.mib} MiB, {verdict}"
        )
    return fine


def large(dump: Path, vmlinux: Path | None, crash: tuple[str, ...]) -> bool:
    found = report(dump)
    tasks = json.loads(found.output)["system"]["tasks"] if found.output else 0
    print(f"large report --json: {found.seconds:.1f} s, {found.mib} MiB, {tasks} tasks")
    fine = found.mib < LARGE_MIB
    if vmlinux is None or not crash:
        print("crash or its vmlinux is not here: no comparison")
        return fine
    theirs = measured([*crash, "-s", str(vmlinux), str(dump)], stdin="foreach bt\nquit\n")
    frames = theirs.output.count(" #0 ")
    if frames < tasks // 2:
        print(f"crash reaches only {frames} tasks of this kernel's: no comparison")
        return fine
    ratio = theirs.seconds / found.seconds
    print(f"large crash foreach bt: {theirs.seconds:.1f} s, {theirs.mib} MiB, {frames} backtraces")
    print(f"kautopsy is {ratio:.1f} times as fast (goal {LARGE_RATIO:.0f})")
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
