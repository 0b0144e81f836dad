"""The declared types of the kernel's global variables.

BTF has none (but for per-CPU variables), so a table keeps those of the variables that are looked
up: ``data/globals.tsv``, made by ``scripts/globals_table.py`` from several kernels' DWARF. The form
of the nearest kernel that is not newer wins; where that kernel has no such variable, or the dump
has no such type, the nearest other form does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from drgn import Program, Type, TypeMember, alignof, sizeof

_ARRAY = re.compile(r"(?P<element>.*?) ?(?P<lengths>(?:\[\w*\])+)")
_ANONYMOUS = re.compile(r"struct \{ (?P<members>.*); \}")
# Variables begin at multiples of at most a cache line: a gap shorter than that may be padding.
_PADDING = 64


@dataclass(frozen=True)
class Declaration:
    """The forms of one variable, by kernel release as (major, minor)."""

    name: str
    forms: tuple[tuple[tuple[int, int], str], ...]

    def preferred(self, release: tuple[int, int]) -> list[str]:
        """The forms, that of ``release`` or of the nearest older one first."""
        older = [form for version, form in self.forms if version <= release]
        newer = [form for version, form in self.forms if version > release]
        return list(dict.fromkeys([*reversed(older), *newer]))


@cache
def table() -> dict[str, Declaration]:
    """All declarations by name."""
    text = (Path(__file__).parent / "data/globals.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    releases = [version(release) for release in rows[0][1:]]
    found = {}
    for name, *columns in rows[1:]:
        forms = []
        before = ""
        for release, column in zip(releases, columns, strict=True):
            spelled = before if column == "=" else column
            if spelled:
                forms.append((release, spelled))
            before = spelled
        found[name] = Declaration(name, tuple(forms))
    return found


def version(release: str | None) -> tuple[int, int]:
    """(6, 1) of ``6.1.0-56-cloud-amd64``; (0, 0) where there is none."""
    match = re.match(r"(\d+)\.(\d+)", release or "")
    return (int(match[1]), int(match[2])) if match else (0, 0)


def declared_type(program: Program, name: str, release: tuple[int, int], room: int) -> Type | None:
    """The type of the variable ``name``, or None where the table or the dump's types lack it.

    :param room: bytes up to the next symbol: an array of another length than that has no length
    """
    declaration = table().get(name)
    for form in declaration.preferred(release) if declaration else ():
        try:
            return _parse(program, form, room)
        except (LookupError, SyntaxError, ValueError, TypeError):
            continue  # the types of another version
    return None


def _parse(program: Program, form: str, room: int = 0) -> Type:
    if anonymous := _ANONYMOUS.fullmatch(form):
        return _structure(program, anonymous["members"])
    array = _ARRAY.fullmatch(form)
    if array is None:
        return program.type(form)
    type_ = program.type(array["element"])
    lengths = re.findall(r"\[(\w*)\]", array["lengths"])
    for i, length in reversed(list(enumerate(lengths))):
        number: int | None = None
        if length.isdigit():
            number = int(length)
            # Configured lengths (NR_CPUS, MAX_NUMNODES) are another kernel's: the symbols decide.
            if i == 0 and room and not 0 <= room - number * sizeof(type_) < _PADDING:
                number = None
        elif length:
            number = int(program.constant(length))
        type_ = program.array_type(type_, number)
    return type_


def _structure(program: Program, members: str) -> Type:
    """A structure without a tag, laid out as the ABI does."""
    made = []
    size = largest = 0
    for member in members.split("; "):
        spelled, _, name = member.rpartition(" ")
        type_ = _parse(program, spelled)
        align = alignof(type_)
        size = (size + align - 1) // align * align
        made.append(TypeMember(type_, name, 8 * size))
        size += sizeof(type_)
        largest = max(largest, align)
    return program.struct_type(None, (size + largest - 1) // largest * largest, made)
