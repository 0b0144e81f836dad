"""What a machine answers when it is asked for what crashes left on it."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass, field

from kautopsy.host.host import Host
from kautopsy.model.errors import UnreadableError

_BEGIN = "@kautopsy-captures 1"
_END = "@end"
_MAGICS = (b"KDUMP   ", b"makedumpfile\0\0\0\0", b"\x7fELF")
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh", b"\x04\x22\x4d\x18")


@dataclass(frozen=True)
class RemoteFile:
    """A file as the machine has it.

    :param mtime: seconds since 1970, by its clock
    :param head: its first 16 bytes
    """

    path: str
    mtime: int
    size: int
    head: bytes

    @property
    def folder(self) -> str:
        """Where it is."""
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """Its name without the folder."""
        return self.path.rpartition("/")[2]

    @property
    def is_dump(self) -> bool:
        """It begins as a dump does."""
        return self.head.startswith(_MAGICS)

    @property
    def is_squeezed(self) -> bool:
        """It begins as gzip, zstd, xz, bzip2 or lz4 do: kdump-tools can put one around a dump."""
        return self.head.startswith(_COMPRESSED)


@dataclass(frozen=True)
class Elsewhere:
    """A place for dumps on another machine.

    :param kind: ``ssh`` or ``nfs``
    :param server: ``user@server``, or ``server:/export``
    :param path: there; of an export: below it
    """

    kind: str
    server: str
    port: int | None
    path: str

    def __str__(self) -> str:
        export = self.server.rstrip("/") if self.kind == "nfs" else f"{self.server}:"
        return f"{export}{self.path}".rstrip("/")


@dataclass(frozen=True)
class Listing:
    """The whole answer; ``clock`` and ``boot_id`` are None for a directory.

    :param names: what the machine is called by itself and by others
    """

    clock: int | None = None
    boot_id: str | None = None
    folders: tuple[str, ...] = ()
    files: tuple[RemoteFile, ...] = ()
    texts: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()


def list_captures(
    host: Host, more: Sequence[str] = (), *, usual: bool = True, timeout: float = 120.0
) -> Listing:
    """Ask ``host`` in one round trip.

    :param more: folders to look in beside the usual ones and those of its configuration
    :param usual: False looks in ``more`` alone
    :raises UnreachableError: it does not answer
    :raises UnreadableError: it answers something else
    """
    script = importlib.resources.files("kautopsy.capture").joinpath("list.sh").read_text()
    done = host.script(script, "usual" if usual else "only", *more, timeout=timeout)
    lines = done.text.split("\n")
    try:
        lines = lines[lines.index(_BEGIN) + 1 : lines.index(_END)]
    except ValueError:
        raise UnreadableError(
            f"does not say what is on it: {done.complaint}", thing=host.name, slug="no-answer"
        ) from None
    return _parse(lines)


def _parse(lines: Sequence[str]) -> Listing:
    clock: int | None = None
    boot_id: str | None = None
    folders: list[str] = []
    files: dict[str, RemoteFile] = {}
    texts: dict[str, list[str]] = {}
    notes: list[str] = []
    names: list[str] = []
    elsewhere: list[Elsewhere] = []
    text: list[str] = []
    for line in lines:
        if line.startswith("|"):
            text.append(line[1:])
            continue
        word, _, rest = line.partition(" ")
        if word == "@clock":
            clock = int(rest) if rest.isdecimal() and len(rest) < 19 else None
        elif word == "@boot":
            boot_id = rest.strip() or None
        elif word == "@folder":
            folders.append(rest)
        elif word == "@note":
            notes.append(rest)
        elif word == "@name" and rest.strip():
            names.append(rest.strip())
        elif word == "@elsewhere" and (place := _elsewhere(rest)) is not None:
            elsewhere.append(place)
        elif word == "@text":
            text = texts[rest] = []
        elif word == "@file" and (file := _file(rest)) is not None:
            files[file.path] = file
    return Listing(
        clock=clock,
        boot_id=boot_id,
        folders=tuple(folders),
        files=tuple(files.values()),
        texts={path: "\n".join(lines).strip("\n") for path, lines in texts.items()},
        notes=tuple(dict.fromkeys(notes)),
        names=tuple(dict.fromkeys(names)),
        elsewhere=tuple(dict.fromkeys(elsewhere)),
    )


def _elsewhere(rest: str) -> Elsewhere | None:
    words = rest.split(" ", 3)
    if len(words) != 4 or words[0] not in ("ssh", "nfs") or not words[3].startswith("/"):
        return None
    port = int(words[2]) if words[2].isdecimal() and len(words[2]) < 6 else None
    return Elsewhere(words[0], words[1], port, words[3])


def _file(rest: str) -> RemoteFile | None:
    words = rest.split(" ", 3)
    if len(words) != 4 or not (words[0].lstrip("-").isdecimal() and words[1].isdecimal()):
        return None
    try:
        head = bytes.fromhex(words[2].strip("-"))
    except ValueError:
        return None
    return RemoteFile(words[3], int(words[0]), int(words[1]), head)
