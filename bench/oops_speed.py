"""How fast a log without crashes is passed over: `python bench/oops_speed.py [MIB]`.

The measure is `grep -c -F -f PATTERNS` with the same literals on the same file, in one run on one
core each; the goal is a third of its speed. Peak memory is printed for two sizes of one log: it
must not grow. `--stream GIB` sends a log of that size through a pipe, a crash in every 64 MiB, and
prints CPU time and memory after the first GiB and at the end. `--reports CORPORA` takes apart logs
that are full of reports. With `--vmlinux FILE` frames of the file are symbolised in one batch too.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kautopsy.oops.triggers import LITERALS

_WORDS = re.findall(
    r"\S+",
    """
usb device pci link up eth0 systemd Started Stopped service audit apparmor=ALLOWED ext4 mounted
filesystem ata1 SATA nvme ipv6 ADDRCONF NETDEV_UP random seq cpu MHz memory reserved bridge
port entered state renamed promiscuous mode SELinux policy NFS server OK not responding timeout
I/O scsi attached disk hid generic input kernel loop0 detected capacity change from to
""",
)


def quiet_log(path: Path, size: int) -> None:
    """Write a log of ``size`` bytes as a healthy machine leaves it."""
    dice = random.Random(20)
    block = bytearray()
    clock = 0.0
    while len(block) < 4 << 20:
        clock += dice.random()
        words = " ".join(dice.choices(_WORDS, k=dice.randint(4, 14)))
        block += f"[{clock:12.6f}] {words}\n".encode()
    with path.open("wb") as file:
        while file.tell() < size:
            file.write(block)


def _pinned() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def timed(command: list[str]) -> tuple[float, int]:
    """CPU seconds of ``command`` on one core, and its peak memory in KiB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, preexec_fn=_pinned)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, after.ru_maxrss


def scanning(size: int) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "quiet.log"
        patterns = Path(folder) / "patterns"
        patterns.write_bytes(b"".join(x.strip() + b"\n" for x in LITERALS))
        small = Path(folder) / "small.log"
        quiet_log(log, size)
        quiet_log(small, size // 8)
        for file in (small, log):
            file.read_bytes()  # into the page cache
        tool = [sys.executable, "-m", "kautopsy", "oops", "--debuginfo", "never"]
        small_seconds, small_memory = timed([*tool, str(small)])
        seconds, memory = min(timed([*tool, str(log)]) for _ in range(2))
        grep, _ = min(timed(["grep", "-c", "-F", "-f", str(patterns), str(log)]) for _ in range(2))
    ratio = grep / seconds
    print(f"{size / 1e6:.0f} MB: {seconds:.2f} s CPU ({size / 1e6 / seconds:.0f} MB/s)")
    print(f"grep -c -F -f ({len(LITERALS)} patterns): {grep:.2f} s CPU")
    print(f"speed as a share of grep's: {ratio:.2f} (goal 0.33)")
    print(f"peak memory so far: {small_memory / 1024:.0f} MiB, then {memory / 1024:.0f} MiB")
    print(f"({size / 8e6:.0f} MB: {small_seconds:.2f} s CPU)")
    return ratio >= 1 / 3 and memory < small_memory * 1.5


_CRASH = """\
[{time}] BUG: kernel NULL pointer dereference, address: 0000000000000010
[{time}] Oops: 0000 [#1] PREEMPT SMP NOPTI
[{time}] CPU: 1 PID: 42 Comm: kworker/1:1H Not tainted 6.1.0-50-amd64 #1
[{time}] RIP: 0010:frob_start+0x4a/0x120 [frob]
[{time}] Call Trace:
[{time}]  <TASK>
[{time}]  frob_queue_rq+0x11c/0x2d0 [frob]
[{time}]  blk_mq_dispatch_rq_list+0x121/0x7e0
[{time}]  process_one_work+0x1c7/0x380
[{time}]  </TASK>
[{time}] ---[ end trace 0000000000000000 ]---
"""
_BLOCK = 64 << 20


def streaming(gib: int) -> bool:
    """Whether a log of ``gib`` GiB goes through in flat memory, and every crash in it is found."""
    with tempfile.TemporaryDirectory() as folder:
        block = Path(folder) / "block"
        quiet_log(block, _BLOCK)
        quiet = block.read_bytes()
        patterns = Path(folder) / "patterns"
        patterns.write_bytes(b"".join(x.strip() + b"\n" for x in LITERALS))
        out = Path(folder) / "out.json"
        tool = [sys.executable, "-m", "kautopsy", "oops", "--json", "--debuginfo", "never", "-"]
        seconds: dict[str, float] = {}
        memory: dict[int, int] = {}
        for command in (tool, ["grep", "-c", "-F", "-f", str(patterns)]):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            with out.open("w") as answer:
                child = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=answer, preexec_fn=_pinned
                )
                assert child.stdin is not None
                for number in range(gib * 16):
                    child.stdin.write(quiet)
                    child.stdin.write(_CRASH.format(time=f"{2e6 + number:12.6f}").encode())
                    if command is tool and number + 1 in (16, gib * 16):
                        status = Path(f"/proc/{child.pid}/status").read_text()
                        peak = re.search(r"VmHWM:\s*(\d+)", status)
                        memory[number + 1] = int(peak[1]) if peak else 0
                child.stdin.close()
                child.wait()
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds[command[0]] = (
                after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            )
            if command is tool:
                found = out.read_text().count('"kind"')
    ratio = seconds["grep"] / seconds[sys.executable]
    print(
        f"{gib} GiB through a pipe: {seconds[sys.executable]:.1f} s CPU, grep"
        f" {seconds['grep']:.1f} s: {ratio:.2f} of its speed; {found} of {gib * 16} crashes found;"
        f" peak memory {memory[16] >> 10} MiB after 1 GiB, {memory[gib * 16] >> 10} MiB at the end"
    )
    return found == gib * 16 and memory[gib * 16] < memory[16] * 1.1


def reading(corpora: Path) -> None:
    """How many reports are taken apart in a CPU second: in plain console text and in syzbot's."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.fleet.samples import console

    from kautopsy.oops import read_crashes

    plain = "".join(console(number, function=f"frob{number % 200}_start") for number in range(1000))
    logs = {"a console's, 24 lines": plain}
    syzbot = corpora / "syzbot.jsonl"
    if syzbot.is_file():
        with syzbot.open() as file:
            rows = [json.loads(line)["log"] for line in file][:400]
        lines = sum(row.count("\n") for row in rows) // len(rows)
        logs[f"syzbot's, {lines} lines"] = "\n".join(rows)
    for name, text in logs.items():
        raw = text.encode("utf-8", "surrogateescape")
        best, count = 1e9, 0
        for _ in range(3):
            started = time.process_time()
            count = sum(1 for _ in read_crashes(io.BytesIO(raw)))
            best = min(best, time.process_time() - started)
        print(
            f"reports ({name} each): {count / best:.0f} a CPU second, {best / count * 1e3:.2f} ms"
        )


def symbolising(vmlinux: Path, count: int = 1000) -> None:
    from kautopsy.model.crash import Frame
    from kautopsy.symbols.lines import ElfLines
    from kautopsy.symbols.symbolise import Symboliser

    symbols = [s for s in ElfLines(vmlinux).program.symbols() if s.size > 64]
    dice = random.Random(5)
    frames = [
        Frame(function=symbol.name, offset=dice.randrange(16, 64))
        for symbol in dice.sample(symbols, count)
    ]
    symboliser = Symboliser(vmlinux)
    for name in ("cold", "warm"):
        started = time.monotonic()
        named = sum(symboliser.frames(frame)[-1].file is not None for frame in frames)
        each = (time.monotonic() - started) / count
        print(f"{count} frames, {name}: {each * 1e3:.3f} ms a frame, {named} with a line")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mib", nargs="?", type=int, default=256)
    parser.add_argument("--vmlinux", type=Path)
    parser.add_argument("--stream", type=int, metavar="GIB")
    parser.add_argument("--reports", type=Path, metavar="CORPORA")
    arguments = parser.parse_args()
    if arguments.stream is not None:
        return 0 if streaming(arguments.stream) else 1
    if arguments.reports is not None:
        reading(arguments.reports)
        return 0
    good = scanning(arguments.mib << 20)
    if arguments.vmlinux is not None:
        symbolising(arguments.vmlinux)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
