"""A thousand flipped bits in the tables of a real dump: refused, or harmless, never a crash."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from drgn import TypeKind, TypeKindSet

from kautopsy.dump.open import BareDump, open_dump
from kautopsy.lab.specimen import Specimen
from kautopsy.model.report import SymbolSource
from kautopsy.symbols import rungs
from kautopsy.symbols.btf.find import read_btf
from kautopsy.symbols.btf.parse import BtfError, parse
from kautopsy.symbols.btf.types import BtfTypes
from kautopsy.symbols.cache import TableCache
from kautopsy.symbols.engine import attach, read_symbols
from kautopsy.symbols.index import KernelSymbols
from kautopsy.symbols.kallsyms import KallsymsError, Tables, load, vmcoreinfo_symbol

pytestmark = pytest.mark.guest
LIMIT_SECONDS = 10
STRUCTS = TypeKindSet({TypeKind.STRUCT})


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No kit of the user's helps, and what damaged tables leave helps nobody."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(rungs, "default_cache", lambda: TableCache(None))


@pytest.fixture(scope="module")
def dump(lab_vmcore: Callable[[str], Specimen]) -> Specimen:
    return lab_vmcore("6.1")


def opened(dump: Specimen) -> tuple[BareDump, KernelSymbols]:
    bare = open_dump(dump.vmcore)
    return bare, KernelSymbols(read_symbols(bare.program, bare.vmcoreinfo))


def test_btf(dump: Specimen) -> None:
    bare, symbols = opened(dump)
    start, stop = symbols.address("__start_BTF"), symbols.address("__stop_BTF")
    assert start is not None and stop is not None
    good = bare.program.read(start, stop - start)
    rng = random.Random(1)
    outcomes: Counter[str] = Counter()
    for _ in range(400):
        data = bytearray(good)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        begun = time.process_time()
        try:
            types = BtfTypes(bare.program, parse(bytes(data)))
            types.find("task_struct", STRUCTS)
        except BtfError:
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1
        assert time.process_time() - begun < LIMIT_SECONDS
    assert outcomes["refused"] > 80
    assert outcomes.total() == 400


def test_kallsyms(dump: Specimen) -> None:
    bare, _ = opened(dump)
    tables = Tables.of(bare.vmcoreinfo)
    stext = vmcoreinfo_symbol(bare.vmcoreinfo, "_stext")
    assert tables is not None
    true = read_symbols(bare.program, bare.vmcoreinfo)
    first = min(tables.names, tables.offsets, tables.num_syms)
    last = max(tables.token_index + 512, tables.offsets + 4 * len(true))
    data = bytearray(bare.program.read(first, last - first))
    rng = random.Random(2)
    outcomes: Counter[str] = Counter()
    for _ in range(400):
        at, bit = rng.randrange(len(data)), 1 << rng.randrange(8)
        data[at] ^= bit
        begun = time.process_time()
        try:
            found = load(
                lambda address, size: bytes(data[address - first : address - first + size]),
                tables,
                stext=stext,
            )
        except KallsymsError:
            outcomes["refused"] += 1
        else:
            changed = sum(a != b for a, b in zip(found.names, true.names, strict=True))
            moved = sum(a != b for a, b in zip(found.addresses, true.addresses, strict=True))
            # What slips through touches one symbol, and its neighbours stay where they are.
            assert changed + moved <= 1
            outcomes["read"] += 1
        assert time.process_time() - begun < LIMIT_SECONDS
        data[at] ^= bit
    assert outcomes["refused"] > 100


def test_orc(dump: Specimen) -> None:
    bare, symbols = opened(dump)
    marks = [
        symbols.address(f"__{end}_{table}")
        for table in ("orc_unwind_ip", "orc_unwind")
        for end in ("start", "stop")
    ]
    btf = read_btf(bare.program.read, symbols, None)
    rng = random.Random(3)
    for _ in range(160):
        start, stop = rng.choice([marks[:2], marks[2:]])
        assert start is not None and stop is not None
        at, bit = rng.randrange(start, stop), 1 << rng.randrange(8)
        damaged = open_dump(dump.vmcore)
        flip(damaged, at, bit)
        begun = time.process_time()
        attach(damaged.program, damaged.vmcoreinfo, symbols, btf)
        trace = damaged.program.crashed_thread().stack_trace()
        assert trace[0].name == "__crash_kexec"
        assert len(trace) <= 1024
        assert time.process_time() - begun < LIMIT_SECONDS


def flip(bare: BareDump, address: int, bit: int) -> None:
    """Change a bit of the dump's memory for its program, and for it alone."""
    page = address & ~4095
    data = bytearray(bare.program.read(page, 4096))
    data[address - page] ^= bit
    bare.program.add_memory_segment(
        page, 4096, lambda _address, count, offset, _physical: bytes(data[offset : offset + count])
    )


@pytest.mark.parametrize(
    ("symbol", "source"),
    [
        ("__start_BTF", SymbolSource.KALLSYMS),  # its magic
        ("kallsyms_names", SymbolSource.NONE),
    ],
)
def test_a_step_down_is_said(dump: Specimen, symbol: str, source: SymbolSource) -> None:
    bare, symbols = opened(dump)
    address = symbols.address(symbol) or vmcoreinfo_symbol(bare.vmcoreinfo, symbol)
    assert address is not None
    flip(bare, address, 4)
    notes: list[str] = []
    assert rungs.climb(bare.program, bare.vmcoreinfo, notes) is source
    assert any("not used" in note for note in notes)


def test_forty_mutations_end_to_end(dump: Specimen) -> None:
    bare, symbols = opened(dump)
    tables = Tables.of(bare.vmcoreinfo)
    assert tables is not None
    regions = [
        (symbols.address("__start_BTF"), symbols.address("__stop_BTF")),
        (tables.names, tables.token_index + 512),
        (symbols.address("__start_orc_unwind"), symbols.address("__stop_orc_unwind")),
    ]
    rng = random.Random(4)
    for _ in range(40):
        start, stop = rng.choice(regions)
        assert start is not None and stop is not None
        damaged = open_dump(dump.vmcore)
        flip(damaged, rng.randrange(start, stop), 1 << rng.randrange(8))
        notes: list[str] = []
        begun = time.process_time()
        source = rungs.climb(damaged.program, damaged.vmcoreinfo, notes)
        assert time.process_time() - begun < LIMIT_SECONDS
        assert source is SymbolSource.BTF or notes
