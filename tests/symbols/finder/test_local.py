from collections.abc import Callable
from pathlib import Path

import pytest

from kautopsy.symbols.finder import find_local
from kautopsy.symbols.finder.cache import DebuginfoCache
from kautopsy.symbols.finder.local import search_local

RIGHT = "11" * 20
WRONG = "22" * 20
RELEASE = "9.9.9-1-test"

Maker = Callable[..., bytes]


@pytest.mark.parametrize(
    "place",
    [
        "vmlinux",
        f"vmlinux-{RELEASE}",
        f"usr/lib/debug/boot/vmlinux-{RELEASE}",
        f"usr/lib/debug/lib/modules/{RELEASE}/vmlinux",
        f".build-id/{RIGHT[:2]}/{RIGHT[2:]}.debug",
    ],
)
def test_the_right_build_is_found_where_people_put_it(
    place: str, tmp_path: Path, make_vmlinux: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(make_vmlinux(RIGHT, RELEASE))
    assert find_local(RIGHT, RELEASE, near=tmp_path / "vmcore") == path
    assert find_local(RIGHT.upper(), RELEASE, near=tmp_path) == path
    assert find_local(RIGHT, RELEASE) is None
    monkeypatch.setenv("KAUTOPSY_DEBUGINFO_PATH", f"/nowhere:{tmp_path}")
    assert find_local(RIGHT, RELEASE) == path


def test_another_build_is_not_taken_and_is_said(tmp_path: Path, make_vmlinux: Maker) -> None:
    (tmp_path / f"vmlinux-{RELEASE}").write_bytes(make_vmlinux(WRONG, RELEASE))
    search = search_local(RIGHT, RELEASE, near=tmp_path)
    assert search.path is None
    assert [(w.path.name, w.build_id) for w in search.wrong] == [(f"vmlinux-{RELEASE}", WRONG)]


def test_without_build_id_the_banner_decides(tmp_path: Path, make_vmlinux: Maker) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(make_vmlinux(RIGHT, "2.6.32-754.el6.x86_64"))
    assert find_local(None, "2.6.32-754.el6.x86_64", near=tmp_path) == path
    assert find_local(None, "2.6.32-754.el6.i686", near=tmp_path) is None
    assert find_local(None, None, near=tmp_path) is None


def test_a_file_without_dwarf_is_passed_over(tmp_path: Path, make_vmlinux: Maker) -> None:
    (tmp_path / "vmlinux").write_bytes(make_vmlinux(RIGHT, RELEASE, dwarf=False))
    assert find_local(RIGHT, RELEASE, near=tmp_path) is None


def test_a_hostile_release_leads_nowhere(tmp_path: Path, make_vmlinux: Maker) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "vmlinux").write_bytes(make_vmlinux(RIGHT, "1.0"))
    near = tmp_path / "dumps"
    near.mkdir()
    (near / "vmlinux-").mkdir()
    assert find_local(RIGHT, "/../../secret/vmlinux", near=near) is None
    assert find_local("../../" + RIGHT, "1.0", near=near) is None


def test_the_cache_is_looked_into(tmp_path: Path, make_vmlinux: Maker) -> None:
    new = tmp_path / "new"
    new.write_bytes(make_vmlinux(RIGHT, RELEASE))
    cached = DebuginfoCache().add(new, source="test")
    assert find_local(RIGHT, None) == cached
    assert find_local(None, RELEASE) == cached
    assert find_local(WRONG, RELEASE) is None
