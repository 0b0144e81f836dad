"""What two reports of one bug tend to share: weighted terms, in groups that count alike.

An exact key says "the same" or nothing. For "probably the same" every part of a report is evidence:
the stack and its order, the files it goes through, the other stacks that sanitizers and lockdep
print (who allocated, who freed, who holds the lock), the words of the headline, and the release, as
a bug lives between two of them. Each group is a bag of terms of its own; :mod:`.ranking` compares
group with group, so that a long stack does not drown a telling headline.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from kautopsy.fingerprint.exact import outwards
from kautopsy.fingerprint.generic import is_generic
from kautopsy.fingerprint.names import normalise
from kautopsy.model.crash import Crash
from kautopsy.model.lazy import lazy_pattern


class Group(StrEnum):
    """A kind of evidence; the value is how ``why`` calls it."""

    FRAMES = "frames"
    CALLS = "calls"
    FILES = "files"
    FUNCTIONS = "functions"
    TITLE = "title"
    WORDS = "words"
    RELEASE = "release"


class Features(msgspec.Struct, frozen=True):
    """Terms of one report, group by group: term → weight in (0, 1]."""

    terms: dict[Group, dict[str, float]]


_GENERIC_FRAME = 0.3
_GENERIC_FUNCTION = 0.2
_FOLDER = 0.5
_DECAY = 0.3
"""A frame at depth n counts (1 + n) ** -0.3: the top says more, but not all."""

_FUNCTION = lazy_pattern(
    r"(?<!\? )(?<![\w.])([A-Za-z_][\w.]*)"
    r"(?:\+0x[0-9a-f]+/0x[0-9a-f]+|(?= [\w./-]+\.[chSrs]+:\d+ \[inline\]))"
)
_HEADLINE = lazy_pattern(
    r"BUG:|WARNING:|INFO:|Oops|general protection|kernel BUG|UBSAN|divide error|panic|unreferenced|"
    r"possible |inconsistent |refcount_t|list_(?:add|del)|Unable to handle"
)
_HEADLINES = 3
_WORD = lazy_pattern(r"[A-Za-z_][A-Za-z0-9_]{2,}")
_NUMBER = lazy_pattern(r"\b(?:0x)?[0-9a-f]{6,}\b")
# Registers, code bytes and other lines whose words are noise, by how they begin.
_NOISE = lazy_pattern(
    r"\s*(?:[RE]?[A-Z]{1,2}\w{0,2}:|R\d\d:|[xr]\d+ ?:|Code:|CR\d|DR\d|PKRU|CPU:"
    r"|Call [Tt]race|</?[A-Z])"
)
_RELEASE = lazy_pattern(r"((\d+)\.(\d+)\.\d+(?:-rc\d+)?)")
_RELEASE_IN_TEXT = lazy_pattern(r"(?<![\w.])(\d{1,3}\.\d{1,3}\.\d{1,5}[\w.+~-]{0,80}) #\d")


def features(crash: Crash | None, text: str = "") -> Features:
    """The terms of a report.

    :param crash: as read from a dump or from text; None where nothing could be recognised
    :param text: the report's text, where there is one
    """
    terms: dict[Group, dict[str, float]] = {group: {} for group in Group}
    if crash is not None:
        _stack(crash, terms)
    _text(text, terms)
    _headline(crash, text, terms[Group.TITLE])
    _release(crash, text, terms[Group.RELEASE])
    return Features(terms)


def _stack(crash: Crash, terms: dict[Group, dict[str, float]]) -> None:
    frames, calls, files = terms[Group.FRAMES], terms[Group.CALLS], terms[Group.FILES]
    before = ""
    for depth, frame in enumerate(outwards(crash)):
        if not frame.function:
            continue
        name = normalise(frame.function)
        generic = is_generic(name)
        weight = (1 + depth) ** -_DECAY * (_GENERIC_FRAME if generic else 1)
        frames[name] = max(frames.get(name, 0), weight)
        if before:
            call = f"{before} < {name}"
            calls[call] = max(calls.get(call, 0), weight)
        before = name
        if frame.file and not generic:
            folder = frame.file.rpartition("/")[0] + "/"
            files[frame.file] = max(files.get(frame.file, 0), weight)
            files[folder] = max(files.get(folder, 0), weight * _FOLDER)


def _text(text: str, terms: dict[Group, dict[str, float]]) -> None:
    functions, words = terms[Group.FUNCTIONS], terms[Group.WORDS]
    for name in set(_FUNCTION.findall(text)):
        functions[normalise(name)] = _GENERIC_FUNCTION if is_generic(name) else 1
    for line in text.split("\n"):
        if "+0x" in line or "[inline]" in line or _NOISE.match(line):
            continue
        for word in _WORD.findall(_NUMBER.sub("", line)):
            words[word] = 1


def _headline(crash: Crash | None, text: str, terms: dict[str, float]) -> None:
    lines = [line for line in text.split("\n") if _HEADLINE.search(line)][:_HEADLINES]
    if crash is not None:
        lines.append(crash.title)
    for line in lines:
        for word in _WORD.findall(_NUMBER.sub("", line)):
            terms[normalise(word)] = 1


def _release(crash: Crash | None, text: str, terms: dict[str, float]) -> None:
    release = crash.release if crash is not None else None
    if not release:
        found = _RELEASE_IN_TEXT.search(text)
        release = found[1] if found else None
    match = _RELEASE.match(release) if release else None
    if match is None or release is None:
        return
    terms[f"{match[2]}.{match[3]}"] = 1
    terms[match[1]] = 1
    terms[f"build {release}"] = 1
