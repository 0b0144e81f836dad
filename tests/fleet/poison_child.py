"""The child of an analysis as it is, but for the analysis: that does what the dump's name says."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from kautopsy.model.crash import Crash, Frame, Kind, TaskRef, Trigger
from kautopsy.model.dump import DumpFile, DumpFormat
from kautopsy.model.report import Report, Symbols, SymbolSource
from kautopsy.triage.child import main


def steps(path: Path, *, vmlinux: Path | None, debuginfo: bool) -> Iterator[Report]:
    what, _, number = path.name.partition("-")
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "abort":
        os.abort()
    elif what == "eat":
        hoard = [bytearray(64 << 20) for _ in range(48)]
        time.sleep(len(hoard))
    elif what == "hang":
        time.sleep(3600)
    elif what == "slow":
        # To the end of the second in which this process was started.
        time.sleep(max(0.0, float(os.environ.get("POISON_SECONDS", "1")) - _age()))
    yield report(path, int(number))


def _age() -> float:
    fields = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return uptime - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def report(path: Path, number: int) -> Report:
    names = ("frob_start", "frob_submit", "frob_queue_rq", "blk_mq_dispatch_rq_list")
    return Report(
        dump=DumpFile(path=str(path), format=DumpFormat.ELF, complete=True),
        symbols=Symbols(source=SymbolSource.DWARF),
        system=None,
        crash=Crash(
            kind=Kind.NULL_DEREFERENCE,
            title="NULL pointer dereference in frob_start",
            trigger=Trigger.OOPS,
            task=TaskRef(pid=number, comm="frob"),
            frames=tuple(Frame(function=name, offset=16, size=64) for name in names),
            release="6.1.0-50-amd64",
            uptime_seconds=1000.0 + number,
        ),
    )


if __name__ == "__main__":
    # Importing the real analysis would load drgn, which nobody needs here.
    fake = ModuleType("kautopsy.triage.autopsy")
    fake.autopsy_steps = steps  # type: ignore[attr-defined]
    sys.modules["kautopsy.triage.autopsy"] = fake
    sys.exit(main())
