"""Lines of a backtrace, of every architecture and age.

How kernels print one: ``%pS``/``%pB`` gives ``function+0xOFFSET/0xSIZE [module build-id]``
(lib/vsprintf.c ``symbol_string``, kernel/kallsyms.c ``sprint_symbol_build_id``); before it stands
``[<address>]`` (on x86 of old, still on mips, riscv, s390), two addresses on powerpc, ``? `` if
the unwinder did not vouch for it. Symbolised copies add ``file:line`` and ``[inline]``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kautopsy.model.crash import Frame
from kautopsy.model.lazy import lazy_pattern

SYMBOL = r"[A-Za-z_.$][\w.$]*(?:<[^<>\s]{1,80}>)?"
# ``/0xSIZE`` is missing in symbols of 2.6.18's x86_64 and of some boot loaders' consoles.
LOCATION = (
    rf"(?P<function>{SYMBOL})\+(?:0x)?(?P<offset>[0-9a-f]{{1,8}})(?:/0x(?P<size>[0-9a-f]{{1,8}}))?"
)
_MODULE = r"(?:[ \t]*\[(?P<module>[A-Za-z]\w*)(?:[ \t][0-9a-f]{8,64})?(?:\([A-Z+-]*\))?\])?"
# `file:line` as syzkaller's symboliser writes it, `(file:line (discriminator 1))` as
# scripts/decode_stacktrace.sh does
_SOURCE = (
    r"(?:[ \t]+\(?(?P<file>[\w.+/-]+\.(?:[chSs]|rs|lex"
    r"|y)):(?P<line>\d+)(?P<inline>[ \t]\[inline\])?"
    r"(?:[ \t][\w.+/-]+\.[chSs]:\d+| \(discriminator \d+\)|\))*)?"
)
_MARK = r"(?:<{1,2}/?#?\w{0,12}>{1,2}[ \t]*)?"  # <IRQ>, <<EOE>>, <> where a sanitiser ate the name
_ADDRESS = (
    r"(?:\[<(?:0x)?(?P<address>[0-9a-f]{4,16})>\][ \t]*"
    r"|\[\][ \t]*"  # [<...>] after an HTML sanitiser ate what looked like a tag
    r"|\[(?P<address2>[0-9a-f]{8,16})\][ \t]*|\[<0>\][ \t]*"
    r"|\[<\(?_*ptrval_*\)?>\][ \t]*)"  # %p before the kernel has its key to hash addresses with
)

# x86, riscv, mips, loongarch, s390, arm64, and the stacks of KASAN and kmemleak.
_PLAIN = lazy_pattern(
    rf"[ \t]*\(?{_MARK}(?:\[[0-9a-f]{{8,16}}\][ \t]*(?=\[))?{_ADDRESS}?(?P<guess>\?[ \t]*)?"
    rf"(?::(?P<module2>\w+):)?{LOCATION}(?:\(\))?{_MODULE}{_SOURCE}"
    r"(?P<rest>.*)"
)
# A symbolised copy's inlined frame has neither offset nor size.
_INLINED = lazy_pattern(
    rf"[ \t]*{_MARK}(?P<guess>\?[ \t]*)?(?P<function>{SYMBOL})[ \t]+"
    r"(?P<file>[\w.+/-]+\.(?:[chSs]|rs)):(?P<line>\d+)[ \t]\[inline\]"
)
# decode_stacktrace.sh drops the offsets: ` vfs_write (fs/read_write.c:12 fs/a.c:34) module`
_DECODED = lazy_pattern(
    rf"[ \t]*{_MARK}(?P<guess>\?[ \t]*)?(?P<function>{SYMBOL})[ \t]+"
    r"\((?P<file>[\w.+/-]+\.(?:[chSs]"
    r"|rs)):(?P<line>\d+)[^\n]*\)[ \t]*(?P<module>[A-Za-z]\w*)?[ \t]*$"
)
_BARE = lazy_pattern(
    rf"[ \t]*\(?{_MARK}(?:\[[0-9a-f]{{8,16}}\][ \t]*(?=\[))?{_ADDRESS}?(?P<guess>\?[ \t]*)?"
    r"0x(?P<bare>[0-9a-f]{5,16})(?:/0x[0-9a-f]+)?(?:[ \t]*\[(?P<module>\w+)\])?\)?[ \t]*$"
)
# bt of crash(8): ` #8 [ffff88003c33dd60] page_fault at ffffffff8152aaf5 [module]`
_CRASH = lazy_pattern(
    rf"[ \t]*#\d+[ \t]+\[[0-9a-f]{{8,16}}\][ \t]+(?P<function>{SYMBOL})[ \t]+"
    r"at[ \t]+(?P<address>[0-9a-f]{8,16})"
    r"(?:[ \t]+\[(?P<module>\w+)\])?[ \t]*$"
)
_ADDRESS_ALONE = lazy_pattern(
    r"[ \t]*\(?\[<(?P<address>[0-9a-f]{8,16})>\]\)?[ \t]*(?:\(unreliable\))?$"
)
_ARM = lazy_pattern(
    rf"[ \t]*\[<(?P<pc>[0-9a-f]{{8,16}})>\] ?\((?P<callee>{SYMBOL})(?:\+0x(?P<o1>[0-9a-f]+)/0x"
    r"(?P<s1>[0-9a-f]+))?(?: \[(?P<m1>\w+)\])?[^)]*\) from "
    rf"\[<(?P<lr>[0-9a-f]{{8,16}})>\] ?\((?P<caller>{SYMBOL}|0x[0-9a-f]+)"
    r"(?:\+0x(?P<o2>[0-9a-f]+)/0x(?P<s2>[0-9a-f]+))?(?: \[(?P<m2>\w+)\])?"
    r"(?: (?P<file>[\w.+/-]+):(?P<line>\d+)(?P<inline> \[inline\])?)?\)"
)
# Without CONFIG_KALLSYMS (arch/arm/kernel/traps.c dump_backtrace_entry)
_ARM_NAMELESS = lazy_pattern(
    r"[ \t]*Function entered at \[<(?P<pc>[0-9a-f]{8})>\] from \[<(?P<lr>[0-9a-f]{8})>\]"
)
# Newer kernels leave out the addresses.
_ARM_NEW = lazy_pattern(
    rf"[ \t]*(?P<callee>{SYMBOL})(?: \[(?P<m1>\w+)\])? from "
    rf"(?P<caller>{SYMBOL})\+0x(?P<o2>[0-9a-f]+)/0x"
    r"(?P<s2>[0-9a-f]+)(?: \[(?P<m2>\w+)\])?"
)
_MORE = lazy_pattern(rf"{_ADDRESS}(?P<guess>\?[ \t]*)?(?::(?P<module2>\w+):)?{LOCATION}{_MODULE}")
_MAYBE = lazy_pattern(r"\+0x|\+[0-9a-f]+/0x|\[inline\]|\[<|\.[chS]:\d|\.rs:\d|0x[0-9a-f]{5}")
# arm64 and powerpc say in parentheses of what kind a frame is, and how sure they are
_TAIL = lazy_pattern(r"[ \t]*(?:\)|\(unreliable\)|\(\)|\([A-Z]{1,4}\)|\d+/0x)*[ \t]*$")

# What %pB prints, as it stands in nearly every line of nearly every backtrace, and what a
# symboliser made of it: all of it is told by the forms above as well.
_ALONE = lazy_pattern(
    r"[ \t]*(?:\[<([0-9a-f]{8,16})>\] )?(\? )?"
    r"([A-Za-z_][\w.]*)(?:\+0x([0-9a-f]{1,8})/0x([0-9a-f]{1,8}))?"
    r"(?: \[([A-Za-z]\w*)(?: [0-9a-f]{8,64})?\])?"
    r"(?: ([\w.+/-]+\.[chS]):(\d+)( \[inline\])?)?"
)


def frame_alone(text: str) -> Frame | None:
    """The frame that is all there is on a line in the kernel's plain form; None for any other."""
    match = _ALONE.fullmatch(text)
    if match is None:
        return None
    address, guess, function, offset, size, module, file, line, inline = match.groups()
    if offset is None and (inline is None or address is not None or module is not None):
        return None
    return Frame(
        function=function,
        offset=int(offset, 16) if offset else None,
        size=int(size, 16) if size else None,
        module=module,
        address=int(address, 16) if address else None,
        file=file,
        line=int(line) if line else None,
        inline=inline is not None,
        reliable=guess is None,
    )


def frames_in(text: str) -> list[Frame]:
    """The frames on one line of a backtrace; none if it is no such line."""
    if not _MAYBE.search(text):
        crash = _CRASH.match(text) if "#" in text else None
        if crash is None:
            return []
        address = int(crash["address"], 16)
        return [Frame(function=crash["function"], module=crash["module"], address=address)]
    return list(_frames(text))


def _frames(text: str) -> Iterator[Frame]:
    if " from " in text:
        arm = _ARM.match(text)
        if arm is not None:
            yield from _arm(arm)
            return
        arm = _ARM_NAMELESS.match(text)
        if arm is not None:
            yield Frame(address=int(arm["pc"], 16))
            yield Frame(address=int(arm["lr"], 16))
            return
        arm = _ARM_NEW.match(text)
        if arm is not None:
            yield Frame(function=arm["callee"], module=arm["m1"])
            yield Frame(
                function=arm["caller"],
                offset=int(arm["o2"], 16),
                size=int(arm["s2"], 16),
                module=arm["m2"],
            )
            return
    match = _PLAIN.match(text)
    if match is not None:
        rest = match["rest"]
        addressed = match["address"] or match["address2"] or "[]" in text[: match.start("function")]
        if match["size"] is None and not addressed:
            return
        more = list(_MORE.finditer(rest)) if "[<" in rest else []
        if not more and not addressed and not _TAIL.match(rest):
            return  # prose that begins with a location
        yield _plain(match, unreliable="(unreliable)" in rest)
        # el5 on i386 put several frames on one line
        for other in more:
            yield _plain(other)
        return
    match = _INLINED.match(text)
    if match is not None:
        yield Frame(
            function=match["function"],
            file=match["file"],
            line=int(match["line"]),
            inline=True,
            reliable=match["guess"] is None,
        )
        return
    match = _DECODED.match(text)
    if match is not None:
        yield Frame(
            function=match["function"],
            file=match["file"],
            line=int(match["line"]),
            module=match["module"],
            reliable=match["guess"] is None,
        )
        return
    match = _BARE.match(text)
    if match is not None:
        yield Frame(
            address=int(match["address"] or match["address2"] or match["bare"], 16),
            module=match["module"],
            reliable=match["guess"] is None,
        )
        return
    match = _ADDRESS_ALONE.match(text)
    if match is not None:
        yield Frame(address=int(match["address"], 16))


def _plain(match: re.Match[str], *, unreliable: bool = False) -> Frame:
    groups = match.groupdict()
    address = groups.get("address") or groups.get("address2")
    return Frame(
        function=groups["function"],
        offset=int(groups["offset"], 16),
        size=int(groups["size"], 16) if groups["size"] else None,
        module=groups.get("module") or groups.get("module2"),
        address=int(address, 16) if address else None,
        file=groups.get("file"),
        line=int(groups["line"]) if groups.get("line") else None,
        inline=bool(groups.get("inline")),
        reliable=not (unreliable or groups.get("guess")),
    )


def _arm(match: re.Match[str]) -> Iterator[Frame]:
    for name, address, offset, size, module in (
        ("callee", "pc", "o1", "s1", "m1"),
        ("caller", "lr", "o2", "s2", "m2"),
    ):
        function = match[name]
        yield Frame(
            function=None if function.startswith("0x") else function,
            offset=int(match[offset], 16) if match[offset] else None,
            size=int(match[size], 16) if match[size] else None,
            module=match[module],
            address=int(match[address], 16),
            file=match["file"] if name == "caller" else None,
            line=int(match["line"]) if name == "caller" and match["line"] else None,
            inline=name == "caller" and match["inline"] is not None,
        )
