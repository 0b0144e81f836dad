from __future__ import annotations

import struct

import drgn
import pytest
from drgn import TypeKind, TypeKindSet
from tests.symbols.btf_blob import BtfBlob

from kautopsy.symbols.btf.parse import Btf, BtfError, parse, size_of
from kautopsy.symbols.btf.types import BtfTypes

PTR, ARRAY, ENUM, FWD, TYPEDEF, CONST, TYPE_TAG, ENUM64 = 2, 3, 6, 7, 8, 10, 18, 19
STRUCTS = TypeKindSet({TypeKind.STRUCT})


def program() -> drgn.Program:
    return drgn.Program(drgn.Platform(drgn.Architecture.X86_64))


def integer(blob: BtfBlob, name: str, size: int, encoding: int = 0) -> int:
    return blob.add(1, name, size, (encoding << 24 | 8 * size,))


def types_of(blob: BtfBlob) -> BtfTypes:
    return BtfTypes(program(), parse(blob.bytes()))


def find(types: BtfTypes, name: str, kind: TypeKind = TypeKind.STRUCT) -> drgn.Type:
    found = types.find(name, TypeKindSet({kind}))
    assert found is not None
    return found


def test_a_list_refers_to_itself() -> None:
    blob = BtfBlob()
    # struct list_head { struct list_head *next, *prev; }: type 2 points at type 1.
    blob.structure("list_head", 16, ("next", 2, 0), ("prev", 2, 64))
    blob.add(PTR, third=1)
    list_head = find(types_of(blob), "list_head")
    assert list_head.size == 16
    assert [(m.name, m.bit_offset) for m in list_head.members or ()] == [("next", 0), ("prev", 64)]
    assert list_head.member("prev").type.type.tag == "list_head"


def test_bit_fields_in_both_encodings() -> None:
    blob = BtfBlob()
    byte = integer(blob, "unsigned char", 1)
    blob.structure("new", 1, ("a", byte, 5 << 24), ("b", byte, 3 << 24 | 5), flag=1)
    types = types_of(blob)
    assert [(m.name, m.bit_offset, m.bit_field_size) for m in find(types, "new").members or ()] == [
        ("a", 0, 5),
        ("b", 5, 3),
    ]


def test_wide_enumerations_and_signs() -> None:
    blob = BtfBlob()
    text = blob.string
    blob.add(ENUM64, "wide", 8, (text("BIG"), 1, 0x80000000), 1)
    blob.add(ENUM64, "low", 8, (text("LOW"), 0xFFFFFFFF, 0xFFFFFFFF), 1, flag=1)
    blob.add(ENUM, "signed", 4, (text("MINUS"), 0xFFFFFFFF, text("PLUS"), 1), 2, flag=1)
    blob.add(ENUM, "flags", 4, (text("TOP"), 0x80000000), 1)
    types = types_of(blob)
    values = {
        name: types.constant(name).value_()  # type: ignore[union-attr]
        for name in ("BIG", "LOW", "MINUS", "PLUS", "TOP")
    }
    assert values == {"BIG": 0x8000000000000001, "LOW": -1, "MINUS": -1, "PLUS": 1, "TOP": 1 << 31}
    assert types.constant("ABSENT") is None


def test_old_pahole_leaves_the_sign_of_characters_out() -> None:
    blob = BtfBlob()
    integer(blob, "char", 1)
    integer(blob, "signed char", 1)
    types = types_of(blob)
    assert find(types, "char", TypeKind.INT).is_signed
    assert find(types, "signed char", TypeKind.INT).is_signed
    newer = BtfBlob()
    integer(newer, "char", 1)
    integer(newer, "signed char", 1, encoding=1)
    # Linux 6.2 and later are built with -funsigned-char.
    assert not find(types_of(newer), "char", TypeKind.INT).is_signed


def test_only_the_last_array_is_flexible() -> None:
    blob = BtfBlob()
    byte = integer(blob, "char", 1, 1)
    empty = blob.add(ARRAY, rest=(byte, byte, 0))
    blob.structure("tail", 1, ("padding", empty, 0), ("c", byte, 0), ("rest", empty, 8))
    tail = find(types_of(blob), "tail")
    assert tail.member("padding").type.length == 0
    assert tail.member("rest").type.length is None


def test_declarations_tags_and_qualifiers_lead_to_the_type() -> None:
    blob = BtfBlob()
    fwd = blob.add(FWD, "inode")
    tag = blob.add(TYPE_TAG, "rcu", fwd)
    const = blob.add(CONST, third=tag)
    pointer = blob.add(PTR, third=const)
    blob.add(TYPEDEF, "inode_p", pointer)
    blob.structure("inode", 0)
    target = find(types_of(blob), "inode_p", TypeKind.TYPEDEF).type.type
    assert (target.tag, target.qualifiers, target.is_complete()) == (
        "inode",
        drgn.Qualifiers.CONST,
        True,
    )


def test_a_modules_types_continue_the_kernels() -> None:
    kernel = BtfBlob()
    number = integer(kernel, "int", 4, 1)
    base = parse(kernel.bytes())
    module = BtfBlob(first_id=2, first_string=len(kernel.strings))
    module.structure("loop_device", 4, ("lo_number", number, 0))
    empty = program()
    types = BtfTypes(empty, parse(module.bytes(), base), BtfTypes(empty, base))
    assert find(types, "loop_device").member("lo_number").type.type_name() == "int"


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, b"\0"),  # magic
        (2, b"\2"),  # version
        (12, b"\xff\xff\xff\x7f"),  # length of types
        (24 + 16 + 7, b"\x1f"),  # kind 31
        (24 + 16 + 4, b"\7"),  # more members than there are
        (24 + 16 + 12, b"\xff"),  # a member's name inside another string
        (24 + 16 + 16, b"\xff"),  # a member of no type
        (24 + 16 + 20, b"\xff"),  # a member outside
    ],
)
def test_damage_is_seen(at: int, value: bytes) -> None:
    blob = BtfBlob()
    number = integer(blob, "int", 4, 1)
    blob.structure("pair", 8, ("first", number, 0), ("second", number, 32))
    good = blob.bytes()
    parse(good)
    with pytest.raises(BtfError):
        parse(good[:at] + value + good[at + len(value) :])


def test_overlapping_members_are_not_believed() -> None:
    blob = BtfBlob()
    number = integer(blob, "int", 4, 1)
    blob.structure("pair", 8, ("first", number, 0), ("second", number, 8))
    with pytest.raises(BtfError, match="overlap"):
        types_of(blob).find("pair", STRUCTS)


def test_a_circle_of_typedefs_is_no_hang() -> None:
    blob = BtfBlob()
    blob.add(TYPEDEF, "a", 2)
    blob.add(TYPEDEF, "b", 1)
    with pytest.raises(BtfError, match="itself"):
        types_of(blob).find("a", TypeKindSet({TypeKind.TYPEDEF}))


def test_the_header_tells_the_size() -> None:
    blob = BtfBlob()
    integer(blob, "int", 4, 1)
    assert size_of(blob.bytes()[:24]) == len(blob.bytes())
    with pytest.raises(BtfError):
        size_of(b"\x7fELF" + bytes(20))


def test_big_endian_is_read_too() -> None:
    strings = b"\0int\0"
    data = struct.pack(">HBBIIIII", 0xEB9F, 1, 0, 24, 0, 16, 16, len(strings))
    data += struct.pack(">IIII", 1, 1 << 24, 4, 1 << 24 | 32) + strings
    btf: Btf = parse(data)
    assert btf.ids("int") == [1]
