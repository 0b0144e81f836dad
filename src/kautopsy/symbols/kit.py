"""Kits: what explains a kernel's dumps, saved while the kernel still runs, named by build-id.

A kit is a ZIP file (LZMA) ``BUILD-ID.kit`` with ``about.json``, ``symbols`` (a line a symbol:
distance from the one before in hex, type letter, name), ``btf/vmlinux`` and ``btf/MODULE``,
``config`` and ``modules`` as the host had them, and, if it was made from a vmlinux with DWARF,
``lines/SECTION`` with its line tables.
"""

from __future__ import annotations

import os
import re
import zipfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Literal

from kautopsy.dump.vmcoreinfo import VmcoreInfo
from kautopsy.model.base import Noun, from_json, to_json
from kautopsy.model.errors import UnreadableError
from kautopsy.symbols.btf.parse import Btf, parse
from kautopsy.symbols.kallsyms import Kallsyms

SUFFIX = ".kit"
PATH_VARIABLE = "KAUTOPSY_KIT_PATH"
"""Directories with kits, separated by colons, looked in besides the dump's and the user's own."""

_MAX_MEMBER = 256 << 20
_BUILD_ID = re.compile(r"[0-9a-f]{16,64}")
_RELEASE = re.compile(r"[!-~]{1,64}")
_LINE = re.compile(rb"^([0-9a-f]{1,16}) ([!-~]) ([!-~]{1,512})$", re.MULTILINE)


class KitError(UnreadableError):
    """Not a kit, or a damaged one."""

    slug = "bad-kit"


class KitAbout(Noun, frozen=True, kw_only=True):
    """Whose kit it is.

    :param build_id: of the kernel, lower-case hex
    :param origin: the host or the file it was made from
    :param first_address: of the first symbol
    """

    schema: Literal["kautopsy.kit/1"] = "kautopsy.kit/1"
    build_id: str
    release: str
    origin: str
    first_address: int = 0


class SavedKit(Noun, frozen=True, kw_only=True):
    """A kit on disk, for people: ``kautopsy symbols kit --json``.

    :param contents: bytes before compression of each part
    """

    schema: Literal["kautopsy.saved-kit/1"] = "kautopsy.saved-kit/1"
    path: str
    build_id: str
    release: str
    size_bytes: int
    contents: dict[str, int]


@dataclass(frozen=True)
class Kit:
    """The parts of a kit.

    :param btf: blobs by module name; the kernel's is ``vmlinux``
    :param lines: DWARF sections by name, without the leading dot; link addresses
    """

    about: KitAbout
    symbols: Kallsyms
    btf: dict[str, bytes]
    config: bytes = b""
    modules: bytes = b""
    lines: dict[str, bytes] = field(default_factory=dict)


def default_folder() -> Path:
    """``$XDG_DATA_HOME/kautopsy/kits`` or ``~/.local/share/kautopsy/kits``."""
    base = os.environ.get("XDG_DATA_HOME", "")
    root = Path(base) if base.startswith("/") else Path("~/.local/share").expanduser()
    return root / "kautopsy/kits"


def save(kit: Kit, folder: Path) -> SavedKit:
    """Write ``folder/BUILD-ID.kit``, whole or not at all."""
    symbols = kit.symbols
    lines = []
    before = symbols.addresses[0]
    for name, kind, address in zip(symbols.names, symbols.kinds, symbols.addresses, strict=True):
        lines.append(f"{address - before:x} {kind} {name}")
        before = address
    parts = {
        "about.json": to_json(kit.about).encode(),
        "symbols": "\n".join(lines).encode(),
        **{f"btf/{name}": blob for name, blob in kit.btf.items()},
        **{f"lines/{name}": section for name, section in kit.lines.items()},
    }
    if kit.config:
        parts["config"] = kit.config
    if kit.modules:
        parts["modules"] = kit.modules
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kit.about.build_id}{SUFFIX}"
    with NamedTemporaryFile(dir=folder, prefix=".", suffix=SUFFIX, delete=False) as file:
        try:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
                for name, content in parts.items():
                    archive.writestr(name, content)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).chmod(0o644)
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    return SavedKit(
        path=str(path),
        build_id=kit.about.build_id,
        release=kit.about.release,
        size_bytes=path.stat().st_size,
        contents={name: len(content) for name, content in parts.items()},
    )


class OpenKit:
    """A kit on disk, its parts read when they are asked for.

    :raises KitError: not a kit
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._archive = zipfile.ZipFile(path)
            self.about = from_json(self._part("about.json"), KitAbout)
        except MemoryError:
            raise
        except Exception as error:  # zipfile raises whatever its structures lead it to
            raise KitError(f"is no kit: {error}", thing=str(path)) from error
        if not _BUILD_ID.fullmatch(self.about.build_id):
            raise KitError("is no kit: its build-id is none", thing=str(path))

    def _part(self, name: str) -> bytes:
        try:
            if self._archive.getinfo(name).file_size > _MAX_MEMBER:
                raise KitError(f"its part {name} is too large", thing=str(self.path))
            return self._archive.read(name)
        except KeyError:
            raise KitError(f"it has no part {name}", thing=str(self.path)) from None
        except (KitError, MemoryError):
            raise
        except Exception as error:  # as above; LZMAError is a bare Exception too
            raise KitError(f"its part {name} is damaged: {error}", thing=str(self.path)) from error

    def symbols(self, stext: int | None) -> Kallsyms:
        """The symbols, moved to where ``_stext`` is in the dump.

        :param stext: its address there; None leaves them where they were
        :raises KitError: damaged
        """
        rows = _LINE.findall(self._part("symbols"))
        if not rows:
            raise KitError("it has no symbols", thing=str(self.path))
        names = [name.decode("ascii") for _, _, name in rows]
        kinds = b"".join([kind for _, kind, _ in rows]).decode("ascii")
        addresses = []
        at = self.about.first_address
        for distance, _, _ in rows:
            at += int(distance, 16)
            addresses.append(at)
        if at >> 64 or len(kinds) != len(names):
            raise KitError("its symbols make no sense", thing=str(self.path))
        if stext is not None and "_stext" in names:
            moved = stext - addresses[names.index("_stext")]
            # Per-CPU offsets are where they are whatever KASLR does.
            addresses = [a + moved if a >> 32 else a for a in addresses]
        return Kallsyms(names, kinds, array("Q", addresses))

    def btf(self) -> Btf:
        """The kernel's types.

        :raises KitError: there are none, or the file is damaged
        :raises BtfError: they are damaged
        """
        return parse(self._part("btf/vmlinux"))

    @property
    def has_lines(self) -> bool:
        """Whether it was made from a vmlinux, so that it has source lines."""
        return any(name.startswith("lines/") for name in self._archive.namelist())

    def lines(self) -> dict[str, bytes]:
        """DWARF sections with the kernel's source lines; none in a kit from a host."""
        names = [name for name in self._archive.namelist() if name.startswith("lines/")]
        return {"." + name.removeprefix("lines/"): self._part(name) for name in names}


def find(info: VmcoreInfo, near: Path | None) -> OpenKit | None:
    """The kit of the dump's kernel, by build-id; before 5.9, which has none, by release.

    :param near: the dump: kits beside it are looked at first
    """
    return find_kit(info.build_id, info.release, near)


def find_kit(build_id: str | None, release: str | None, near: Path | None = None) -> OpenKit | None:
    """The kit of this build; without a build-id, the first one of that release.

    :param near: kits beside this file are looked at first
    """
    if build_id is not None and not _BUILD_ID.fullmatch(build_id):
        return None
    for path in _places(build_id, near):
        try:
            kit = OpenKit(path)
        except KitError:
            continue
        if kit.about.build_id == build_id or (
            build_id is None and release is not None and kit.about.release == release
        ):
            return kit
    return None


def _places(build_id: str | None, near: Path | None) -> Iterator[Path]:
    folders = [near.parent] if near is not None else []
    folders += [
        Path(part).expanduser() for part in os.environ.get(PATH_VARIABLE, "").split(":") if part
    ]
    folders.append(default_folder())
    for folder in folders:
        if build_id is not None:
            path = folder / f"{build_id}{SUFFIX}"
            if path.is_file():
                yield path
        elif folder.is_dir():
            yield from sorted(folder.glob(f"*{SUFFIX}"))
