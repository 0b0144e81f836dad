import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.symbols.btf_blob import BtfBlob
from tests.symbols.test_kallsyms import BASE, RODATA, Memory

from kautopsy.symbols.btf.parse import BtfError, parse
from kautopsy.symbols.cache import TableCache, default_cache
from kautopsy.symbols.kallsyms import KallsymsError, load

VALUE = ("a\nb", "TT", {1: [2, 3]}, b"\0\1")


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.tables"))


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    cache = TableCache(tmp_path / "new/folder")
    key = cache.key("kallsyms", b"one", b"two")
    assert cache.get(key) is None
    cache.put(key, VALUE)
    assert TableCache(tmp_path / "new/folder").get(key) == VALUE


def test_another_content_is_another_entry(tmp_path: Path) -> None:
    cache = TableCache(tmp_path)
    keys = {
        cache.key("kallsyms", b"one", b"two"),
        cache.key("kallsyms", b"onet", b"wo"),
        cache.key("kallsyms", b"one", b"twp"),
        cache.key("btf", b"one", b"two"),
    }
    assert len(keys) == 4


def test_an_entry_under_another_name_is_not_believed(tmp_path: Path) -> None:
    cache = TableCache(tmp_path)
    mine, other = cache.key("btf", b"mine"), cache.key("btf", b"other")
    cache.put(other, VALUE)
    entries(tmp_path)[0].rename(tmp_path / f"{mine}.tables")
    assert cache.get(mine) is None


def test_no_damage_is_believed(tmp_path: Path) -> None:
    cache = TableCache(tmp_path)
    key = cache.key("btf", b"")
    cache.put(key, VALUE)
    path = entries(tmp_path)[0]
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        assert cache.get(key) is None
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert cache.get(key) is None
    path.write_bytes(whole)
    assert cache.get(key) == VALUE


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to somebody else")
def test_a_file_of_another_owner_is_not_read(tmp_path: Path) -> None:
    cache = TableCache(tmp_path)
    key = cache.key("btf", b"")
    cache.put(key, VALUE)
    os.chown(entries(tmp_path)[0], 65534, 65534)
    assert cache.get(key) is None


def test_the_entries_unused_for_longest_go_first(tmp_path: Path) -> None:
    cache = TableCache(tmp_path, limit=250_000)
    keys = [cache.key("btf", bytes([i])) for i in range(4)]
    for i, key in enumerate(keys[:2]):
        cache.put(key, bytes(100_000))
        long_ago = time.time() - 1000 + i
        os.utime(tmp_path / f"{key}.tables", (long_ago, long_ago))
    assert cache.get(keys[0]) is not None  # used again
    cache.put(keys[2], bytes(100_000))
    assert [cache.get(key) is not None for key in keys] == [True, False, True, False]


def test_no_folder_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for cache in (TableCache(tmp_path / "file/below"), TableCache(None)):
        cache.put(cache.key("btf", b""), VALUE)
        assert cache.get(cache.key("btf", b"")) is None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    default_cache().put("k", 1)
    assert entries(tmp_path / "kautopsy/tables")
    assert (tmp_path / "kautopsy/tables").stat().st_mode & 0o077 == 0


def test_writers_at_once_leave_whole_entries(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from kautopsy.symbols.cache import TableCache\n"
        "cache = TableCache(Path(sys.argv[1]))\n"
        "for i in range(100):\n"
        "    cache.put('k', bytes([i]) * 50000)\n"
        "    value = cache.get('k')\n"
        "    assert value is not None and len(value) == 50000 and len(set(value)) == 1\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path)]
    writers = [subprocess.Popen(argv) for _ in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    assert [path.name for path in tmp_path.iterdir()] == ["k.tables"]


def test_types_from_the_cache_are_those_of_the_blob(tmp_path: Path) -> None:
    blob = BtfBlob()
    integer = blob.add(1, "int", 4, (1 << 24 | 32,))
    blob.structure("pair", 8, ("left", integer, 0), ("right", integer, 32))
    blob.add(6, "colour", 4, (blob.string("RED"), 1), 1)
    proto = blob.add(13, third=integer)
    blob.add(12, "paint", proto)
    cache = TableCache(tmp_path)
    first = parse(blob.bytes(), cache=cache)
    assert len(entries(tmp_path)) == 1
    again = parse(blob.bytes(), cache=cache)
    assert again == first == replace(parse(blob.bytes()), key=first.key)
    assert again.functions() == {"paint"} and again.enumerator("RED") == (blob.string("RED"), 3)
    assert again.ids("pair") == [2] and again.ids("RED") == again.ids("p") == []
    damaged = bytearray(blob.bytes())
    damaged[24 + 7] ^= 0x1F  # the first type's kind
    with pytest.raises(BtfError):
        parse(bytes(damaged), cache=cache)


def test_names_from_the_cache_are_those_of_the_tables(tmp_path: Path) -> None:
    memory = Memory()
    cache = TableCache(tmp_path)
    first = load(memory.read, memory.tables(), stext=BASE, cache=cache)
    assert len(entries(tmp_path)) == 1
    assert load(memory.read, memory.tables(), stext=BASE, cache=cache) == first
    assert first.names == load(memory.read, memory.tables(), stext=BASE).names
    memory.data[memory.places["names"] - RODATA] ^= 1
    with pytest.raises(KallsymsError):
        load(memory.read, memory.tables(), stext=BASE, cache=cache)


def test_addresses_are_never_from_the_cache(tmp_path: Path) -> None:
    cache = TableCache(tmp_path)
    memory = Memory()
    load(memory.read, memory.tables(), stext=BASE, cache=cache)
    memory.data[memory.places["offsets"] - RODATA + 4 * 2] ^= 1
    with pytest.raises(KallsymsError):
        load(memory.read, memory.tables(), stext=BASE, cache=cache)
