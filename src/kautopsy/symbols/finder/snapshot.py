"""Versions that Debian's archive no longer has: its snapshots, by their machine-readable API.

``/mr/binary/NAME/`` lists versions, ``/mr/binary/NAME/VERSION/binfiles?fileinfo=1`` the files of
one with their SHA-1, ``/file/SHA1`` is the file (the API document of the snapshot service).
"""

from __future__ import annotations

import os
import urllib.parse
from dataclasses import dataclass

import msgspec

from kautopsy.host.debian_mirror import debian_mirror
from kautopsy.model.base import from_json
from kautopsy.model.errors import KautopsyError
from kautopsy.symbols.finder.http import Checksum, get_text

SNAPSHOT_VARIABLE = "KAUTOPSY_DEBIAN_SNAPSHOT"
"""Address of the snapshot service; by default that of the configured archive's own domain."""


@dataclass(frozen=True)
class SnapshotFile:
    """One old package: where it is and what its bytes are."""

    version: str
    url: str
    checksum: Checksum


class _Version(msgspec.Struct):
    binary_version: str


class _Versions(msgspec.Struct):
    result: list[_Version]


class _File(msgspec.Struct):
    hash: str
    architecture: str


class _Files(msgspec.Struct):
    result: list[_File]


def snapshot_files(package: str, architecture: str, *, limit: int) -> list[SnapshotFile]:
    """The newest ``limit`` versions of ``package`` that there ever were.

    :raises KautopsyError: no snapshot service is known, or it does not know the package
    :raises UnreachableError: it does not answer
    """
    base = _base()
    name = urllib.parse.quote(package)
    versions = from_json(get_text(f"{base}/mr/binary/{name}/"), _Versions)
    found: list[SnapshotFile] = []
    for item in versions.result[:limit]:
        version = urllib.parse.quote(item.binary_version)
        page = get_text(f"{base}/mr/binary/{name}/{version}/binfiles?fileinfo=1")
        for file in from_json(page, _Files).result:
            if file.architecture == architecture and file.hash.isalnum():
                url = f"{base}/file/{file.hash}"
                found.append(SnapshotFile(item.binary_version, url, Checksum("sha1", file.hash)))
    return found


def _base() -> str:
    if value := os.environ.get(SNAPSHOT_VARIABLE):
        return value.rstrip("/")
    domain = (urllib.parse.urlsplit(debian_mirror()).hostname or "").split(".")[-2:]
    if len(domain) != 2 or domain[0] != "debian":
        raise KautopsyError(
            "the configured archive is a mirror, which has no snapshots",
            hint=f"set {SNAPSHOT_VARIABLE}",
            slug="no-snapshot",
        )
    return f"https://snapshot.{'.'.join(domain)}"
