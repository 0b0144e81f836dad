"""The checksum that a Debian-like archive's index has for a package.

``dists/SUITE/main/binary-ARCH/Packages.gz`` has a stanza for each package with its ``Filename`` and
``SHA256`` (Debian's repository format). Only archives that no private apt serves are read this way.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from kautopsy.model.errors import UnreadableError
from kautopsy.symbols.finder.http import Checksum, download, mirrored

_MAX_INDEX = 2 << 30


def indexed_checksum(index: str, file_name: str, work: Path) -> Checksum | None:
    """The SHA-256 of ``file_name`` in the ``Packages.gz`` at ``index``; None if it is not there.

    :param work: a directory to put the index into meanwhile
    :raises NotThereError: there is no such index
    :raises UnreachableError: the server does not answer
    :raises UnreadableError: it is damaged
    """
    path = work / "Packages.gz"
    download(mirrored(index), path)
    here = False
    sha256 = ""
    size = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                size += len(line)
                if size > _MAX_INDEX:
                    raise UnreadableError("is absurdly large", thing=index, slug="bad-repository")
                key, _, value = line.rstrip().partition(": ")
                if key == "Filename":
                    here = value.rpartition("/")[2] == file_name
                elif key == "SHA256":
                    sha256 = value.lower()
                elif not line.strip():
                    if here and sha256:
                        break
                    here, sha256 = False, ""
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableError(
            f"cannot be unpacked: {error}", thing=index, slug="bad-repository"
        ) from None
    finally:
        path.unlink()
    return Checksum("sha256", sha256) if here and sha256 else None
