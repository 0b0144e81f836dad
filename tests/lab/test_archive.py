from pathlib import Path

import pytest

from kautopsy.lab.archive import Archive, Package, merge_usr, parse_stanza
from kautopsy.lab.errors import NoKernelError

# The form is apt-cache's.
STANZA = """\
Package: linux-image-9.9.1+deb99-cloud-amd64
Source: linux-signed-amd64 (9.9.1+1)
Version: 9.9.1-1
Depends: dracut | initramfs-tools (>= 0.120), linux-binary-9.9.1+deb99-cloud-amd64 (= 9.9.1-1)
Pre-Depends: linux-base (>= 4.17~)
Description: Linux 9.9.1
 Depends: not a field
Section: kernel
Size: 1916
SHA256: abc

Package: another
Version: 1
"""


def test_a_stanza() -> None:
    assert parse_stanza(STANZA) == Package(
        name="linux-image-9.9.1+deb99-cloud-amd64",
        version="9.9.1-1",
        section="kernel",
        sha256="abc",
        size=1916,
        depends=("linux-base", "dracut", "linux-binary-9.9.1+deb99-cloud-amd64"),
    )


class Shelf(Archive):
    """An archive that knows three packages and no network."""

    def __init__(self, **depends: tuple[str, ...]) -> None:
        super().__init__("test", Path("/nonexistent"))
        self._depends = depends

    def package(self, name: str) -> Package | None:
        if name not in self._depends:
            return None
        return Package(name, "1", "libs", "", 0, self._depends[name])


def test_closure_follows_what_it_is_told_to_and_loops_do_not_hurt() -> None:
    shelf = Shelf(tool=("liba", "perl", "virtual"), liba=("libb",), libb=("liba",), perl=())
    found = shelf.closure(["tool"], follow=lambda package: package.name.startswith("lib"))
    assert [package.name for package in found] == ["liba", "libb", "tool"]


def test_closure_misses_what_was_asked_for() -> None:
    with pytest.raises(NoKernelError, match=r"linux-image-1 \(test\)"):
        Shelf().closure(["linux-image-1"], follow=lambda package: True)


def test_merge_usr(tmp_path: Path) -> None:
    (tmp_path / "lib/modules/1").mkdir(parents=True)
    (tmp_path / "lib/modules/1/a.ko").write_text("a")
    (tmp_path / "usr/lib/x").mkdir(parents=True)
    (tmp_path / "usr/bin").mkdir()
    merge_usr(tmp_path)
    assert (tmp_path / "usr/lib/modules/1/a.ko").read_text() == "a"
    assert (tmp_path / "lib").readlink() == Path("usr/lib")
    assert (tmp_path / "bin").readlink() == Path("usr/bin")
    assert (tmp_path / "usr/lib/x").is_dir()
