import subprocess
from pathlib import Path

import pytest

from kautopsy.host.debian import DebianPackage, DebianSuite
from kautopsy.lab.archive import fresh_suite, merge_usr, unpack
from kautopsy.lab.errors import LabError


class Shelf(DebianSuite):
    """A suite whose packages are in its root already, by name."""

    def download(self, package: str, version: str | None = None, *, watch: object = None) -> Path:
        return self.root / f"{package}.deb"


def _package(root: Path, name: str, file: str) -> DebianPackage:
    tree = root / name
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: amd64\n"
        "Maintainer: t <t@example.org>\nDescription: t\n"
    )
    (tree / file).parent.mkdir(parents=True)
    (tree / file).write_text(name)
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-b", str(tree), str(root / f"{name}.deb")],
        check=True,
        capture_output=True,
    )
    return DebianPackage(name, "1", "amd64", "libs", "", 0, ())


def test_packages_are_unpacked_together_and_not_kept(tmp_path: Path) -> None:
    suite = Shelf("test", root=tmp_path / "apt")
    packages = [
        _package(suite.root, "one", "lib/modules/1/a.ko"),
        _package(suite.root, "two", "usr/bin/tool"),
    ]
    final = tmp_path / "kernels/1"
    unpack(suite, packages, final)
    assert (final / "usr/lib/modules/1/a.ko").read_text() == "one"
    assert (final / "usr/bin/tool").read_text() == "two"
    assert list(suite.root.glob("*.deb")) == []


def test_a_package_that_cannot_be_unpacked_leaves_nothing(tmp_path: Path) -> None:
    suite = Shelf("test", root=tmp_path / "apt")
    packages = [_package(suite.root, name, f"usr/{name}") for name in ("one", "two")]
    (suite.root / "two.deb").write_bytes(b"no package")
    with pytest.raises(LabError) as caught:
        unpack(suite, packages, tmp_path / "kernels/1")
    assert (caught.value.slug, caught.value.thing) == ("bad-package", "two.deb")
    assert list((tmp_path / "kernels").iterdir()) == []


def test_the_lab_s_suite_is_the_main_archive_alone_in_the_lab_s_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refreshed: list[DebianSuite] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(DebianSuite, "refresh", lambda self: refreshed.append(self))
    suite = fresh_suite("trixie")
    assert refreshed == [suite]
    assert not suite.security
    assert suite.root == tmp_path / "kautopsy/lab/apt/trixie"


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
