"""What every machine can do for us, however it is reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from kautopsy.host.paths import PathState


@dataclass(frozen=True)
class RunResult:
    """How a command ended; ``status`` is negative where a signal ended it."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output; bytes that are no UTF-8 are kept as surrogates."""
        return self.stdout.decode(errors="surrogateescape")

    @property
    def complaint(self) -> str:
        """The last line of standard error, or ``status N``."""
        lines = self.stderr.decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else f"status {self.status}"


class Host(Protocol):
    """A machine, or a directory that holds one.

    :ivar name: as the user wrote it
    :ivar live: False where only files can be read (a tree): nothing runs there
    """

    name: str
    live: bool

    def read(self, path: str) -> bytes:
        """The contents of a file.

        :raises UnreadableError: it is missing (slug ``no-file``) or may not be read
        :raises UnreachableError: the machine does not answer
        """

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> RunResult:
        """Run a program as root if that can be had without a password; no shell sees ``argv``.

        :raises UnreachableError: the machine does not answer, or not in ``timeout`` seconds
        :raises RefusedError: nothing runs in a tree
        """

    def write(self, path: str, contents: bytes, *, mode: int | None = None) -> None:
        """Replace a file at once: readers see the old contents or the new.

        Owner, mode, SELinux label and other extended attributes are kept; a symbolic link stays
        and its target is replaced; a new file belongs to root with mode 0644.

        :param mode: to be had instead

        :raises UnreadableError: it cannot be written (slug ``not-written``); nothing has changed
        :raises UnreachableError: the machine does not answer
        """

    def look(self, path: str) -> PathState:
        """What lies at a path; a symbolic link there is not followed."""

    def expand(self, pattern: str) -> tuple[str, ...]:
        """The paths that a pattern of sh means, sorted; none if there are none."""

    def make_folder(self, path: str, mode: int) -> None:
        """Make one folder; the one above it is there.

        :raises UnreadableError: slug ``not-written``
        """

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link, in place of a file or another link if need be.

        :raises UnreadableError: slug ``not-written``
        """

    def remove(self, path: str) -> None:
        """Remove a file, a link (not what it points to) or an empty folder, if it is there.

        :raises UnreadableError: slug ``not-written``
        """

    def script(self, text: str, *arguments: str, timeout: float = 120.0) -> RunResult:
        """Run POSIX sh text in one round trip, with ``arguments`` as ``$1`` and on.

        A tree runs it here, and it must look for the machine's files below the directory that the
        environment variable ``KAUTOPSY_ROOT`` names.
        """

    def pull(self, path: str, *, offset: int = 0, squeeze: bool = False) -> Iterator[bytes]:
        """The bytes of a file from ``offset`` on, as they come, however large it is.

        :param squeeze: compress on the way (gzip), where there is a way and gzip is there
        :raises UnreadableError: it is missing (slug ``no-file``) or may not be read
        :raises UnreachableError: the machine went away in between (slug ``cut-off``)
        """
