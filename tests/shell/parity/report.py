"""The harness: ask, compare, judge; and docs/crash-parity.md from what it finds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.shell.parity.commands import ALL, ALONE, LINES
from tests.shell.parity.compare import Comparison, Difference, compare, rows
from tests.shell.parity.judge import Judge
from tests.shell.parity.known import RULES, Right, Rule
from tests.shell.parity.places import places
from tests.shell.parity.programs import Answer, ask_crash, ask_own

from kautopsy.lab.crash import crash_for
from kautopsy.lab.specimen import Specimen
from kautopsy.shell.opening import open_session
from kautopsy.shell.registry import commands

_CANNOT = re.compile(
    r"not supported or applicable|invalid (?:kernel|user) virtual address|^Usage:"
    r"|command not found|gdb request failed|seek error|cannot resolve"
    r"|does not exist in this kernel|invalid start argument|invalid structure|cannot determine"
    r"|No such file|invalid task or pid|error trace:|multiple member format|invalid input:"
    r"|symbol not found:|not supported for this kernel|cannot access user stack"
    r"|invalid structure member offset|page excluded:|do not exist or have changed",
    re.MULTILINE,
)
"""What crash says when it cannot answer: nothing to compare with."""


@dataclass(frozen=True)
class Judged:
    """One command line: the comparison, and what is known of its differences."""

    line: str
    comparison: Comparison
    explained: tuple[tuple[Difference, Rule], ...]
    unexplained: tuple[Difference, ...]
    died: bool
    refused: bool = False

    @property
    def fields(self) -> int:
        """Fields that count: where crash is not wrong."""
        if self.refused or self.died:
            return 0
        return self.comparison.fields - sum(
            max(len(one.crash), len(one.own))
            for one, rule in self.explained
            if rule.right is Right.OWN
        )

    @property
    def equal(self) -> int:
        """Those of them that are equal."""
        if self.refused or self.died:
            return 0
        lost = sum(
            max(len(one.crash), len(one.own)) - one.fields
            for one, rule in self.explained
            if rule.right is Right.OWN
        )
        return self.comparison.equal - lost


@dataclass
class Parity:
    """One dump, all commands."""

    series: str
    crash: str
    symbols: str
    judged: list[Judged] = field(default_factory=list)

    @property
    def fields(self) -> int:
        """All that count."""
        return sum(one.fields for one in self.judged)

    @property
    def equal(self) -> int:
        """Those that are equal."""
        return sum(one.equal for one in self.judged)

    @property
    def share(self) -> float:
        """``equal / fields``."""
        return self.equal / max(1, self.fields)

    @property
    def mean(self) -> float:
        """The mean of the lines' shares: a line of three fields counts as one of thousands."""
        shares = [one.equal / one.fields for one in self.judged if one.fields]
        return sum(shares) / max(1, len(shares))

    @property
    def cannot(self) -> int:
        """Lines to which crash has no answer."""
        return sum(one.refused or one.died for one in self.judged)

    @property
    def excused(self) -> int:
        """Fields of rows in which crash is proven wrong."""
        return sum(
            max(len(difference.crash), len(difference.own))
            for one in self.judged
            if not (one.refused or one.died)
            for difference, rule in one.explained
            if rule.right is Right.OWN
        )


def missing() -> list[str]:
    """Commands of crash's that the shell lacks."""
    return [name for name in ALL if name not in commands()]


def measure(
    specimen: Specimen, *, debuginfo: bool = True, lines: list[str] | None = None
) -> Parity:
    """Run every command through both programs on one dump.

    :param debuginfo: whether kautopsy gets the vmlinux too; crash always needs it
    """
    crash = crash_for(specimen.series)
    vmlinux = specimen.vmlinux()
    session = open_session(
        str(specimen.vmcore), vmlinux=vmlinux if debuginfo else None, debuginfo=False
    )
    names = places(session.program)
    asked = [_filled(line, names) for line in (lines or LINES)]
    own = ask_own(session, asked)
    theirs = ask_crash(crash, vmlinux, specimen.vmcore, asked)
    found = Parity(specimen.series, crash.version, session.symbols.source)
    judge = Judge(specimen)
    for line, left, right in zip(lines or LINES, theirs, own, strict=True):
        found.judged.append(_judge(line, left, right.text, specimen.series, judge))
    return found


def _filled(line: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        line = line.replace("{" + name + "}", value)
    return line


def _judge(line: str, theirs: Answer, own: str, series: str, judge: Judge) -> Judged:
    crash, died = theirs.text, theirs.died
    comparison = compare(crash, own)
    explained: list[tuple[Difference, Rule]] = []
    unexplained: list[Difference] = []
    judge.look_at(rows(crash), rows(own))
    for one in comparison.differences:
        rule = next((rule for rule in RULES if rule.covers(line, one, series, judge)), None)
        if rule is None:
            unexplained.append(one)
        else:
            explained.append((one, rule))
    refused = bool(_CANNOT.search(crash))
    if refused or died:
        unexplained = []
    return Judged(line, comparison, tuple(explained), tuple(unexplained), died, refused)


_HEAD = """\
# crash and kautopsy, field by field

Made by `python scripts/crash_parity.py --write`, not by hand: every command and documented option
runs through both programs on the lab's dumps, and each field of each row is compared, of long
outputs those of the first 600 rows. kautopsy runs twice: with the kernel's vmlinux (dwarf), and
with nothing but the dump (btf); crash always has the vmlinux.

A field counts where crash is not wrong. That it is wrong is proven row by row
(`tests/shell/parity/judge.py`), by drgn with DWARF and without a line of kautopsy's, or by what the
guest said of itself before it died: a frame of `bt` is excused only if DWARF's unwinding has ours
and not crash's. What is not proven counts against kautopsy. Where crash stops with an error, there
is nothing to compare (crash cannot).

6.1 is read by crash 8.0.6: bookworm's own 8.0.2 finds 3 tasks of 61 on Debian's 6.1.
"""


def document(found: list[Parity]) -> str:
    """Markdown."""
    return "\n".join(_document(found)) + "\n"


def _document(found: list[Parity]) -> Iterator[str]:
    yield _HEAD
    yield f"Commands: {len(ALL) - len(missing())} of {len(ALL)}."
    yield ""
    yield (
        "| kernel | crash | kautopsy's names from | lines compared | crash cannot | fields that "
        "count | equal | mean of the lines | excused: crash is proven wrong |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for one in found:
        yield (
            f"| {one.series} | {one.crash} | {one.symbols} | {len(one.judged)} | {one.cannot} | "
            f"{one.fields} | {100 * one.share:.1f} % | {100 * one.mean:.1f} % | {one.excused} |"
        )
    yield ""
    yield "Not compared: " + "; ".join(f"`{name}` ({why})" for name, why in ALONE.items()) + "."
    yield ""
    yield "## Who is right where they differ"
    yield ""
    yield from _rules(found)
    yield "## Each command"
    yield ""
    yield "Fields equal, of those that count; — where nothing does."
    yield ""
    titles = [f"{one.series} {one.symbols}" for one in found]
    yield f"| command | {' | '.join(titles)} |"
    yield "|---|" + "---|" * len(found)
    for at, judged in enumerate(found[0].judged):
        cells = [_cell(one.judged[at]) for one in found]
        yield f"| `{judged.line.replace('|', chr(92) + '|')}` | {' | '.join(cells)} |"
    yield ""
    yield "## Differences that no rule explains"
    yield ""
    for one in found:
        rest = [judged for judged in one.judged if judged.unexplained]
        count = sum(difference.fields for judged in rest for difference in judged.unexplained)
        yield f"### {one.series}, names from {one.symbols}: {count} fields"
        yield ""
        for judged in rest:
            yield f"- `{judged.line}`"
            for difference in judged.unexplained[:2]:
                yield f"  - crash `{_row(difference.crash)}`; kautopsy `{_row(difference.own)}`"
        yield ""


def _row(fields: tuple[str, ...]) -> str:
    text = re.sub(r"/\S+/(vmlinux|vmcore)", r"…/\1", " ".join(fields) or "(nothing)")
    text = text if len(text) <= 110 else text[:107] + "..."
    return text.replace("`", "'")


def _cell(judged: Judged) -> str:
    if judged.died:
        return "crash died"
    if judged.refused:
        return "crash cannot"
    if not judged.fields:
        return "—"
    return f"{100 * judged.equal / judged.fields:.0f} %"


def _rules(found: list[Parity]) -> Iterator[str]:
    seen: dict[Rule, tuple[int, str, Difference]] = {}
    for one in found:
        for judged in one.judged:
            for difference, rule in judged.explained:
                count, line, example = seen.get(rule, (0, judged.line, difference))
                seen[rule] = (count + difference.fields, line, example)
    yield "| right | fields | why | as in | crash | kautopsy |"
    yield "|---|---|---|---|---|---|"
    for rule, (count, line, example) in sorted(seen.items(), key=lambda pair: -pair[1][0]):
        cells = [_row(example.crash), _row(example.own)]
        shown = [cell.replace("|", "\\|") for cell in cells]
        yield (f"| {rule.right} | {count} | {rule.why} | `{line}` | `{shown[0]}` | `{shown[1]}` |")
    yield ""


def write(found: list[Parity], path: Path) -> None:
    """Write the document."""
    path.write_text(document(found))
