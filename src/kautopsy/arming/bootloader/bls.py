"""Boot Loader Specification entries (el8 and later, Fedora, systemd-boot): a file a kernel."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kautopsy.arming.bootloader.words import values_of, words_of
from kautopsy.arming.bootloader.words import with_values as edited
from kautopsy.model.host import BootEntry, Loader

_VARIABLE = re.compile(r"\$(\w+)")
_OPTIONS = re.compile(r"^[ \t]*options(?:[ \t]+|$)")
_SEGMENT = re.compile(r"\d+|[a-zA-Z]+|~|\^")


@dataclass(frozen=True)
class BlsEntry:
    """One entry; ``options`` still with variables."""

    path: str
    title: str
    version: str
    options: str

    @property
    def id(self) -> str:
        """The file's name without ``.conf``."""
        return self.path.rpartition("/")[2].removesuffix(".conf")


def parse(path: str, text: str) -> BlsEntry | None:
    """An entry; None for one that starts no kernel."""
    keys: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, *rest = line.split(None, 1)[:2] or [""]
        if key and not key.startswith("#"):
            keys.setdefault(key, []).append(rest[0].strip() if rest else "")
    if "linux" not in keys and "efi" not in keys and "uki" not in keys:
        return None
    return BlsEntry(
        path=path,
        title=keys.get("title", [""])[0],
        version=keys.get("version", [""])[0],
        options=" ".join(keys.get("options", [])),
    )


def with_values(text: str, name: str, values: Sequence[str]) -> str:
    """An entry's text with ``name=value`` among its options, as :func:`words.with_values`.

    Of several ``options`` lines the last one takes it; where there is none, one is added. Of an
    entry whose options are variables (``$kernelopts``) its own words are taken out: they are set
    elsewhere.
    """
    lines = text.split("\n")
    places = [i for i, line in enumerate(lines) if _OPTIONS.match(line)]
    if any("$kernelopts" in lines[i] for i in places):
        values = ()
    if not places:
        if not values or parse("", text) is None:
            return text
        gap = "" if text.endswith("\n") else "\n"
        return f"{text}{gap}options {' '.join(f'{name}={value}' for value in values)}\n"
    every = " ".join(_OPTIONS.sub("", lines[i]) for i in places)
    if values_of(words_of(every), name) == list(values):
        return text
    for i in places:
        match = _OPTIONS.match(lines[i])
        assert match is not None
        wanted = values if i == places[-1] else ()
        lines[i] = match[0] + edited(lines[i][match.end() :], name, wanted)
    return "\n".join(lines)


def newest_first(entries: list[BlsEntry]) -> list[BlsEntry]:
    """In the order of GRUB's blscfg: by the file's name, as rpm compares versions."""
    return sorted(entries, key=lambda e: _rpm_key(e.id), reverse=True)


def grub_entry(
    entries: list[BlsEntry], default: str, environment: Mapping[str, str]
) -> BootEntry | None:
    """What GRUB starts: ``default`` is an id, a title or a number."""
    ordered = newest_first(entries)
    if not ordered:
        return None
    number = int(default) if default.isascii() and default.isdecimal() and len(default) < 5 else -1
    entry = next((e for e in ordered if default in (e.id, e.title)), None)
    if entry is None:
        entry = ordered[number] if 0 <= number < len(ordered) else ordered[0]
    options = expand(entry.options, environment)
    return BootEntry(
        loader=Loader.GRUB2_BLS,
        source=entry.path,
        title=entry.title or entry.id,
        arguments=words_of(options),
    )


def systemd_boot_entry(entries: list[BlsEntry], loader_conf: str) -> BootEntry | None:
    """What systemd-boot starts: the last match of ``default``'s pattern, or the newest."""
    pattern = ""
    for line in loader_conf.splitlines():
        words = line.split(None, 1)
        if len(words) == 2 and words[0] == "default":
            pattern = words[1].strip()
    ordered = newest_first(entries)
    if pattern and not pattern.startswith("@"):
        wanted = [
            e
            for e in ordered
            if fnmatch.fnmatchcase(f"{e.id}.conf", pattern) or fnmatch.fnmatchcase(e.id, pattern)
        ]
        ordered = wanted or ordered
    if not ordered:
        return None
    entry = ordered[0]
    return BootEntry(
        loader=Loader.SYSTEMD_BOOT,
        source=entry.path,
        title=entry.title or entry.id,
        arguments=words_of(entry.options),
    )


def expand(options: str, environment: Mapping[str, str]) -> str:
    """``options`` with ``$kernelopts`` and its like out of grubenv."""
    return _VARIABLE.sub(lambda match: environment.get(match[1], ""), options)


def _rpm_key(name: str) -> list[tuple[int, int, str]]:
    """Numbers above letters, a longer name above its own beginning, ``~`` below everything."""
    key = []
    for part in _SEGMENT.findall(name):
        if part.isdigit():
            key.append((3, int(part[:18]), ""))
        elif part == "~":
            key.append((0, 0, ""))
        else:
            key.append((2, 0, part))
    return [*key, (1, 0, "")]
