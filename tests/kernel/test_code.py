"""Functions assembled by hand; the encodings are from the Intel SDM, volume 2."""

from __future__ import annotations

import struct

import pytest
from drgn import (
    Architecture,
    Platform,
    Program,
    Symbol,
    SymbolBinding,
    SymbolIndex,
    SymbolKind,
)

from kautopsy.kernel.code import Code

TEXT = 0xFFFFFFFFC0100000
LOCK = 0xFFFFFFFFC0234560
POINTER = 0xFFFFFFFFC0300008
OBJECT = 0xFFFF888004321000


def program(
    code: bytes, memory: dict[int, bytes] | None = None, *others: tuple[int, int]
) -> Program:
    made = Program(Platform(Architecture.X86_64))
    for address, raw in {TEXT: code, **(memory or {})}.items():

        def read(address: int, count: int, offset: int, physical: bool, raw: bytes = raw) -> bytes:
            return raw[offset : offset + count]

        made.add_memory_segment(address, len(raw), read)
    symbols = [
        Symbol("locker", start, size, SymbolBinding.GLOBAL, SymbolKind.FUNC)
        for start, size in ((TEXT, len(code)), *others)
    ]
    made.register_symbol_finder("test", SymbolIndex(symbols), enable_index=0)
    return made


def test_a_lock_as_an_immediate() -> None:
    # mov $LOCK,%rdi (sign-extended imm32); ret
    code = b"\x48\xc7\xc7" + struct.pack("<I", LOCK & 0xFFFFFFFF) + b"\xc3"
    assert Code(program(code)).refers_to(TEXT + 3, LOCK, LOCK + 4)


def test_a_lock_relative_to_the_instruction() -> None:
    # lea LOCK(%rip),%rdi; ret
    code = b"\x48\x8d\x3d" + struct.pack("<i", LOCK - (TEXT + 7)) + b"\xc3"
    assert Code(program(code)).refers_to(TEXT, LOCK, LOCK + 4)


def test_a_lock_in_an_object_behind_a_global_pointer() -> None:
    # mov POINTER(%rip),%rdi; add $0x18,%rdi; ret
    code = b"\x48\x8b\x3d" + struct.pack("<i", POINTER - (TEXT + 7)) + b"\x48\x83\xc7\x18\xc3"
    memory = {POINTER: struct.pack("<Q", OBJECT)}
    assert Code(program(code, memory)).refers_to(TEXT, OBJECT, OBJECT + 0x40)
    assert not Code(program(code, memory)).refers_to(TEXT, OBJECT + 0x40, OBJECT + 0x80)


def test_another_lock_is_not_referred_to() -> None:
    code = b"\x48\xc7\xc7" + struct.pack("<I", LOCK & 0xFFFFFFFF) + b"\xc3"
    assert not Code(program(code)).refers_to(TEXT, LOCK + 0x40, LOCK + 0x60)


def test_a_lock_that_has_a_function_to_take_it() -> None:
    wrapper = TEXT + 0x400
    # call wrapper; ret / mov $LOCK,%rdi; ret
    code = b"\xe8" + struct.pack("<i", wrapper - (TEXT + 5)) + b"\xc3"
    takes = b"\x48\xc7\xc7" + struct.pack("<I", LOCK & 0xFFFFFFFF) + b"\xc3"
    made = Code(program(code, {wrapper: takes}, (wrapper, len(takes))))
    assert made.calls_one_that_names(TEXT + 5, LOCK)
    assert not made.calls_one_that_names(TEXT + 5, LOCK + 0x40)
    assert not made.refers_to(TEXT + 5, LOCK, LOCK + 4)
    # What is large does more than that.
    large = takes.ljust(0x1000, b"\xc3")
    made = Code(program(code, {wrapper: large}, (wrapper, len(large))))
    assert not made.calls_one_that_names(TEXT + 5, LOCK)


def test_text_that_is_not_in_the_dump_refers_to_nothing() -> None:
    assert not Code(program(b"\xc3")).refers_to(TEXT + 0x100000, LOCK, LOCK + 4)


@pytest.mark.parametrize(
    "code",
    [
        b"\x48\x8d\x7b\x48",  # lea 0x48(%rbx),%rdi
        b"\x49\x8d\x7c\x24\x48",  # lea 0x48(%r12),%rdi
        b"\x48\x83\xc7\x48",  # add $0x48,%rdi
        b"\xc6\x43\x48\x00",  # movb $0,0x48(%rbx): spin_unlock() inlined
    ],
)
def test_a_member_by_its_offset(code: bytes) -> None:
    made = Code(program(code + b"\xc3"))
    assert made.names_member(TEXT, OBJECT, OBJECT + 0x48)
    assert not made.names_member(TEXT, OBJECT, OBJECT + 0x50)


def test_a_member_far_into_its_object() -> None:
    # lea 0x1a8(%rbp),%rdi; ret
    made = Code(program(b"\x48\x8d\xbd\xa8\x01\x00\x00\xc3"))
    assert made.names_member(TEXT, OBJECT, OBJECT + 0x1A8)
    assert not made.names_member(TEXT, OBJECT, OBJECT + 0xA8)


def test_the_first_member_cannot_be_told_by_its_offset() -> None:
    assert not Code(program(b"\x48\x8d\x7b\x00\xc3")).names_member(TEXT, OBJECT, OBJECT)
