"""A kernel's modules and what they depend on, as modules.dep and modules.builtin say."""

from __future__ import annotations

import gzip
import lzma
import re
from dataclasses import dataclass
from pathlib import Path

from kautopsy.lab.errors import LabError, NoModuleError

_SUFFIX = re.compile(r"\.ko(\.[a-z0-9]+)?$")


def module_name(path: str) -> str:
    """The kernel's name of a module file: ``drivers/block/virtio_blk.ko.xz`` → ``virtio_blk``."""
    return _SUFFIX.sub("", path.rsplit("/", 1)[-1]).replace("-", "_")


@dataclass(frozen=True)
class ModuleTree:
    """A directory ``lib/modules/RELEASE``.

    :param depends: path of each module, relative to ``root``, → paths of what it needs, direct and
        indirect, as modules.dep lists them: what is needed most comes last
    """

    root: Path
    depends: dict[str, tuple[str, ...]]
    builtin: frozenset[str]

    @staticmethod
    def read(root: Path) -> ModuleTree:
        """Read ``root``'s lists.

        :raises LabError: depmod has not been run there
        """
        try:
            depends = parse_dep((root / "modules.dep").read_text())
            builtin = (root / "modules.builtin").read_text().split()
        except OSError as error:
            raise LabError(
                f"cannot be read: {error.strerror}", thing=str(error.filename), slug="no-modules"
            ) from None
        return ModuleTree(root, depends, frozenset(module_name(path) for path in builtin))

    def order(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The files to load for ``names``, each after what it needs; built-in ones need none.

        :raises NoModuleError: the kernel has no such module
        """
        by_name = {module_name(path): path for path in self.depends}
        ordered: dict[str, None] = {}
        for name in names:
            name = name.replace("-", "_")
            if (path := by_name.get(name)) is not None:
                for needed in (*reversed(self.depends[path]), path):
                    ordered[needed] = None
            elif name not in self.builtin:
                raise NoModuleError("this kernel has no such module", thing=name)
        return tuple(ordered)

    def read_module(self, path: str) -> bytes:
        """The ELF file of a module, unpacked (busybox's insmod cannot)."""
        data = (self.root / path).read_bytes()
        if path.endswith(".xz"):
            return lzma.decompress(data)
        if path.endswith(".gz"):
            return gzip.decompress(data)
        if not path.endswith(".ko"):
            raise LabError("is compressed in a way the lab does not know", thing=path)
        return data


def parse_dep(text: str) -> dict[str, tuple[str, ...]]:
    """modules.dep: ``PATH: NEEDED...``, one module a line."""
    depends: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        path, colon, needed = line.partition(":")
        if colon:
            depends[path.strip()] = tuple(needed.split())
    return depends
