"""How well console text is understood, on labelled logs.

The corpora are third-party data, read where they lie (`CORPORA` or env KAUTOPSY_CORPORA). Rules are
written while looking at failures of seven eighths of every file (dev); the last eighth (held out)
tells how they generalise. `--failures` prints only failures of dev.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kautopsy.model.crash import Crash, Kind
from kautopsy.oops import read_text

# The trackers' types → kinds of ours that say the same.
_MEMORY = {Kind.MEMORY_SAFETY, Kind.USE_AFTER_FREE}
KINDS: dict[str, set[Kind]] = {
    "WARNING": {Kind.WARNING},
    "LOCKDEP": {Kind.LOCK_MISUSE, Kind.SPINLOCK_STUCK},
    "HANG": {
        Kind.HUNG_TASK, Kind.SOFT_LOCKUP, Kind.HARD_LOCKUP, Kind.RCU_STALL, Kind.WORKQUEUE_STALL,
        Kind.SPINLOCK_STUCK,
    },
    "DoS": {
        Kind.BAD_POINTER, Kind.NULL_DEREFERENCE, Kind.USE_AFTER_FREE, Kind.EXEC_FAULT,
        Kind.DIVIDE_ERROR,
        Kind.DOUBLE_FAULT, Kind.INVALID_OPCODE, Kind.STACK_OVERFLOW, Kind.PANIC, Kind.INIT_DIED,
        Kind.ROOT_MOUNT_FAILURE, Kind.FILESYSTEM_PANIC, Kind.HUNG_TASK, Kind.SLAB_CORRUPTION,
        Kind.MACHINE_CHECK, Kind.OUT_OF_MEMORY, Kind.UNKNOWN,
    },
    "BUG": {Kind.BUG},
    "ATOMIC_SLEEP": {Kind.ATOMIC_SLEEP},
    "REFCOUNT_WARNING": {Kind.REFCOUNT},
    "LEAK": {Kind.MEMORY_LEAK},
    "NULL-POINTER-DEREFERENCE": {Kind.NULL_DEREFERENCE},
    "MEMORY_SAFETY_BUG": {
        Kind.BAD_POINTER, Kind.EXEC_FAULT, Kind.USE_AFTER_FREE, Kind.STACK_OVERFLOW,
        Kind.LIST_CORRUPTION,
        Kind.SLAB_CORRUPTION, Kind.MEMORY_SAFETY,
    },
    "KCSAN-DATARACE": {Kind.DATA_RACE},
    "KCSAN-ASSERT": {Kind.DATA_RACE},
    "KCSAN-UNKNOWN": {Kind.DATA_RACE},
}  # fmt: skip
_FUNCTION = re.compile(r".* in ((?:<[a-zA-Z0-9_: ]+>)?[a-zA-Z0-9_:]+)")


class Table:
    """Counts of right and all, by row and half."""

    def __init__(self, failures: bool) -> None:
        self.counts: dict[str, dict[str, list[int]]] = defaultdict(
            lambda: {"dev": [0, 0], "held": [0, 0]}
        )
        self._failures = failures

    def score(self, what: str, row: str, right: bool, detail: str = "") -> None:
        half = part_of(row)
        count = self.counts[what][half]
        count[0] += right
        count[1] += 1
        if not right and self._failures and half == "dev":
            print(f"! {what}: {row}: {detail}")

    def print(self) -> None:
        print(f"{'':46}{'dev':>20}{'held out':>20}{'all':>20}")
        for what, halves in self.counts.items():
            dev, held = halves["dev"], halves["held"]
            both = [dev[0] + held[0], dev[1] + held[1]]
            cells = "".join(f"{_rate(*c):>20}" for c in (dev, held, both))
            print(f"{what:46}{cells}")


def _rate(right: int, count: int) -> str:
    return f"{right}/{count} {100 * right / count:6.2f} %" if count else "-"


def part_of(row: str) -> str:
    """A row's part, by its id's hash: the same in every run."""
    return "held" if hashlib.sha256(row.encode()).digest()[0] % 8 == 0 else "dev"


def rows(corpora: Path, name: str) -> Iterator[dict[str, Any]]:
    with (corpora / f"{name}.jsonl").open() as file:
        for line in file:
            yield json.loads(line)


def syzkaller(corpora: Path, table: Table) -> None:
    for row in rows(corpora, "syzkaller"):
        id_ = row["id"].removeprefix("syz/linux/report/")
        crashes = read_text(row["log"])
        found = bool(crashes)
        expected = not row["no_crash"]
        first = crashes[0].title if crashes else "-"
        table.score(
            "syzkaller: crash or not", row["id"], found == expected, f"{row['titles']} {first}"
        )
        if not expected or not found:
            continue
        # where two reports run into each other, the one whose head stands first is labelled
        crash = min(crashes, key=lambda c: c.text.first_line if c.text else 0)
        kind = row["type"]
        if kind is not None:
            allowed = KINDS.get(
                kind,
                _MEMORY
                if kind.startswith(("KASAN", "KMSAN", "KFENCE", "UBSAN", "MEMORY_SAFETY_UBSAN"))
                else set(),
            )
            if allowed:
                table.score(
                    "syzkaller: kind",
                    row["id"],
                    crash.kind in allowed,
                    f"{kind} {crash.kind} | {row['titles'][:1]} | {crash.title}",
                )
        functions = _functions(row)
        if not row["corrupted"] and functions:
            named = {m[1] for t in (crash.title, *crash.titles) if (m := _FUNCTION.match(t))}
            main = _FUNCTION.match(crash.title)
            table.score(
                "syzkaller: function in title or titles", row["id"], bool(named & functions)
            )
            table.score(
                "syzkaller: function in title", row["id"], bool(main and main[1] in functions),
                f"{row['titles']} | {crash.title}",
            )  # fmt: skip
        table.score(
            "syzkaller: corrupted",
            row["id"],
            crash.corrupted == row["corrupted"],
            f"{row['corrupted']} {crash.corrupted_reason} | {row['titles'][:1]} {crash.title}",
        )
        del id_


def _functions(row: dict[str, Any]) -> set[str]:
    names = {m[1] for title in row["titles"] if (m := _FUNCTION.match(title))}
    if row["frame"]:
        names.add(row["frame"])
    return names - {"corrupted"}


def abrt(corpora: Path, table: Table) -> None:
    for row in rows(corpora, "abrt"):
        if row["n_oops"] is None:
            continue
        crashes = read_text(row["log"])
        table.score(
            "abrt: number of oopses",
            row["id"],
            len(crashes) == row["n_oops"],
            f"{row['n_oops']} {[c.title for c in crashes]}",
        )
        for crash, oops in zip(crashes, row["oopses"] or [], strict=False):
            if oops["version"]:
                table.score(
                    "abrt: release",
                    row["id"],
                    crash.release == oops["version"],
                    f"{oops['version']} {crash.release}",
                )


def satyr(corpora: Path, table: Table) -> None:
    for row in rows(corpora, "satyr"):
        crashes = read_text(row["log"])
        table.score("satyr: found", row["id"], bool(crashes), row["log"][:200])
        if not crashes or "frames" not in row or row["frames"] is None:
            continue
        crash = crashes[0]
        named = [f.function for f in crash.frames]
        first, last = row["first_function"], row["last_function"]
        got = (named[0], named[-1]) if named else (None, None)
        table.score("satyr: first function", row["id"], got[0] == first, f"{first} {got}")
        table.score("satyr: last function", row["id"], got[1] == last, f"{last} {got}")
        table.score(
            "satyr: frames",
            row["id"],
            len(crash.frames) == row["frames"],
            f"{row['frames']} {len(crash.frames)} {named}",
        )
        table.score(
            "satyr: taints",
            row["id"],
            len(crash.tainted) == row["taints"],
            f"{row['taints']} {crash.tainted}",
        )
        table.score(
            "satyr: modules",
            row["id"],
            len(crash.modules) == row["modules"],
            f"{row['modules']} {len(crash.modules)}",
        )


def lkp(corpora: Path, table: Table) -> None:
    frame = re.compile(r"([A-Za-z_][\w.]*)\+0x[0-9a-f]+/0x")
    for row in rows(corpora, "lkp"):
        crashes = read_text(row["log"])
        expected = row["calltrace"]
        named = {f.function for c in crashes for f in (*c.frames, c.instruction) if f}
        functions = set(frame.findall(expected))
        missing = functions - named
        table.score(
            "lkp: functions of the call trace",
            row["id"],
            len(missing) <= 0.05 * len(functions),
            f"{sorted(missing)} {[c.title for c in crashes]}",
        )
        lines = row["log"].split("\n")
        start = next(
            (i + 1 for i, line in enumerate(lines) if line and line == expected.split("\n")[0]),
            None,
        )
        near = any(
            c.text and start is not None and abs(c.text.first_line - start) <= 3 for c in crashes
        )
        table.score("lkp: where it begins", row["id"], near, f"{start} {[c.text for c in crashes]}")


def logspec(corpora: Path, table: Table) -> None:
    for row in rows(corpora, "logspec"):
        crashes = read_text(row["log"])
        expected = [e for e in row["errors"] if e["error_type"] != "linux.kernel.error_return_code"]
        table.score(
            "logspec: number of kernel errors",
            row["id"],
            len(crashes) == len(expected),
            f"{[e['error_summary'] for e in expected]} {[c.title for c in crashes]}",
        )


def fleet(corpora: Path) -> None:
    print("\nfleet (no labels; to be read)")
    for row in rows(corpora, "fleet"):
        crashes = read_text(row["log"])
        if not crashes:
            print(f"  {row['id']}: -")
        for crash in crashes:
            print(f"  {row['id']}: {_brief(crash)}")


def squad(corpora: Path) -> None:
    print("\nsquad (no labels)")
    for row in rows(corpora, "squad"):
        crashes = read_text(row["log"])
        print(f"  {row['id']}: {len(crashes)} crashes")
        for crash in crashes[:12]:
            print(f"     {_brief(crash)}")


def _brief(crash: Crash) -> str:
    span = crash.text
    where = f"{span.first_line}-{span.last_line}" if span else ""
    doubt = f" CORRUPTED {crash.corrupted_reason}" if crash.corrupted else ""
    return f"[{where}] {crash.kind}: {crash.title}{doubt}"


def syzbot(corpora: Path, table: Table, limit: int) -> None:
    for number, row in enumerate(rows(corpora, "syzbot")):
        if number >= limit:
            break
        crashes = read_text(row["log"])
        table.score("syzbot: found", row["id"], bool(crashes), row["title"])
        expected = _FUNCTION.match(row["title_base"])
        if not crashes or not expected or "corrupted" in row["title"]:
            continue
        names = {m[1] for t in crashes[0].titles if (m := _FUNCTION.match(t))}
        main = _FUNCTION.match(crashes[0].title)
        table.score(
            "syzbot: function in title or titles",
            row["id"],
            expected[1] in names or bool(main and main[1] == expected[1]),
        )
        table.score(
            "syzbot: function in title",
            row["id"],
            bool(main and main[1] == expected[1]),
            f"{row['title']} | {crashes[0].title}",
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpora", nargs="?", type=Path, default=os.environ.get("KAUTOPSY_CORPORA"))
    parser.add_argument("--failures", action="store_true")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--syzbot", type=int, default=400, metavar="ROWS")
    arguments = parser.parse_args()
    if arguments.corpora is None or not Path(arguments.corpora).is_dir():
        print("skipped: no corpora (name a directory or set KAUTOPSY_CORPORA)", file=sys.stderr)
        return 0
    corpora = Path(arguments.corpora)
    table = Table(arguments.failures)
    started = time.monotonic()
    for scorer in (syzkaller, abrt, satyr, lkp, logspec):
        if not arguments.only or scorer.__name__ in arguments.only:
            scorer(corpora, table)
    if not arguments.only or "syzbot" in arguments.only:
        syzbot(corpora, table, arguments.syzbot)
    table.print()
    for reader in (fleet, squad):
        if not arguments.only or reader.__name__ in arguments.only:
            reader(corpora)
    print(f"\n{time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
