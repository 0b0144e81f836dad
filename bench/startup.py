"""How long the first answer takes: kautopsy without debuginfo and with, drgn-crash, crash.

    python bench/startup.py [--series 6.1] [--runs 7] [--dump VMCORE --vmlinux VMLINUX]

All four say of one dump, one after the other and so often, the header, the backtrace of what
crashed and the log; a report also looks into every way to die. Seconds and peak memory are medians
over the runs, after one run each that warms the page cache and kautopsy's own. Goals: without
debuginfo at most 1.5 times drgn-crash with DWARF and an eighth of crash, in at most 150 MB.
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

_COMMANDS = b"sys\nbt\nlog\n"
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


def contenders(dump: Path, vmlinux: Path, crash: tuple[str, ...]) -> list[Contender]:
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
    if crash:
        argv = (*crash, "-s", str(vmlinux), str(dump))
        found.append(Contender("crash: sys, bt, log", argv, _COMMANDS + b"quit\n"))
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
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    if arguments.dump and arguments.vmlinux:
        dump, vmlinux = arguments.dump, arguments.vmlinux
        crash = tuple(filter(None, [shutil.which("crash")]))
    else:
        from kautopsy.lab.crash import crash_for
        from kautopsy.lab.specimen import specimen

        made = specimen(arguments.series)
        dump, vmlinux = made.vmcore, made.vmlinux()
        crash = crash_for(arguments.series).argv
    # drgn would ask our plugin for types that drgn-crash has from DWARF.
    environment = {**os.environ, "DRGN_DISABLE_PLUGINS": "kautopsy", "TERM": "dumb"}
    # Installed programs are compiled; without this every start would compile all of both.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    runs: dict[str, list[Measured]] = {}
    everyone = contenders(dump, vmlinux, crash)
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
    for what, of in (("seconds", "wall"), ("cpu", "CPU")):
        mine, theirs = getattr(own, what), getattr(drgn, what)
        print(f"\nwithout debuginfo, {of}: {mine / theirs:.2f} × drgn-crash (goal 1.5)", end="")
        if len(names) > 3:
            print(f", 1/{getattr(middle[names[3]], what) / mine:.1f} of crash (goal 1/8)", end="")
    print(f"\npeak: {own.megabytes:.0f} MB (goal 150)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
