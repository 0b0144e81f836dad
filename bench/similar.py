"""How well crashes are recognised: `python bench/similar.py [syzbot.jsonl]`.

The corpus (third-party data, read where it lies: an argument, or env KAUTOPSY_CORPORA) holds one
report for each of some thousand bugs with the commit that fixed it. Two bugs with one fix are
duplicates, found by people; the tracker merged those with one title already, so that these are the
hard ones. The weights were chosen on half of the fixes (dev); the other half (held out) tells how
they generalise. The whole corpus is searched in both cases, rows without a fix included.

- exact key: of all pairs of fixed bugs with one key, how many have one fix (precision), and of all
  pairs with one fix, how many have one key (recall). Pairs across the halves count in "all" alone.
- ranking: for each bug with a duplicate, is a duplicate first (R@1), among ten (R@10), and the mean
  of one over the first one's rank (MRR). Nothing but the log is used. The baseline beside it,
  TF-IDF over frames, words of the title and the guilty file and its folder, is *given* those two.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from kautopsy.fingerprint.corpus import known_from_crashes
from kautopsy.fingerprint.exact import significant
from kautopsy.fingerprint.features import Features, Group
from kautopsy.fingerprint.names import normalise
from kautopsy.fingerprint.ranking import Known, Ranking
from kautopsy.model.crash import Crash
from kautopsy.oops import read_text

_FOLDS = ("dev", "held out", "all")


@dataclass(frozen=True)
class Row:
    id: str
    title: str
    fix: str
    guilty_file: str
    crash: Crash | None
    known: list[Known]
    query: list[Known]

    @property
    def fold(self) -> str:
        return _FOLDS[hashlib.sha1(self.fix.encode()).digest()[-1] % 2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("KAUTOPSY_CORPORA", Path(__file__).parents[2] / "shared/corpora")
    parser.add_argument("corpus", nargs="?", type=Path, default=Path(default) / "syzbot.jsonl")
    path = parser.parse_args().corpus
    if not path.is_file():
        print(f"bench/similar: no {path.name}: give its path, or set KAUTOPSY_CORPORA")
        return 0
    rows = _read(path)
    print("\nexact key, pairs of fixed bugs       precision                         recall")
    for name, key in _KEYS.items():
        print(f"  {name:<32}{_pairs(rows, key)}")
    low, high = _interval(rows, _ours)
    print(f"  exact fingerprint's precision, 95 % interval over the keys: {low:.2f} to {high:.2f}")
    print(f"\n{'ranking':<35}{'  '.join(f'{fold:<25}' for fold in _FOLDS)}")
    print(f"{'':<35}{'  '.join(['R@1    R@10   MRR'.ljust(25)] * 3)}")
    ours = Ranking([known for row in rows for known in row.known])
    _rank("from the log alone", rows, ours, lambda row: row.query[0] if row.query else None)
    given = {row.id: _given(row) for row in rows}
    baseline = Ranking(list(given.values()))
    _rank("TF-IDF, given title and file", rows, baseline, lambda row: given[row.id])
    return 0


def _read(path: Path) -> list[Row]:
    rows = []
    started = time.process_time()
    for line in path.open():
        raw = json.loads(line)
        crashes = read_text(raw["log"])
        rows.append(
            Row(
                raw["id"],
                raw["title"],
                raw["fix"] or "",
                raw["guilty_file"] or "",
                next((c for c in crashes if not c.corrupted), crashes[0] if crashes else None),
                known_from_crashes(raw["id"], crashes, raw["log"]),
                known_from_crashes(raw["id"], crashes, raw["log"], only_first=True),
            )
        )
    seconds = time.process_time() - started
    print(f"{len(rows)} logs read in {seconds:.1f} s of CPU time")
    return rows


def _ours(row: Row) -> str | None:
    return row.query[0].exact if row.query else None


def _first_six(row: Row) -> str | None:
    """ABRT's key: the first six frames that are not marked with '?', whatever they are."""
    frames = (
        [f.function for f in row.crash.frames if f.reliable and f.function] if row.crash else []
    )
    return " ".join(frames[:6]) or None


def _top_three(row: Row) -> str | None:
    frames = [normalise(f.function or "") for f in significant(row.crash)] if row.crash else []
    return " ".join(frames[:3]) or None


_KEYS: dict[str, Callable[[Row], str | None]] = {
    "exact fingerprint": _ours,
    "first 3 significant frames": _top_three,
    "first 6 frames (ABRT)": _first_six,
}


def _pairs(rows: Sequence[Row], key: Callable[[Row], str | None]) -> str:
    by_key: dict[str, list[Row]] = defaultdict(list)
    fixes = Counter[str]()
    per_fold = Counter[str]()
    for row in rows:
        if row.fix:
            fixes[row.fix] += 1
            if (value := key(row)) is not None:
                by_key[value].append(row)
    fold_of = {row.fix: row.fold for row in rows if row.fix}
    for fix, n in fixes.items():
        per_fold[fold_of[fix]] += n * (n - 1) // 2
        per_fold["all"] += n * (n - 1) // 2
    right, found = Counter[str](), Counter[str]()
    for same in by_key.values():
        for one, two in combinations(same, 2):
            folds = {"all"} | ({one.fold} if one.fold == two.fold else set())
            for fold in folds:
                found[fold] += 1
                right[fold] += one.fix == two.fix
    precision = "  ".join(f"{f} {right[f] / max(found[f], 1):.2f} ({found[f]})" for f in _FOLDS)
    recall = "  ".join(f"{right[f] / max(per_fold[f], 1):.3f}" for f in _FOLDS)
    return f"{precision}   {recall}"


def _interval(rows: Sequence[Row], key: Callable[[Row], str | None]) -> tuple[float, float]:
    """Bounds of the precision of pairs, drawing keys (not pairs, which depend on each other)."""
    by_key: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.fix and (value := key(row)) is not None:
            by_key[value].append(row)
    counts = [
        (sum(one.fix == two.fix for one, two in combinations(same, 2)), n * (n - 1) // 2)
        for same in by_key.values()
        if (n := len(same)) > 1
    ]
    draw = random.Random(0)
    drawn = (draw.choices(counts, k=len(counts)) for _ in range(2000))
    found = sorted(sum(r for r, _ in some) / sum(n for _, n in some) for some in drawn)
    return found[50], found[-51]


def _given(row: Row) -> Known:
    """The baseline's bag: frames by depth, title words, guilty file and folder."""
    bag: dict[str, float] = {}
    for depth, frame in enumerate(row.crash.frames if row.crash else ()):
        name = normalise(frame.function or "")
        bag[name] = max(bag.get(name, 0.0), (1 + depth) ** -0.3)
    bag |= {f"title {word}": 1.0 for word in re.findall(r"\w+", row.title)}
    if row.guilty_file:
        bag[f"file {row.guilty_file}"] = 1.0
        bag[f"folder {row.guilty_file.rpartition('/')[0]}"] = 1.0
    return Known(row.id, Features({Group.FRAMES: bag}))


def _rank(
    name: str, rows: Sequence[Row], ranking: Ranking, query: Callable[[Row], Known | None]
) -> None:
    fixes = Counter(row.fix for row in rows if row.fix)
    fix_of = {row.id: row.fix for row in rows}
    ranks: dict[str, list[float]] = {fold: [] for fold in _FOLDS}
    for row in rows:
        if fixes.get(row.fix, 0) < 2:
            continue
        asked = query(row)
        rank = float("inf")
        if asked is not None:
            order = ranking.order(asked.features, exact=asked.exact, but=row.id)
            rank = _first(number for number, i in enumerate(order, 1) if fix_of[i] == row.fix)
        ranks[row.fold].append(rank)
        ranks["all"].append(rank)
    columns = []
    for fold in _FOLDS:
        n = max(len(ranks[fold]), 1)
        first = sum(rank <= 1 for rank in ranks[fold]) / n
        ten = sum(rank <= 10 for rank in ranks[fold]) / n
        mean = sum(1 / rank for rank in ranks[fold]) / n
        columns.append(f"{first:.3f}  {ten:.3f}  {mean:.3f}".ljust(25))
    print(f"  {name:<32} {'  '.join(columns)}")


def _first(numbers: Iterable[int]) -> float:
    return next(iter(numbers), float("inf"))


if __name__ == "__main__":
    sys.exit(main())
