"""What belongs to one crash: its lines, and what was read out of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from kautopsy.model.crash import Frame
from kautopsy.model.lazy import lazy_pattern
from kautopsy.oops.facts import Facts
from kautopsy.oops.frames import frames_in
from kautopsy.oops.instruction import Instruction, instruction_in
from kautopsy.oops.lines import Line
from kautopsy.oops.registers import registers_in
from kautopsy.oops.sight import (
    BELONGS,
    BYSTANDER,
    CODE,
    END,
    FOREIGN,
    NO_STACK,
    POINTER,
    STACK,
    Sight,
)

_AFTER_END = 30
"""Lines after `end trace` that may repeat the registers, as x86 does (oops_end)."""
MAX_FRAMES = 4096
"""Frames kept of one report: a runaway recursion prints its whole stack, and a hostile log more."""

_STACK_HEAD = lazy_pattern(
    r"(?:[Cc]all [Tt]race|[Bb]acktrace|[Ss]tack [Bb]acktrace|Stack traceback"
    r"|Last Breaking-Event-Address)"
    r"(?: \(.{0,60}\))?:(?P<rest>.*)$"
)
_CALL_STACK = lazy_pattern(r"(?:[Cc]all [Tt]race|[Bb]acktrace|Stack traceback)(?: \(.{0,60}\))?:")
_SECTION = lazy_pattern(r"(?!.*(?:linked in|Stack|Dump|dump|Code|Trace)[^:]*:$).{3,240}:$")
_LOCK_DEPENDENCY = lazy_pattern(r"[ \t]*-> #\d+")
# mm/page_owner.c __dump_page_owner: whose the page was, in front of the report's own backtrace
_PAGE_OWNER = lazy_pattern(
    r"page (?:last (?:allocated|free)|allocated via)|page_owner (?:tracks|free)|Page allocated via"
)
# mm/slub.c print_track(): who allocated and who freed the object, with their stacks behind since
# d6543e393616 ("slub: Enable backtrace for create/delete points", v3.2); INFO: until v5.13.
_SLUB_TRACK = lazy_pattern(r"(?:INFO: )?(?:Allocated|Freed) in \S+(?: \[\w+\])? age=\d+ cpu=\d+")
_NO_STACK = lazy_pattern(r"\(stack is not available\)|stack is not available|<no backtrace>")
_END = lazy_pattern(
    r"---\[ end (?:trace|Kernel panic)|^---\[ end|Rebooting in \d+ seconds|^\(XEN\) |^<<<<<+"
    r"|^={60,}$"
)
_INTERRUPT = lazy_pattern(
    r"--- (?:interrupt|Exception|Interrupt)(?:: *[0-9a-f]+)? (?:at|\("
    r"|#\d).*?(?P<where>[\w.$]+\+0x[0-9a-f]+/0x[0-9a-f]+.*)"
)
# The segment tells registers of an interrupted context from the line at a report's end; crash(8)
# says `[exception RIP: `.
_INTERRUPTED = lazy_pattern(r"IP: *(?:00?\d0|e030):|\[exception [RE]?IP")
_CODE = lazy_pattern(r"(?:Code|Krnl Code|Instruction dump|Code bytes):(?P<bytes>.*)$")
_CODE_NEXT = lazy_pattern(
    r"[ \t]*(?:[<(]?[0-9a-f]{2,16}[>)]?[ \t]+){3,}[<(]?[0-9a-f]{0,16}[>)]?[ \t]*$"
)
# s390 disassembles by itself, a line an instruction
_CODE_S390 = lazy_pattern(r"[ \t]*[#>]?[ \t]*[0-9a-f]{16}: [0-9a-f]{4,12}[ \t]")
# Messages that come with a backtrace of their own, and are no crashes.
_FOREIGN = lazy_pattern(
    r"FAULT_INJECTION: forcing a failure|FAULT_FLAG_ALLOW_RETRY missing"
    r"|vmalloc: allocation failure|page allocation failure"
)


# kernel/rcu/tree_stall.h rcu_check_gp_kthread_starvation(): the stack of who waits for the CPUs,
# before those of the CPUs; announced since 4.16, by sched_show_task() alone until then
_BYSTANDER = lazy_pattern(
    r"kthread stack dump|^(?:task:)?rcu_(?:sched|preempt|bh) +(?:state:)?[A-Z]\s"
)


# arch/arm/kernel/traps.c dump_backtrace_stm(): what a frame of the backtrace saved, not who ran
_SAVED = lazy_pattern(r"[ \t]+r\d{1,2}:[0-9a-f]{8}\b")


@dataclass(slots=True)
class Trace:
    """One backtrace of a report.

    :param head: the line that announces it (``Call Trace:``, ``Freed by task 12:``), "" if none
    :param call: it is the stack of who ran into the trouble, as opposed to a sanitizer's memory of
        who allocated and freed, or lockdep's chains
    :param line: where its head stands in the body
    """

    head: str
    call: bool
    line: int
    frames: list[Frame] = field(default_factory=list)
    unavailable: bool = False
    outermost: Frame | None = None
    """The last caller of an arm backtrace, which no line of its own names."""

    def reliable(self) -> list[Frame]:
        """The frames the kernel vouches for; all of them where it vouches for none."""
        good = [frame for frame in self.frames if frame.reliable] or list(self.frames)
        if self.outermost is not None:
            good.append(self.outermost)
        return good


class Body:
    """The lines of one report, read as they come.

    :param before: lines of the same caller before the first (a failed condition, a SysRq)
    :param head: the line that names the crash
    """

    def __init__(self, head: Line, before: Sequence[Line] = ()) -> None:
        self.head = head
        self.before = tuple(before)
        self.lines: list[Line] = [head]
        self.traces: list[Trace] = []
        self.has_trace = False
        """Whether a backtrace with a frame was read."""
        self.facts = Facts()
        self.registers: dict[str, int] = {}
        self.instruction: Frame | None = None
        self.later_instruction: Frame | None = None
        self.pointer = ""
        self.user_fault = False
        self.code = ""
        self.panic: str | None = None
        self.foreign_stack = False
        self.disturbed: str | None = None
        self.first_line = self.before[0].number if self.before else head.number
        self.last_line = head.number
        self.highest_line = head.number
        self.ended = False
        self.asked_for = False
        """SysRq said before that somebody asked for a crash."""
        self._current: Trace | None = None
        self._section: tuple[str, int] | None = None
        self._waiting: Instruction | None = None
        self._in_code = False
        self._of_user = False
        self._register_line = 0
        self._pointer_line = 0
        self._bystander = False
        self._end_line: int | None = None
        self._caller: Frame | None = None
        for line in self.before:
            self.facts.read(line.text)
        self.facts.headline(head.text)
        self._read_instruction(head.text)
        if head.text.endswith("RIP:"):  # 2.6.18: the location is on the next line
            self._waiting = Instruction(Frame(), waits=True)

    def texts(self) -> list[str]:
        """The texts of all lines from the head on."""
        return [line.text for line in self.lines]

    def window(self, count: int = 60) -> str:
        """The first ``count`` lines, joined: where patterns over several lines look."""
        return "\n".join(line.text for line in self.lines[:count])

    def calls(self) -> list[Trace]:
        """The backtraces of those who ran into the trouble, in order."""
        found = [trace for trace in self.traces if trace.frames and trace.call]
        return found or [trace for trace in self.traces if trace.frames]

    def is_over(self, line: Line) -> bool:
        """Whether ``line`` stands too far behind the report's own end to be of it."""
        return self._end_line is not None and line.number > self._end_line + _AFTER_END

    def add(self, line: Line, seen: Sight) -> None:
        """Take in the next line, which shows ``seen``, unless the report ended long before it."""
        if self.is_over(line):
            return
        if line.torn and line.time is None and self.head.time is not None:
            return  # a program's output, cut off by the kernel's, which stamps its lines
        self.lines.append(line)
        if line.text and self._read(line.text, seen):
            self.last_line = line.number
            # pstore's parts stand in a file in another order than they were printed in
            self.first_line = min(self.first_line, line.number)
            self.highest_line = max(self.highest_line, line.number)

    def _read(self, text: str, seen: Sight) -> bool:
        if self._waiting is not None and self._resume_instruction(text):
            return True
        if seen.alone:
            return self._take_frames(seen.frames, text)
        cues = seen.cues
        if cues & END and _END.search(text):
            return self._end(text)
        if _SLUB_TRACK.match(text):
            self._announce(text, call=False)
            return True
        if cues & (STACK | NO_STACK) and self._read_stack_head(text):
            return True
        if seen.frames:
            return self._take_frames(seen.frames, text)
        if text.startswith("---") and self._read_interrupt(text):
            return True
        if (cues & CODE or self._in_code) and self._read_code(text):
            return True
        if cues & POINTER and self._read_instruction(text):
            return True
        found = self.facts.read(text)
        found |= bool(cues & BELONGS)
        found |= self._read_registers(text)
        self._read_section(text, found)
        if cues & FOREIGN and _FOREIGN.search(text):
            self.foreign_stack |= not self.has_trace or "FAULT_INJECTION" in text
        if cues & BYSTANDER and _BYSTANDER.search(text) and "INFO: task" not in self.head.text:
            self._section = (text.strip(), len(self.lines) - 1)
            self._bystander = True
        return found

    def _end(self, text: str) -> bool:
        """Whether the line that ends the report is still of it."""
        if "---[ end" not in text:
            return False
        self.ended = True
        self._end_line = self.lines[-1].number
        self._current = None
        self._section = None
        return True

    def _read_section(self, text: str, known: bool) -> None:
        """Take note of a line that says what the backtrace after it is."""
        if text.startswith(("page", "Page")) and _PAGE_OWNER.match(text):
            self._section = (text.strip(), len(self.lines) - 1)
        elif not known:
            chain = "-> #" in text and _LOCK_DEPENDENCY.match(text) is not None
            if chain or (text.endswith(":") and _SECTION.match(text)):
                self._section = (text.strip(), len(self.lines) - 1)
            if chain:
                self._current = None

    def _read_stack_head(self, text: str) -> bool:
        match = _STACK_HEAD.search(text) if ":" in text else None
        if match is not None and self.ended:
            self._end_line = -_AFTER_END  # another message's
            return False
        if match is None:
            if _NO_STACK.search(text):
                self._announce(text, call=False).unavailable = True
                return True
            return False
        if "Breaking-Event" in text:
            self._section = None
            self._current = None
            return True
        call = _CALL_STACK.search(text) is not None
        if not call:  # lockdep's `stack backtrace:`; `Call Trace:` follows on most architectures
            self._announce(text, call=True)
            return True
        # kmemleak's `  backtrace (crc 1234):` and every `Call Trace:` of a report
        self._announce(text, call=True)
        frames = frames_in(match["rest"])
        if frames:
            self._take_frames(tuple(frames), match["rest"])
        return True

    def _announce(self, text: str, *, call: bool) -> Trace:
        # KASAN prints whose memory it was without `Call Trace:`, so a section's name says it.
        self._caller = None
        trace = Trace(text.strip(), call and not self._bystander, len(self.lines) - 1)
        self._bystander = False
        self.traces.append(trace)
        self._current = trace
        self._section = None
        return trace

    def _read_interrupt(self, text: str) -> bool:
        """powerpc's line between two stacks says where the interrupt came."""
        inside = _INTERRUPT.search(text)
        frames = frames_in(inside["where"]) if inside is not None else []
        return bool(frames) and self._take_frames(tuple(frames), text)

    def _take_frames(self, frames: tuple[Frame, ...], text: str) -> bool:
        if self._section is not None:
            head, number = self._section
            self._section = None
            self._current = Trace(head, not _remembered(head), number)
            self.traces.append(self._current)
        elif self._current is None:
            if self.ended:
                return True
            self._current = Trace("", True, len(self.lines) - 1)
            self.traces.append(self._current)
        stack = self._current.frames
        if len(frames) == 2 and " from " in text:
            frames = self._arm_frames(frames, stack)
        for frame in frames:
            if frame.function is not None and frame.function.startswith("should_fail"):
                self.foreign_stack = True
            if len(stack) < MAX_FRAMES:
                stack.append(frame)
                self.has_trace = True
        return True

    def _arm_frames(self, frames: tuple[Frame, ...], stack: list[Frame]) -> tuple[Frame, ...]:
        """arm names every function twice, as caller on one line and as callee on the next.

        The first time tells where in it the call stood, so that one counts; the outermost caller
        (the vector or the entry) is on no second line and is left out.
        """
        callee, caller = frames
        before = self._caller
        self._caller = caller
        if self._current is not None:
            self._current.outermost = caller
        if before is not None and (before.inline or before.function == callee.function):
            return (before,)
        if stack and stack[-1].function == callee.function:
            return ()
        return (callee,)

    def _read_code(self, text: str) -> bool:
        match = _CODE.search(text) if ":" in text else None
        if match is not None:
            # since 4.18 user space's stands right behind its RIP; before, the kernel's came last
            of_user = self._of_user and len(self.lines) <= self._pointer_line + 2
            self._in_code = not self.code and not of_user
            if self._in_code:
                self.code = match["bytes"].strip()
            return True
        if self._in_code:
            if _CODE_NEXT.match(text) and len(self.code) < 4096:
                self.code += " " + text.strip()
                return True
            if _CODE_S390.match(text) and len(self.code) < 4096:
                self.code += "\n" + text.strip()
                return True
            self._in_code = False
        return False

    def _read_instruction(self, text: str) -> bool:
        found = instruction_in(text)
        if found is None:
            return False
        if found.waits:
            self._waiting = found
        self._place(found, text)
        self._read_registers(text)
        return True

    def _read_registers(self, text: str) -> bool:
        """Registers of the kernel; of several sets, the first.

        Below a backtrace, user space's follow upon its instruction pointer (x86's show_regs).
        """
        if self.has_trace and _SAVED.match(text):
            return True
        again = self.has_trace and self.registers and self._register_line < len(self.lines) - 2
        known = {} if again or self._of_user else self.registers
        found = registers_in(text, known)
        if found and known is self.registers:
            self._register_line = len(self.lines)
        return found

    def _place(self, found: Instruction, text: str) -> None:
        running = self._current is not None and bool(self._current.frames)
        self._of_user = found.user and (running or bool(self.registers))
        self._pointer_line = len(self.lines)
        if found.user:
            if not running and self.instruction is None:
                self.user_fault = True
            return
        if found.frame.function is None and self.instruction is not None and not running:
            return
        if running and not self.ended:
            # The registers of an interrupted context stand in the middle of its stack: the frame
            # after them is printed as a guess (`? `) or not at all.
            if self.later_instruction is None:
                self.later_instruction = found.frame
            if found.frame.function and self._current is not None and _INTERRUPTED.search(text):
                self._current.frames.append(found.frame)
        elif self.instruction is None or self.instruction.function is None:
            self.instruction = found.frame
            self.pointer = "rip" if re.search(r"\bE?R?IP\b", text) else ""

    def _resume_instruction(self, text: str) -> bool:
        """Whether ``text`` is the location that the instruction pointer's line lacked."""
        waiting = self._waiting
        self._waiting = None
        frames = frames_in(" " + text.lstrip())
        if waiting is None or not frames or frames[0].function is None:
            return False
        named = frames[0]
        if self.instruction is None or self.instruction.function is None:
            address = waiting.frame.address if named.address is None else named.address
            self.instruction = Frame(
                function=named.function,
                offset=named.offset,
                size=named.size,
                module=named.module,
                address=address,
            )
            self.pointer = "rip"
        return True


def _remembered(head: str) -> bool:
    """A stack out of a sanitizer's or lockdep's memory, not of who runs now."""
    return bool(
        re.match(
            r"(?:Allocated|Freed|Last potentially|Second to last|Uninit was|allocated by|freed by|"
            r"Local variable|Bytes? |hardirqs |softirqs |-> #|.*(?:irq event|ON-W|ON-R| at:$)|"
            r"(?:the )?(?:existing|shortest|second|SOFTIRQ|HARDIRQ)|[Pp]age (?:last|allocated)"
            # kernel/sched/core.c __schedule_bug, __might_sleep: where, not how one came there
            r"|page_owner|Object |INFO: (?:Alloc|Freed)|Preemption disabled at)",
            head,
        )
    )
