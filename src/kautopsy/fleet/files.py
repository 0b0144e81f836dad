"""The data directory: bytes of what was received, by their content.

``received/ab/abcdef...`` holds one file a content; ``incoming/`` what is on its way. The store
names files by paths below the directory, so that it can move. What was ingested from a path of this
machine stays there and is named by its absolute path: kautopsy deletes only what is its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

from kautopsy.model.errors import KautopsyError, UnreadableError

_WHOLE = 64 << 20
_ENDS = 1 << 20
_SAMPLES = 64
_SAMPLE = 64 << 10
_BLOCK = 1 << 20


def content_id(path: Path) -> str:
    """What names a file's bytes: SHA-256 of a file up to 64 MiB.

    Of a larger one, dumps mostly, it is that of its size, its first and last MiB and 64 blocks in
    between: a dump's header holds the time and the machine, and reading hundreds of GB to say what
    that says would cost more than the analysis.

    :raises UnreadableError: it cannot be read
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size <= _WHOLE:
                while block := stream.read(_BLOCK):
                    digest.update(block)
                return digest.hexdigest()
            digest.update(b"sampled %d\n" % size)
            digest.update(stream.read(_ENDS))
            step = (size - 2 * _ENDS) // _SAMPLES
            for number in range(_SAMPLES):
                stream.seek(_ENDS + number * step)
                digest.update(stream.read(_SAMPLE))
            stream.seek(size - _ENDS)
            digest.update(stream.read(_ENDS))
    except OSError as error:
        raise UnreadableError(
            error.strerror or str(error), thing=str(path), slug="unreadable"
        ) from error
    return digest.hexdigest()


class DataFolder:
    """The directory ``root``, made where it is missing.

    :raises KautopsyError: it cannot be made (``no-data-folder``)
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            for folder in (root, self.incoming, root / "received"):
                folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        except OSError as error:
            raise KautopsyError(
                f"cannot be made: {error.strerror}",
                thing=str(root),
                hint="set data to a directory with room",
                slug="no-data-folder",
            ) from None

    @property
    def incoming(self) -> Path:
        """Where uploads grow."""
        return self.root / "incoming"

    def path_of(self, name: str) -> Path:
        """Where the file lies that the store names ``name``.

        :raises UnreadableError: its bytes were not kept
        """
        if not name:
            raise UnreadableError("its bytes were not kept", slug="not-kept")
        return Path(name) if name.startswith("/") else self.root / name

    def keep(self, path: Path, content: str) -> str:
        """Take a file of this filesystem in: its name for the store.

        It stays where it was too, under a second name, until whoever brought it removes that: an
        upload that is killed between here and the store's commit can be finished again.
        """
        name = f"received/{content[:2]}/{content}"
        target = self.root / name
        target.parent.mkdir(exist_ok=True, mode=0o750)
        with contextlib.suppress(FileExistsError):
            target.hardlink_to(path)
            _sync(target.parent)
        return name

    def remove(self, name: str) -> None:
        """Delete a file of ours; one that only was read from elsewhere stays."""
        if name and not name.startswith("/"):
            (self.root / name).unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Room left on its filesystem."""
        return shutil.disk_usage(self.root).free


def _sync(folder: Path) -> None:
    """Make a rename last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
