"""How long the first answer takes: kautopsy without debuginfo and with, drgn-crash, crash.

    python bench/startup.py [--series 6.1] [--runs 5] [--dump VMCORE --vmlinux VMLINUX]

All four say the same of one dump, one after the other and so often: the header, the backtrace of
what crashed, the log. Wall seconds and peak memory are medians over the runs, after one run each
that warms the page cache. Goals: without debuginfo at most 1.5 times drgn-crash with DWARF and an
eighth of crash, in at most 150 MB.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

_COMMANDS = b"sys\nbt\nlog\nquit\n"
_TIMEOUT = 300


@dataclass(frozen=True)
class Contender:
    name: str
    argv: tuple[str, ...]
    stdin: bytes = b""


@dataclass(frozen=True)
class Measured:
    """Medians: wall and CPU seconds, peak memory of the largest process in megabytes (10^6)."""

    seconds: float
    cpu: float
    megabytes: float


def contenders(dump: Path, vmlinux: Path) -> list[Contender]:
    report = (sys.executable, "-m", "kautopsy", "report", str(dump))
    found = [
        Contender("kautopsy report, no debuginfo", (*report, "--debuginfo", "never")),
        Contender("kautopsy report, DWARF", (*report, "--vmlinux", str(vmlinux))),
        Contender(
            "drgn-crash, DWARF: sys, bt, log",
            (str(Path(sys.executable).parent / "drgn-crash"), str(vmlinux), str(dump)),
            _COMMANDS,
        ),
    ]
    if crash := shutil.which("crash"):
        found.append(
            Contender("crash: sys, bt, log", (crash, "-s", str(vmlinux), str(dump)), _COMMANDS)
        )
    return found


def once(contender: Contender, environment: dict[str, str]) -> Measured:
    """One run; its children's memory counts too, the largest of them."""
    begun = time.monotonic()
    # A process of its own waits for it, so that its usage is not mixed with other runs'.
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        done = subprocess.run(
            contender.argv,
            input=contender.stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            timeout=_TIMEOUT,
            check=False,
        )
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        text = f"{done.returncode} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss}"
        os.write(writer, text.encode())
        if done.returncode:
            sys.stderr.buffer.write(done.stderr[-2000:])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        code, cpu, peak = answer.read().split()
    os.waitpid(child, 0)
    if code != "0":
        raise SystemExit(f"{contender.name}: exit code {code}")
    return Measured(time.monotonic() - begun, float(cpu), int(peak) * 1024 / 1e6)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", default="6.1", help="of the lab's dump (default: %(default)s)")
    parser.add_argument("--dump", type=Path)
    parser.add_argument("--vmlinux", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.dump and arguments.vmlinux:
        dump, vmlinux = arguments.dump, arguments.vmlinux
    else:
        from kautopsy.lab.specimen import specimen

        made = specimen(arguments.series)
        dump, vmlinux = made.vmcore, made.vmlinux()
    environment = {**os.environ, "DRGN_DISABLE_PLUGINS": "*", "TERM": "dumb"}
    runs: dict[str, list[Measured]] = {}
    everyone = contenders(dump, vmlinux)
    for contender in everyone:
        once(contender, environment)
    for _ in range(arguments.runs):
        for contender in everyone:  # in turns: a busy moment hits all alike
            runs.setdefault(contender.name, []).append(once(contender, environment))
    print("| | wall s | CPU s | peak MB |\n|---|---|---|---|")
    middle = {}
    for name, measured in runs.items():
        middle[name] = Measured(
            *(
                statistics.median(getattr(m, part) for m in measured)
                for part in ("seconds", "cpu", "megabytes")
            )
        )
        m = middle[name]
        print(f"| {name} | {m.seconds:.2f} | {m.cpu:.2f} | {m.megabytes:.0f} |")
    names = list(middle)
    own, drgn = middle[names[0]], middle[names[2]]
    print(f"\nwithout debuginfo: {own.seconds / drgn.seconds:.2f} × drgn-crash (goal 1.5)", end="")
    if len(names) > 3:
        print(f", 1/{middle[names[3]].seconds / own.seconds:.1f} of crash (goal 1/8)", end="")
    print(f", {own.megabytes:.0f} MB (goal 150)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
