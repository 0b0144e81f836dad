"""Compare kautopsy's shell with crash: `python scripts/crash_parity.py [--write] [SERIES...]`.

Every command and documented option runs through both programs on the lab's dumps, each with the
crash of the suite that knows its kernel. With --write the result becomes docs/crash-parity.md.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.shell.parity.commands import LINES  # noqa: E402
from tests.shell.parity.report import Parity, measure, missing, write  # noqa: E402

from kautopsy.lab.specimen import specimen  # noqa: E402

_SERIES = ("6.1", "6.12", "7.2")


def main() -> int:
    """Measure, print, perhaps write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("series", nargs="*", default=list(_SERIES))
    parser.add_argument("--write", action="store_true", help="write docs/crash-parity.md")
    parser.add_argument("--only", default="", help="only lines that begin so")
    parser.add_argument("--without", action="store_true", help="kautopsy gets no debuginfo")
    parser.add_argument("--show", type=int, default=0, help="so many differences of a command")
    arguments = parser.parse_args()
    lines = [line for line in LINES if line.startswith(arguments.only)]
    if missing():
        print(f"missing commands: {', '.join(missing())}")
    found: list[Parity] = []
    ways = (False,) if arguments.without else (True, False) if arguments.write else (True,)
    # A process each: crash takes minutes, and so do we with all that is asked.
    with ProcessPoolExecutor(len(arguments.series)) as pool:
        for several in pool.map(
            _both, arguments.series, itertools.repeat(ways), itertools.repeat(lines)
        ):
            found += several
    for one in found:
        _print(one, arguments.show)
    if arguments.write:
        write(found, ROOT / "docs/crash-parity.md")
    return 0 if not missing() and all(one.share >= 0.95 for one in found) else 1


def _both(series: str, ways: tuple[bool, ...], lines: list[str]) -> list[Parity]:
    made = specimen(series)
    return [measure(made, debuginfo=debuginfo, lines=lines) for debuginfo in ways]


def _print(one: Parity, show: int) -> None:
    for judged in one.judged:
        if not judged.unexplained and judged.fields == judged.equal:
            continue
        print(f"{judged.equal:6}/{judged.fields:<6} {judged.line}")
        for difference in judged.unexplained[:show]:
            print("    crash", " ".join(difference.crash)[:150])
            print("    own  ", " ".join(difference.own)[:150])
    print(
        f"{one.series} {one.symbols}: {one.equal} of {one.fields} fields equal "
        f"({100 * one.share:.2f} %), crash {one.crash}"
    )


if __name__ == "__main__":
    sys.exit(main())
