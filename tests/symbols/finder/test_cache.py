import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kautopsy.model.errors import KautopsyError, UsageError
from kautopsy.symbols.finder.cache import DebuginfoCache, parse_size

Maker = Callable[..., bytes]


def _fill(folder: Path, make_vmlinux: Maker, names: str) -> DebuginfoCache:
    """One kernel of 1 MiB and a bit for each digit, used an hour after the one before."""
    cache = DebuginfoCache()
    for hour, digit in enumerate(names):
        file = folder / "new"
        file.write_bytes(make_vmlinux(digit * 40, f"{digit}.0-test") + b"\1" * (1 << 20))
        cache.add(file, source=f"from {digit}")
        about = cache.root / (digit * 40) / "about.json"
        os.utime(about, (hour * 3600, hour * 3600))
    return cache


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path, make_vmlinux: Maker) -> None:
    cache = _fill(tmp_path, make_vmlinux, "1234")
    assert [k.release for k in cache.kernels()] == ["4.0-test", "3.0-test", "2.0-test", "1.0-test"]
    assert cache.find("1" * 40, None) is not None  # used now
    removed = cache.prune(max_size=int(2.5 * (1 << 20)))
    assert {k.build_id[0] for k in removed} == {"2", "3"}
    assert {k.build_id[0] for k in cache.kernels()} == {"1", "4"}
    assert sorted(p.name for p in cache.root.iterdir()) == ["1" * 40, "4" * 40]


def test_adding_makes_room_but_never_removes_itself(
    tmp_path: Path, make_vmlinux: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAUTOPSY_DEBUGINFO_CACHE_SIZE", "1M")
    cache = _fill(tmp_path, make_vmlinux, "12")
    assert [k.build_id[0] for k in cache.kernels()] == ["2"]


def test_a_kernel_without_build_id_cannot_be_kept(tmp_path: Path, make_vmlinux: Maker) -> None:
    file = tmp_path / "new"
    file.write_bytes(make_vmlinux(None, "1.0"))
    with pytest.raises(KautopsyError) as caught:
        DebuginfoCache().add(file, source="test")
    assert caught.value.slug == "no-build-id"


def test_foreign_and_broken_entries_are_left_alone(tmp_path: Path, make_vmlinux: Maker) -> None:
    cache = _fill(tmp_path, make_vmlinux, "1")
    (cache.root / "README").write_text("mine")
    broken = cache.root / ("2" * 40)
    broken.mkdir()
    (broken / "about.json").write_text("{")
    assert [k.build_id[0] for k in cache.kernels()] == ["1"]
    cache.prune(max_size=0)
    assert (cache.root / "README").read_text() == "mine"
    assert cache.kernels() == ()


def test_a_spoilt_entry_is_replaced_and_a_whole_one_kept(
    tmp_path: Path, make_vmlinux: Maker
) -> None:
    cache = _fill(tmp_path, make_vmlinux, "1")
    kept = cache.root / ("1" * 40) / "vmlinux"
    kept.unlink()
    new = tmp_path / "new"
    new.write_bytes(make_vmlinux("1" * 40, "1.0-test"))
    assert cache.add(new, source="again") == kept
    assert kept.is_file()
    inode = kept.stat().st_ino
    new.write_bytes(make_vmlinux("1" * 40, "1.0-test"))
    cache.add(new, source="once more")
    assert kept.stat().st_ino == inode
    assert not new.exists()
    assert [k.source for k in cache.kernels()] == ["again"]


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("512", 512), ("500M", 500 << 20), ("1.5G", 3 << 29), ("20GiB", 20 << 30)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1", "5X", "1e9"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)
