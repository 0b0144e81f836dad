from __future__ import annotations

import struct
from collections.abc import Callable

import drgn
import pytest

from kautopsy.dump.vmcoreinfo import VmcoreInfo
from kautopsy.symbols.index import KernelSymbols
from kautopsy.symbols.kallsyms import KallsymsError, Tables, load
from kautopsy.symbols.kallsyms_scan import find_tables

BASE = 0xFFFFFFFF81000000
SYMBOLS = [
    (0x0, "A", "__per_cpu_start"),
    (0x30000, "A", "runqueues"),
    (BASE, "T", "_text"),
    (BASE, "T", "_stext"),
    *[(BASE + 0x100 + 16 * i, "t", f"function_{i}") for i in range(600)],
    (BASE + 0x4000, "T", "schedule"),
    (BASE + 0x4100, "T", "_etext"),
    (BASE + 0x5000, "T", "init_task"),  # 7.2's data have this letter
    (BASE + 0x6000, "B", "_end"),
]
RODATA = BASE + 0x800000


class Memory:
    """A kernel's .rodata with tables as scripts/kallsyms.c lays them out until 6.3."""

    def __init__(self, form: str = "percpu", *, seqs: bool = True) -> None:
        self.data = bytearray(bytes(4096))
        self.places: dict[str, int] = {}
        count = len(SYMBOLS)
        addresses = [address for address, _, _ in SYMBOLS]
        # Tokens: every ASCII character is itself, "tion" is one of the rest.
        tokens = [chr(i) if 0x21 <= i < 0x7F else "?" for i in range(256)]
        tokens[200] = "tion"
        if form == "addresses":
            self.put("addresses", struct.pack(f"<{count}Q", *addresses))
        elif form == "self":
            pass
        else:
            offsets = [
                a
                if a < 1 << 32 and form == "percpu"
                else BASE - 1 - a
                if form == "percpu"
                else a - BASE
                for a in addresses
            ]
            if form == "base":
                offsets = [max(o, 0) for o in offsets]
            self.put("offsets", struct.pack(f"<{count}i", *offsets))
            self.put("relative_base", struct.pack("<Q", BASE))
        self.put("num_syms", struct.pack("<I", count))
        names = b""
        starts = []
        for _, kind, name in SYMBOLS:
            starts.append(len(names))
            coded = (kind + name).encode().replace(b"tion", b"\xc8")
            names += bytes([len(coded)]) + coded
        self.put("names", names)
        markers = struct.pack(f"<{len(starts[::256])}I", *starts[::256])
        if seqs:
            order = sorted(range(count), key=lambda i: SYMBOLS[i][2])
            markers += b"".join(i.to_bytes(3, "big") for i in order)
        self.put("markers", markers)
        table = b"".join(token.encode() + b"\0" for token in tokens)
        index = [len("".join(t + "\0" for t in tokens[:i])) for i in range(256)]
        self.put("token_table", table)
        self.put("token_index", struct.pack("<256H", *index))
        if form == "self":
            here = RODATA + len(self.data)
            self.put(
                "offsets",
                struct.pack(
                    f"<{count - 2}i", *[a - here - 4 * i for i, a in enumerate(addresses[2:])]
                ),
            )
        self.data += bytes(16384)

    def put(self, name: str, content: bytes) -> None:
        self.data += bytes(-len(self.data) % 8)
        self.places[name] = RODATA + len(self.data)
        self.data += content

    def read(self, address: int, size: int) -> bytes:
        at = address - RODATA
        if at < 0 or at + size > len(self.data):
            raise drgn.FaultError("not in the dump", address)
        return bytes(self.data[at : at + size])

    def tables(self) -> Tables:
        return Tables(**{k: v for k, v in self.places.items() if k != "markers"})


def test_names_kinds_and_addresses() -> None:
    memory = Memory()
    found = load(memory.read, memory.tables(), stext=BASE)
    assert list(zip(found.addresses, found.kinds, found.names, strict=True)) == SYMBOLS


def test_absolute_addresses() -> None:
    memory = Memory("addresses")
    assert load(memory.read, memory.tables(), stext=BASE).addresses.tolist() == [
        a for a, _, _ in SYMBOLS
    ]


@pytest.mark.parametrize("form", ["percpu", "addresses"])
def test_tables_are_found_without_vmcoreinfo(form: str) -> None:
    memory = Memory(form, seqs=False)  # kallsyms_seqs_of_names came after VMCOREINFO's lines
    assert find_tables(memory.read, BASE) == memory.tables()


def test_nothing_to_find() -> None:
    with pytest.raises(KallsymsError, match="no symbol table"):
        find_tables(lambda address, size: bytes(size), BASE)


def test_vmcoreinfo_names_the_tables() -> None:
    lines = [f"SYMBOL(kallsyms_{name})={address:x}" for name, address in Memory().places.items()]
    assert Tables.of(VmcoreInfo("\n".join(lines))) == Memory().tables()
    assert Tables.of(VmcoreInfo("OSRELEASE=5.10.0")) is None


def flip(at: str, offset: int, bit: int) -> Callable[[Memory], None]:
    def change(memory: Memory) -> None:
        memory.data[memory.places[at] - RODATA + offset] ^= bit

    return change


@pytest.mark.parametrize(
    "change",
    [
        flip("num_syms", 3, 0x80),
        flip("names", 0, 4),  # a length
        flip("names", 1, 0x10),  # a type letter: Q is none
        flip("names", 80, 0x40),  # a letter out of order
        flip("token_table", 100, 0xFF),
        flip("token_index", 100, 1),
        flip("markers", 4, 1),
        flip("offsets", 50, 0x40),
        flip("relative_base", 1, 1),
    ],
)
def test_damage_is_seen(change: Callable[[Memory], None]) -> None:
    memory = Memory()
    change(memory)
    with pytest.raises(KallsymsError):
        load(memory.read, memory.tables(), stext=BASE)


def test_missing_pages_are_an_error_with_a_name() -> None:
    memory = Memory()
    del memory.data[9000:]
    with pytest.raises(KallsymsError, match="cannot be read"):
        load(memory.read, memory.tables(), stext=BASE)


def symbols() -> KernelSymbols:
    memory = Memory()
    return KernelSymbols(load(memory.read, memory.tables(), stext=BASE))


def test_an_address_belongs_to_the_first_of_its_symbols() -> None:
    found = symbols().find_symbols(drgn.Program(), None, BASE + 5, True)
    assert [(s.name, s.address, s.size) for s in found] == [("_text", BASE, 0x100)]
    both = symbols().find_symbols(drgn.Program(), None, BASE + 5, False)
    assert [s.name for s in both] == ["_text", "_stext"]


@pytest.mark.parametrize("address", [0, 0x30000, BASE - 1, BASE + 0x6000, BASE + 0x7000])
def test_per_cpu_offsets_and_the_outside_have_no_name(address: int) -> None:
    assert symbols().find_symbols(drgn.Program(), None, address, True) == []


def test_per_cpu_variables_are_found_by_name() -> None:
    assert symbols().address("runqueues") == 0x30000


def test_the_letter_does_not_make_a_function() -> None:
    table = symbols()
    kinds = {
        name: table.find_symbols(drgn.Program(), name, None, True)[0].kind
        for name in ("schedule", "init_task")
    }
    assert kinds == {"schedule": drgn.SymbolKind.FUNC, "init_task": drgn.SymbolKind.OBJECT}


def test_names_that_btf_has_and_the_table_lacks() -> None:
    assert symbols().lacking({"schedule", "function_7", "gone"}) == {"gone"}
    assert symbols().lacking({"schedule", "schedule_impl"}) == set()
