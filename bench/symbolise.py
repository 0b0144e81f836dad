"""How fast frames get their lines: `python bench/symbolise.py [VMLINUX] [--script FILE]`.

The same frames, `function+offset/size` of functions drawn at random, go through kautopsy (in one
batch, warm) and, in the same run, through the kernel's scripts/decode_stacktrace.sh (as many as
finish in reasonable time) and one addr2line process for all. addr2line also says how many lines
agree: those of frames whose name and size are one place.

VMLINUX needs DWARF; without it the first of /usr/lib/debug/boot is taken. The script comes from
--script, or out of a linux-source package in /usr/src.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
from itertools import pairwise
from pathlib import Path

from kautopsy.symbols.lines_annotate import annotate
from kautopsy.symbols.symbolise import Symboliser

_FRAMES = 1000
_FRAMES_OF_SCRIPT = 40


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vmlinux", nargs="?", type=Path)
    parser.add_argument("--script", type=Path)
    arguments = parser.parse_args()
    vmlinux = arguments.vmlinux or next(Path("/usr/lib/debug/boot").glob("vmlinux-*"), None)
    if vmlinux is None or shutil.which("nm") is None:
        print("bench/symbolise: needs a vmlinux with DWARF (an argument) and binutils")
        return 0
    started = _cpu()
    symboliser = Symboliser(vmlinux)
    print(f"opening {vmlinux.name}: {_cpu() - started:.2f} s")
    frames = _frames(vmlinux)
    log = [f" {name}+{offset:#x}/{size:#x}\n" for name, _, offset, size in frames]

    print(f"\n{'':<34}{'frames':>8}{'CPU s':>10}{'ms a frame':>12}")
    _row("kautopsy, cold", len(log), _seconds(symboliser, log))
    # Cold means drgn indexing each compilation unit it meets; what a second log of other frames of
    # the same units costs is the warm figure, so the cache of addresses is left out.
    symboliser.forget()
    ours = _seconds(symboliser, log)
    _row("kautopsy, warm", len(log), ours)
    theirs = _addr2line(vmlinux, frames)
    _row("addr2line -fi, one process", len(log), theirs[0])
    script = arguments.script or _script()
    if script is None:
        print("no decode_stacktrace.sh: give --script, or install linux-source")
    else:
        some = log[:_FRAMES_OF_SCRIPT]
        seconds = _decode(script, vmlinux, some)
        _row("decode_stacktrace.sh", len(some), seconds)
        ratio = (seconds / len(some)) / (ours / len(log))
        print(f"\nkautopsy is {ratio:.0f} times as fast per frame as decode_stacktrace.sh")
    agree, compared = _agreement(symboliser, frames, theirs[1])
    print(f"innermost line as addr2line's: {agree} of {compared}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory: {peak:.0f} MiB")
    return 0


def _frames(vmlinux: Path) -> list[tuple[str, int, int, int]]:
    """Name, address, offset and kallsyms' size of functions drawn at random, from nm."""
    out = subprocess.run(["nm", "-n", str(vmlinux)], check=True, capture_output=True, text=True)
    symbols = [
        (int(parts[0], 16), parts[1], parts[2])
        for line in out.stdout.splitlines()
        if len(parts := line.split()) == 3 and not re.match(r"\.L|\$|__crc_", parts[2])
    ]
    drawn = random.Random(1)
    first = next(address for address, _, name in symbols if name in ("_stext", "_text"))
    places = []
    addresses = sorted({address for address, _, _ in symbols})
    following = dict(pairwise(addresses))
    for address, kind, name in symbols:
        if kind in "tT" and address >= first and following.get(address, 0) - address > 16:
            places.append((name, address, following[address] - address))
    return [
        (name, address, drawn.randrange(1, size), size)
        for name, address, size in drawn.sample(places, min(_FRAMES, len(places)))
    ]


def _seconds(symboliser: Symboliser, log: list[str]) -> float:
    started = _cpu()
    for _ in annotate(log, symboliser):
        pass
    return _cpu() - started


def _cpu() -> float:
    """CPU seconds of this process and the children it waited for: the machine may be busy."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _addr2line(vmlinux: Path, frames: list[tuple[str, int, int, int]]) -> tuple[float, list[str]]:
    """Seconds, and the innermost ``file:line`` of each frame's call."""
    asked = [hex(address + offset - 1) for _, address, offset, _ in frames]
    started = _cpu()
    out = subprocess.run(
        ["addr2line", "-fia", "-e", str(vmlinux)],
        input="\n".join(asked), check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    seconds = _cpu() - started
    heads = [number for number, line in enumerate(out) if re.match(r"0x[0-9a-f]{8,}$", line)]
    return seconds, [out[head + 2].split(" ")[0] for head in heads]


def _agreement(
    symboliser: Symboliser, frames: list[tuple[str, int, int, int]], theirs: list[str]
) -> tuple[int, int]:
    agree = compared = 0
    for (name, _, offset, size), other in zip(frames, theirs, strict=True):
        found = symboliser.locate(name, offset, size=size, return_address=True).locations
        if len(found) != 1 or not found[0].lines or not found[0].lines[0].file:
            continue
        compared += 1
        mine = found[0].lines[0]
        agree += other.endswith(f"{Path(mine.file or '').name}:{mine.line or '?'}")
    return agree, compared


def _script() -> Path | None:
    for archive in sorted(Path("/usr/src").glob("linux-source-*.tar.xz")):
        with tarfile.open(archive) as files:
            for member in files:
                if member.name.endswith("/scripts/decode_stacktrace.sh"):
                    text = files.extractfile(member)
                    if text is not None:
                        path = Path(tempfile.mkdtemp()) / "decode_stacktrace.sh"
                        path.write_bytes(text.read())
                        return path
    return None


def _decode(script: Path, vmlinux: Path, log: list[str]) -> float:
    started = _cpu()
    subprocess.run(
        ["bash", str(script), str(vmlinux)],
        input="".join(log), check=True, capture_output=True, text=True,
    )  # fmt: skip
    return _cpu() - started


def _row(name: str, frames: int, seconds: float) -> None:
    print(f"  {name:<32}{frames:>8}{seconds:>10.3f}{seconds / frames * 1000:>12.3f}")


if __name__ == "__main__":
    sys.exit(main())
