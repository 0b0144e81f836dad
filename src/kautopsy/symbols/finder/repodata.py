"""The checksum that an rpm repository's index has for a package.

``repodata/repomd.xml`` names ``primary.xml``, compressed in one of four ways, which has for every
package its file and a checksum of it (createrepo_c(8)). The index of a debug repository describes
ten thousands of packages: it is read as a stream and nothing of it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from kautopsy.model.errors import KautopsyError, UnreadableError
from kautopsy.symbols.finder.extract import archive_errors, load_libarchive
from kautopsy.symbols.finder.http import Checksum, download, get_text, mirrored

_REPO = "{http://linux.duke.edu/metadata/repo}"
_COMMON = "{http://linux.duke.edu/metadata/common}"
# createrepo says "sha" for SHA-1.
_ALGORITHMS = {
    "sha": "sha1",
    "sha1": "sha1",
    "sha256": "sha256",
    "sha384": "sha384",
    "sha512": "sha512",
}
_MAX_INDEX = 4 << 30


def published_checksum(repository: str, file_name: str, work: Path) -> Checksum | None:
    """The checksum of ``file_name`` in ``repository``; None if its index does not list it.

    :param repository: address of the directory with ``repodata/``
    :param work: a directory to put the index into meanwhile
    :raises NotThereError: the directory is no repository
    :raises UnreachableError: the server does not answer
    :raises UnreadableError: the index is damaged
    """
    base = mirrored(repository)
    try:
        location = _primary(get_text(f"{base}repodata/repomd.xml"))
        if location is None or ".." in location or "://" in location:
            raise UnreadableError("names no index", thing=repository, slug="bad-repository")
        index = work / "primary"
        download(f"{base}{location}", index)
        try:
            return _find(index, file_name)
        finally:
            index.unlink()
    except ElementTree.ParseError as error:
        raise UnreadableError(
            f"the index cannot be parsed: {error}", thing=repository, slug="bad-repository"
        ) from None


def _primary(repomd: str) -> str | None:
    for data in ElementTree.fromstring(repomd).iter(f"{_REPO}data"):
        location = data.find(f"{_REPO}location")
        if data.get("type") == "primary" and location is not None:
            return location.get("href")
    return None


def _find(index: Path, file_name: str) -> Checksum | None:
    # The root collects its children: dropping them keeps a million packages out of memory.
    root: Any = None
    for event, element in _parse(index):
        if event == "start":
            root = element if root is None else root
        elif element.tag == f"{_COMMON}package":
            location = element.find(f"{_COMMON}location")
            checksum = element.find(f"{_COMMON}checksum")
            href = location.get("href", "") if location is not None else ""
            if href.rpartition("/")[2] == file_name and checksum is not None:
                algorithm = _ALGORITHMS.get(checksum.get("type", ""))
                return Checksum(algorithm, (checksum.text or "").strip()) if algorithm else None
            root.clear()
    return None


def _parse(index: Path) -> Iterator[tuple[str, Any]]:
    # Typed Any because typeshed's events are a union over all kinds, of which two are asked for.
    parser: Any = ElementTree.XMLPullParser(("start", "end"))
    size = 0
    with archive_errors(index), index.open("rb") as file:
        libarchive = load_libarchive()
        with libarchive.stream_reader(file, format_name="raw", filter_name="all") as archive:
            for entry in archive:
                for block in entry.get_blocks():
                    size += len(block)
                    if size > _MAX_INDEX:
                        raise KautopsyError("the index is absurdly large", slug="bad-repository")
                    parser.feed(block)
                    yield from parser.read_events()
