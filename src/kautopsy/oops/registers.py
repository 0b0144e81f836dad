"""Register dumps of every architecture: name in lower case → value.

Printed by ``__show_regs`` and ``show_regs`` of each architecture. Pairs are ``RAX: 0000...``
(x86), ``r7 : df912310`` (arm), ``x29: ffff...`` (arm64), rows of four after ``GPR00:`` (powerpc),
``$ 0   :`` (mips) or ``Krnl GPRS:`` (s390), ``ra : ...`` (riscv, loongarch).
"""

from __future__ import annotations

from kautopsy.model.lazy import lazy_pattern

# x86's, with what stands before and behind a segment's base: `GS:ffff88003fc00000(0000)`
_X86 = lazy_pattern(r"\b(\w{2,8}):[ \t]*(?:[0-9a-f]{4}:)?([0-9a-f]{8,16})\b(\([0-9a-f]{4,}\))?")
_X86_WORDS = """
RAX RBX RCX RDX RSI RDI RBP RSP RFLAGS ORIG_RAX ORIG_AX ORIG_EAX R8 R9 R08 R09 R10 R11 R12 R13 R14
R15 EAX EBX ECX EDX ESI EDI EBP ESP EFLAGS AX BX CX DX SI DI BP SP CR0 CR2 CR3 CR4 CR8 DR0 DR1 DR2
DR3 DR4 DR5 DR6 DR7 eax ebx ecx edx esi edi ebp esp
"""
_X86_NAMES = frozenset(_X86_WORDS.split())
_X86_BASES = frozenset(("FS", "GS", "knlGS"))
_NAMED = lazy_pattern(
    r"(?:^|[ \t])(x\d{1,2}|r\d{1,2}|sp|fp|ip|lr|pc|ra|gp|tp|[ast]\d{1,2}|psr|pstate|s?epc|era"
    r"|[goil][0-7]|ret_pc|TSTATE|TPC|TNPC|Y|s?badaddr|s?cause|s?status"
    r"|BADV|badv|estat|u0)[ \t]*:[ \t]*(?:\[<)?(?:0x)?([0-9a-f]{8,16})(?:>\])?(?=[ \t,]|$)"
)
_POWERPC_ROW = lazy_pattern(r"[ \t]*GPR(\d\d):((?:[ \t]+[0-9a-f]{8,16}){1,8})")
_POWERPC = lazy_pattern(r"\b(NIP|LR|CTR|MSR|XER|DAR|DSISR|CFAR|CR):[ \t]+([0-9a-f]{8,16})\b")
_S390_ROW = lazy_pattern(r"[ \t]*(?:Krnl GPRS:)?((?:[ \t]+[0-9a-f]{16}){4})$")
_MIPS_ROW = lazy_pattern(r"[ \t]*\$[ \t]*(\d{1,2})[ \t]*:((?:[ \t]+[0-9a-f]{8,16}){1,4})")
_LOONGARCH = lazy_pattern(r"\b(pc|ra|tp|sp|a[0-7]|t[0-8]|u0|s[0-9]|fp)[ \t]([0-9a-f]{16})\b")
_MAYBE = lazy_pattern(r"[0-9a-f]{8}")


def registers_in(text: str, known: dict[str, int]) -> bool:
    """Add the registers on a line to ``known`` (the first dump counts); whether there were any."""
    if not _MAYBE.search(text):
        return False
    found: list[tuple[str, str]] = []
    if ":" in text:
        found = [
            (name, value)
            for name, value, segment in _X86.findall(text)
            if name in _X86_NAMES or (segment and name in _X86_BASES)
        ]
        if not found:
            found = _rows(text, known)
        if not found:
            found = _NAMED.findall(text) + _POWERPC.findall(text)
    elif known:
        found = _rows(text, known)
    if not found and text[:4].lstrip()[:2] in ("pc", "a0", "a4", "t0", "t4", "t8", "s1", "s5"):
        found = _LOONGARCH.findall(text)
    for name, value in found:
        known.setdefault(_name(name), int(value, 16))
    return bool(found)


def _name(name: str) -> str:
    name = name.lower()
    if name in ("sepc", "sbadaddr", "scause", "sstatus"):  # riscv's until 5.7
        return name[1:]
    return "r" + name[2] if len(name) == 3 and name.startswith("r0") else name


def _rows(text: str, known: dict[str, int]) -> list[tuple[str, str]]:
    row = _POWERPC_ROW.match(text)
    if row is not None:
        first = int(row[1])
        return [(f"r{first + i}", value) for i, value in enumerate(row[2].split())]
    row = _MIPS_ROW.match(text)
    if row is not None:
        first = int(row[1])
        # `$24   : a b` leaves out k0 and k1, which belong to the kernel: `$28` follows.
        return [(f"${first + i}", value) for i, value in enumerate(row[2].split())]
    row = _S390_ROW.match(text)
    if row is not None and ("Krnl GPRS" in text or "r0" in known):
        first = sum(f"r{i}" in known for i in range(16))
        if "Krnl GPRS" in text:
            first = 0
        if first <= 12:
            return [(f"r{first + i}", value) for i, value in enumerate(row[1].split())]
    return []
