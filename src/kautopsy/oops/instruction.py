"""The line that says where the processor was: RIP, EIP, PC, NIP, epc, PSW ..., per architecture."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kautopsy.model.crash import Frame
from kautopsy.model.lazy import lazy_pattern
from kautopsy.oops.frames import SYMBOL

_WHERE = (
    rf"(?::(?P<module2>\w+):)?(?P<function>{SYMBOL})"
    r"(?:\+0x(?P<offset>[0-9a-f]+)/(?:0x)?(?P<size>[0-9a-f]+)|(?=[ \t]\([\w/.+-]+\.[chS]:\d))"
    r"(?:[ \t]*\[(?P<module>[A-Za-z]\w*)(?:[ \t][0-9a-f]{8,64})?\])?"
    r"(?:[ \t]+\(?(?P<file>[\w.+/-]+\.(?:[chSs]|rs)):(?P<line>\d+)(?P<inline>[ \t]\[inline\])?)?"
)
_PC = (
    r"(?:\[<(?:0x)?(?P<address>[0-9a-f]{4,16})>\]|\[(?P<address2>[0-9a-f]{8,16})\]|\[\]"
    r"|\[<[ \t]*\(null\)>\])"
)

# x86: __show_regs (arch/x86/kernel/process_64.c), show_ip (dumpstack.c), show_regs_if_on_stack
_RIP = lazy_pattern(
    rf"(?:.*[ \t>])?R?IP(?P<colon>:?)[ \t]*(?:(?P<segment>[0-9a-f]{{2,4}}):)?[ \t]*(?:{_PC}[ \t]*)?"
    rf"(?:\[<[0-9a-f]{{4,16}}>\][ \t]*|\[\][ \t]*|\.c[ \t]*)*"
    rf"(?:{_WHERE}|0x(?P<bare>[0-9a-f]+)|(?P<null>\(null\))|(?=$))"
)
_EIP = lazy_pattern(
    rf"[ \t]*EIP(?: is at |:[ \t]*)(?:(?P<segment>[0-9a-f]{{2,4}}):)?(?:{_PC}[ \t]*)?(?:{_WHERE}"
    rf"|0x(?P<bare>[0-9a-f]+))"
)
# arm, arm64, mips, riscv, loongarch, sh, arc
_PC_LINE = lazy_pattern(
    rf"[ \t]*(?:PC is at|pc[ \t]*:|epc[ \t]*:|era[ \t]*:|ERA:?|pc[ \t](?=[0-9a-f]{{16}} )"
    rf"|\[ECR ?\].*?blink|"
    rf"LR is at(?!.))[ \t]*(?:(?P<address>[0-9a-f]{{8,16}})[ \t]+)?"
    r"(?:\[<(?P<address2>[0-9a-f]+)>\][ \t]*)?"
    rf"(?:{_WHERE}|0x(?P<bare>[0-9a-f]+))"
)
_NIP = lazy_pattern(
    rf"[ \t]*NIP[ \t]+\[(?P<address>[0-9a-f]{{8,16}})\][ \t]+(?:{_WHERE}|0x(?P<bare>[0-9a-f]+))"
)
_PSW = lazy_pattern(
    r"[ \t]*Krnl PSW :[ \t]*[0-9a-f]{8,16}[ \t]+(?P<address>[0-9a-f]{8,16})"
    rf"[ \t]+\(?(?:\[<[0-9a-f]+>\][ \t]*)?(?:{_WHERE}|0x(?P<bare>[0-9a-f]+))"
)
# crash(8), which counts in tens: `[exception RIP: sysrq_handle_crash+22]`
_CRASH = lazy_pattern(rf"[ \t]*\[exception [RE]?IP: (?P<function>{SYMBOL})\+(?P<decimal>\d+)\]")
# riscv: its name stands on a line of its own since 5.17, and none before
_EPC = lazy_pattern(r"[ \t]*s?epc[ \t]*:[ \t]*(?P<address>[0-9a-f]{8,16})[ \t]+ra[ \t]*:")
_XTENSA_ETC = lazy_pattern(rf"[ \t]*(?:TPC: <|IAOQ\[0\]: |Instruction pointer: )(?:{_WHERE})")
_MAYBE = lazy_pattern(r"IP|PC|pc|PSW|epc|era|ERA|IAOQ")
_FORMS = (_EIP, _NIP, _PSW, _EPC, _PC_LINE, _XTENSA_ETC, _RIP)
_NOT = lazy_pattern(r"SKIP|SHIP|VLIP|TCP|UDP|IPv[46]")


@dataclass(frozen=True, slots=True)
class Instruction:
    """Where an instruction pointer stood.

    :param user: it was user space's (not a kernel frame)
    :param waits: the function stands on the next line, since the continuation was torn off (4.9
        to 4.11 print the function with KERN_CONT)
    """

    frame: Frame
    user: bool = False
    waits: bool = False


def instruction_in(text: str) -> Instruction | None:
    """What an instruction pointer's line says, None if ``text`` is no such line."""
    if not _MAYBE.search(text):
        return None
    crash = _CRASH.match(text)
    if crash is not None:
        return Instruction(Frame(function=crash["function"], offset=int(crash["decimal"])))
    for form in _FORMS:
        match = form.match(text)
        if match is None:
            continue
        if form is _RIP and _no_rip(text, match):
            continue
        return _read(match)
    return None


def _no_rip(text: str, match: re.Match[str]) -> bool:
    """Prose with the word ``IP`` in it: a real line has a location or a segment behind it."""
    if match["function"] or match["bare"] or match["null"]:
        return bool(_NOT.search(text[: match.start("function") if match["function"] else 12]))
    return not (match["address"] and match["segment"])


def _read(match: re.Match[str]) -> Instruction:
    groups = match.groupdict()
    segment = groups.get("segment")
    # Selectors of user code: 0x33 and 0x23 on x86_64, 0x73 (0x1b in VDSO-less old ones) on i386;
    # the two low bits are the privilege level.
    user = segment is not None and int(segment, 16) & 3 == 3
    address = groups.get("address") or groups.get("address2")
    pc = int(address, 16) if address else None
    if groups.get("function"):
        frame = Frame(
            function=groups["function"],
            offset=int(groups["offset"], 16) if groups["offset"] else None,
            size=int(groups["size"], 16) if groups["size"] else None,
            module=groups.get("module") or groups.get("module2"),
            address=pc,
            file=groups.get("file"),
            line=int(groups["line"]) if groups.get("line") else None,
            inline=bool(groups.get("inline")),
        )
        return Instruction(frame, user)
    if groups.get("null"):
        return Instruction(Frame(address=0), user)
    if groups.get("bare"):
        return Instruction(Frame(address=pc if pc is not None else int(groups["bare"], 16)), user)
    return Instruction(Frame(address=pc), user, waits=not user and segment is not None)
