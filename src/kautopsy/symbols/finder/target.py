"""Whose debugging information is asked for: a dump, a build-id or a release."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path

from kautopsy.dump.header import read_dump
from kautopsy.model.errors import UsageError

BUILD_ID = re.compile(r"[0-9a-f]{16,64}")
RELEASE = re.compile(r"[0-9][A-Za-z0-9._+~-]{2,63}")


@dataclass(frozen=True)
class Target:
    """One kernel build, as far as it is known.

    :param name: what the user called it
    :param build_id: lower-case hex; None before 5.9, whose dumps do not have it
    :param release: ``uname -r``; None if only the build-id was given
    :param arch: ``uname -m``; this machine's where nothing tells
    :param near: where the dump lies
    """

    name: str
    build_id: str | None = None
    release: str | None = None
    arch: str = ""
    near: Path | None = None


def parse_target(text: str) -> Target:
    """``text`` as a dump if there is such a file, else as a build-id, else as a release.

    :raises UnreadableError: the file is no dump
    :raises UsageError: it is none of the three, or the dump names no kernel
    """
    path = Path(text)
    if path.exists() or "/" in text:
        dump = read_dump(path)
        release = dump.release if dump.release and RELEASE.fullmatch(dump.release) else None
        if dump.build_id is None and release is None:
            raise UsageError(
                "the dump says neither build-id nor release",
                thing=text,
                hint="name the release: kautopsy symbols find RELEASE",
                slug="nameless-dump",
            )
        return Target(
            name=text,
            build_id=dump.build_id,
            release=release,
            arch=dump.arch or platform.machine(),
            near=path.absolute().parent,
        )
    if BUILD_ID.fullmatch(text.lower()):
        return Target(name=text, build_id=text.lower(), arch=platform.machine())
    if RELEASE.fullmatch(text) and "." in text:
        arch = next((a for a in _ARCHITECTURES if a in text), platform.machine())
        return Target(name=text, release=text, arch=_ARCHITECTURES.get(arch, arch))
    raise UsageError(
        "is no file, no build-id and no kernel release",
        thing=text,
        hint="a build-id is 40 hex digits, a release is what uname -r says",
    )


# What releases say of the machine, longest first, and what `uname -m` calls it.
_ARCHITECTURES = {
    "x86_64": "x86_64",
    "aarch64": "aarch64",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "arm64": "aarch64",
    "amd64": "x86_64",
    "i686": "i686",
}
