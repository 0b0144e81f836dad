"""The few types that VMCOREINFO itself describes, for dumps that have no others.

A kernel tells in VMCOREINFO where in its structures the log is, so that ``makedumpfile
--dump-dmesg`` works without debugging information: enough for the log and the release. Members that
VMCOREINFO leaves out have stood where they stand since they exist (kernel/printk/printk.c).
"""

from __future__ import annotations

import contextlib

from drgn import (
    FaultError,
    FindObjectFlags,
    Object,
    Program,
    Type,
    TypeKind,
    TypeKindSet,
    TypeMember,
)

from kautopsy.dump.vmcoreinfo import VmcoreInfo
from kautopsy.symbols.index import KernelSymbols

_CONSTANTS = {"LOG_CONT": 8, "desc_committed": 1, "desc_finalized": 2}
# Variables and their types; a variable is there where its symbol and its type are.
_VARIABLES = {
    "prb": "struct printk_ringbuffer *",
    "log_buf": "char *",
    "log_first_idx": "u32",
    "log_next_idx": "u32",
    "log_first_seq": "u64",
    "init_uts_ns": "struct uts_namespace",
}
_UTS_LENGTH = 65  # __NEW_UTS_LEN and a NUL


class MinimalTypes:
    """drgn finders over VMCOREINFO's ``SIZE()``, ``OFFSET()`` and ``LENGTH()`` lines."""

    def __init__(self, program: Program, info: VmcoreInfo, symbols: KernelSymbols) -> None:
        self._program = program
        self._info = info
        self._symbols = symbols
        self._types: dict[str, Type | None] = {}

    def find_type(
        self, program: Program, kinds: TypeKindSet, name: str, filename: str | None
    ) -> Type | None:
        """drgn's type finder."""
        if TypeKind.STRUCT not in kinds:
            return None
        if name not in self._types:
            self._types[name] = self._structure(name)
        return self._types[name]

    def find_object(
        self, program: Program, name: str, flags: FindObjectFlags, filename: str | None
    ) -> Object | None:
        """drgn's object finder."""
        if flags & FindObjectFlags.CONSTANT and name in _CONSTANTS:
            return Object(program, self._int(4), _CONSTANTS[name])
        spelled = _VARIABLES.get(name)
        address = self._symbols.address(name)
        if spelled is None or address is None or not flags & FindObjectFlags.VARIABLE:
            return None
        type_ = self._type(spelled)
        return None if type_ is None else Object(program, type_, address=address)

    def _type(self, spelled: str) -> Type | None:
        if spelled.endswith(" *"):
            target = self._type(spelled.removesuffix(" *"))
            return None if target is None else self._program.pointer_type(target)
        if spelled in ("u8", "u16", "u32", "u64"):
            return self._int(int(spelled[1:]) // 8)
        if spelled == "char":
            return self._program.int_type("char", 1, True)
        tag = spelled.removeprefix("struct ")
        if tag not in self._types:
            self._types[tag] = self._structure(tag)
        return self._types[tag]

    def _int(self, size: int) -> Type:
        return self._program.int_type(f"u{8 * size}", size, False)

    def _structure(self, tag: str) -> Type | None:
        members = _members(tag, self._info)
        if tag == "uts_namespace" and not members:
            members = self._uts_namespace()
        size = _number(self._info, f"SIZE({tag})")
        if not members or (size is None and tag not in ("uts_namespace", "new_utsname")):
            return None
        made = []
        end = 0
        for name, spelled, offset, length, bits in members:
            type_ = self._type(spelled)
            if type_ is None:
                return None
            if length:
                type_ = self._program.array_type(type_, length)
            value = Object(self._program, type_, bit_field_size=bits) if bits else type_
            made.append(TypeMember(value, name, offset))
            end = max(end, offset // 8 + (type_.size if hasattr(type_, "size") else length or 8))
        return self._program.struct_type(tag, size or end, made)

    def _uts_namespace(self) -> list[_Member]:
        """Where the name is in it: VMCOREINFO gives the release, so it can be looked for.

        A ``struct kref`` precedes it until 5.11 (9a56493f6942 "uts: Use generic ns_common::count").
        """
        address = self._symbols.address("init_uts_ns")
        release = (self._info.release or "").encode()
        for offset in (0, 4):
            with contextlib.suppress(FaultError):
                if address and release == self._program.read_c_string(
                    address + offset + 2 * _UTS_LENGTH, max_size=_UTS_LENGTH
                ):
                    return [("name", "struct new_utsname", 8 * offset, 0, 0)]
        return []


_Member = tuple[str, str, int, int, int]
"""Name, type, offset in bits, length if it is an array, bits if it is a bit-field."""


def _number(info: VmcoreInfo, key: str) -> int | None:
    value = info.get(key)
    return int(value) if value and value.isdigit() and len(value) < 8 else None


def _members(tag: str, info: VmcoreInfo) -> list[_Member]:
    described = {
        "printk_ringbuffer": {
            "desc_ring": "struct prb_desc_ring",
            "text_data_ring": "struct prb_data_ring",
        },
        "prb_desc_ring": {
            "count_bits": "u32",
            "descs": "struct prb_desc *",
            "infos": "struct printk_info *",
            "head_id": "struct atomic_long_t",
            "tail_id": "struct atomic_long_t",
        },
        "prb_desc": {
            "state_var": "struct atomic_long_t",
            "text_blk_lpos": "struct prb_data_blk_lpos",
        },
        "prb_data_blk_lpos": {"begin": "u64", "next": "u64"},
        "prb_data_ring": {"size_bits": "u32", "data": "char *"},
        "atomic_long_t": {"counter": "u64"},
        "printk_info": {
            "seq": "u64",
            "ts_nsec": "u64",
            "text_len": "u16",
            "caller_id": "u32",
            "dev_info": "struct dev_printk_info",
        },
        "dev_printk_info": {"subsystem": "char", "device": "char"},
        # Before 5.10; "struct log" before 3.11 and in el7.
        "printk_log": {"ts_nsec": "u64", "len": "u16", "text_len": "u16", "dict_len": "u16"},
        "log": {"ts_nsec": "u64", "len": "u16", "text_len": "u16", "dict_len": "u16"},
        "uts_namespace": {"name": "struct new_utsname"},
    }
    if tag == "new_utsname":  # include/uapi/linux/utsname.h
        names = ("sysname", "nodename", "release", "version", "machine", "domainname")
        return [(name, "char", 8 * i * _UTS_LENGTH, _UTS_LENGTH, 0) for i, name in enumerate(names)]
    found: list[_Member] = []
    for name, spelled in described.get(tag, {}).items():
        offset = _number(info, f"OFFSET({tag}.{name})")
        if offset is None:
            return []
        length = _number(info, f"LENGTH(printk_info_{name})") or 0
        found.append((name, spelled, 8 * offset, length, 0))
    if tag in ("printk_info", "printk_log", "log"):
        # u8 facility; u8 flags:5; u8 level:3; behind the last u16 in all of them.
        after = max(offset for _, spelled, offset, _, _ in found if spelled == "u16") + 16
        found += [
            ("facility", "u8", after, 0, 0),
            ("flags", "u8", after + 8, 0, 5),
            ("level", "u8", after + 13, 0, 3),
        ]
    return found
