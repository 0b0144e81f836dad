"""What a report says beside its backtrace: CPU, task, taint, release, hardware, modules."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from kautopsy.model.crash import TaskRef
from kautopsy.model.lazy import lazy_pattern
from kautopsy.oops.taint import taint_in

_NUMBER = r"-?\d{1,10}"
# dump_stack_print_info (lib/dump_stack.c): since 3.9 `CPU: 1 PID: 2 Comm: sh`, since 6.10 with UID
_CPU_PID_COMM = lazy_pattern(
    rf"CPU:[ \t]*(?P<cpu>{_NUMBER})[ \t]+(?:UID:[ \t]*\d+[ \t]+)?"
    rf"PID:[ \t]*(?P<pid>{_NUMBER})[ \t]+Comm:[ \t](?P<rest>.*)"
)
# before 3.9 `Pid: 21606, comm: sh Tainted: ...`; 2.6.18 without a comm's taint behind a comma
_PID_COMM = lazy_pattern(rf"Pid:[ \t]*(?P<pid>{_NUMBER}),[ \t]*comm:[ \t](?P<rest>.*)")
_COMM_END = lazy_pattern(
    r"[ \t]*(?:Kdump: loaded[ \t]*)?(?:Tainted:|Not tainted)[ \t]*(?P<rest>.*)$|[ \t]+Kdump: loaded"
    r"|[ \t]+(?P<uname>\d\.\d+\.\d+\S* #\d+ .*)$"  # Lustre's libcfs
)
_RELEASE = lazy_pattern(r"(?:^|[\s(\-])(?P<release>\d\.\d{1,3}\.?[\w.+~@-]*)(?:[ \t]|\)|$)")
# 2.6 on i386: `EFLAGS: 00010246   (2.6.6) `
_RELEASE_2_6 = lazy_pattern(r"(?:EFLAGS|eflags):[ \t]*[0-9a-f]{8}[ \t]+\((?P<release>\d[\w.+~-]*)")
_LINUX_VERSION = lazy_pattern(r"Linux version (?P<release>\d[\w.+~@-]*)")
_HARDWARE = lazy_pattern(r"(?:Hardware|Machine)[ \t]name:[ \t]*(?P<name>.*?)[ \t]*$")
_PROCESS = lazy_pattern(
    rf"Process[ \t](?P<comm>.{{1,40}}?)[ \t]*\(pid:[ \t]*(?P<pid>{_NUMBER})(?:,|\))"
)
# crash(8): `PID: 1412   TASK: ffff88003d0b2040  CPU: 0   COMMAND: "bash"`
_CRASH = lazy_pattern(
    r"PID:[ \t]*(?P<pid>\d+)[ \t]+TASK:[ \t]*[0-9a-f]+[ \t]+CPU:[ \t]*(?P<cpu>\d+)[ \t]+"
    r'COMMAND:[ \t]*"(?P<comm>[^"]*)"'
)
# powerpc's show_regs until 5.x: `TASK = cfa5d000[950] 'bash' THREAD: cf9ce000 CPU: 0`
_POWERPC = lazy_pattern(rf"TASK = [0-9a-f]+\[(?P<pid>{_NUMBER})\] '(?P<comm>[^']{{0,32}})'")
_TASK = lazy_pattern(
    rf"\b(?:by task|by|comm:?)[ \t](?P<comm>[^\s].{{0,30}}?)[/](?P<pid>{_NUMBER})\b"
)
# kernel/panic.c notifiers of x86, arm64, riscv, s390: dump_kernel_offset
_OFFSET = lazy_pattern(r"Kernel Offset: (?:(?P<offset>0x[0-9a-f]{1,16})(?: from |$)|disabled)")
# CONFIG_STACKTRACE_BUILD_ID puts the kernel's behind its version (lib/dump_stack.c)
_BUILD_ID = lazy_pattern(r" (?P<id>[0-9a-f]{40})[ \t]*$")
_HUNG = lazy_pattern(
    rf"INFO: task (?P<comm>.{{1,64}}):(?P<pid>{_NUMBER}) (?:blocked|can't die|<.{{1,40}}> blocked)"
)
_LOCKUP = lazy_pattern(
    rf"CPU#(?P<cpu>\d+) stuck for .*?\[(?P<comm>.{{1,64}}?):(?P<pid>{_NUMBER})\]"
)
_WARN_HEAD = lazy_pattern(rf"WARNING: CPU: (?P<cpu>\d+) PID: (?P<pid>{_NUMBER}) at ")
_WARN_TAIL = lazy_pattern(rf", CPU#(?P<cpu>\d+): (?P<comm>.+)/(?P<pid>{_NUMBER})$")
_MODULES = lazy_pattern(r"Modules linked in:(?P<list>.*)$")
_MODULE = lazy_pattern(
    r"(?P<name>[A-Za-z0-9]\w*)(?P<flags>(?:\([^)\s]{0,12}\))*)(?:\([^)\s]{0,12})?,?"
)
_UNLOADED = lazy_pattern(r"[ \t]*\[last unloaded:.*")


@dataclass(slots=True)
class Facts:
    """Grows line by line; the first word on anything counts."""

    cpu: int | None = None
    task: TaskRef | None = None
    tainted: tuple[str, ...] | None = None
    release: str | None = None
    hardware: str | None = None
    build_id: str | None = None
    kernel_offset: int | None = None
    module_flags: dict[str, str] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)
    _in_modules: bool = False
    _modules_done: bool = False

    def read(self, text: str) -> bool:
        """Take in one line; whether there was a fact on it."""
        if self._in_modules:
            if self._continue_modules(text):
                return True
            self._in_modules = False
        found = False
        if "odules linked in" in text and not self._modules_done:
            match = _MODULES.search(text)
            if match is not None:
                self._modules_done = True
                self._in_modules = "[last unloaded" not in text
                self._add_modules(match["list"])
                return True
        if "ainted" in text:
            found |= self._taint(text)
        if "id:" in text or "PID:" in text or "comm" in text or "Comm" in text:
            found |= self._task(text)
        if self.kernel_offset is None and "Kernel Offset" in text:
            match = _OFFSET.search(text)
            if match is not None:
                self.kernel_offset = int(match["offset"] or "0", 16)
                return True
        if self.hardware is None and "ame:" in text:
            match = _HARDWARE.search(text)
            if match is not None:
                self.hardware = match["name"]
                return True
        if self.release is None and "RELEASE: " in text:
            match = re.match(r"[ \t]*RELEASE: (\d[\w.+~@-]*)$", text)
            if match is not None:
                self.release = match[1]
        if self.release is None and ("ersion" in text or "LAGS" in text or "lags" in text):
            match = _RELEASE_2_6.search(text) or _LINUX_VERSION.search(text)
            if match is not None:
                self.release = match["release"]
        if self.cpu is None and ("CPU" in text or "cpu" in text):
            match = re.match(r"[ \t]*CPU:?[ \t]+(\d+)[ \t]*$", text) or re.search(
                r"(?:CPU#|\bCPU: ?|on CPU ?|on cpu |\bCPU (?=\d+(?:: Mach| Unab)))(\d{1,5})\b",
                text,
            )
            if match is not None:
                self.cpu = int(match[1])
                found = True
        if self.task is None and "TASK = " in text:
            match = _POWERPC.search(text)
            if match is not None:
                self.task = TaskRef(pid=int(match["pid"]), comm=match["comm"])
                found = True
        if self.task is None and "/" in text:
            match = _TASK.search(text)
            if match is not None:
                self.task = TaskRef(pid=int(match["pid"]), comm=match["comm"].strip())
        return found

    def headline(self, text: str) -> None:
        """Take in the line that names the crash, which knows its victim best."""
        for pattern in (_HUNG, _LOCKUP, _WARN_HEAD, _WARN_TAIL):
            match = pattern.search(text)
            if match is None:
                continue
            groups = match.groupdict()
            if groups.get("cpu"):
                self.cpu = int(groups["cpu"])
            if groups.get("comm"):
                self.task = TaskRef(pid=int(groups["pid"]), comm=groups["comm"])
            return
        self.read(text)

    def _taint(self, text: str) -> bool:
        letters = taint_in(text)
        if letters is None:
            return False
        if self.tainted is None:
            self.tainted = letters
        if self.build_id is None:
            build_id = _BUILD_ID.search(text)
            self.build_id = build_id["id"] if build_id is not None else None
        if self.release is None:
            behind = re.split(r"ainted(?::[A-Z \-]*)?", text, maxsplit=1)[1]
            match = _RELEASE.search(behind)
            if match is not None:
                self.release = match["release"].rstrip(".")
            else:  # lockdep: `5.4.0-rc1 #3 Not tainted`
                match = re.match(r"[ \t]*(\d\.\d{1,3}[\w.+~@-]*) #", text)
                if match is not None:
                    self.release = match[1]
        return True

    def _task(self, text: str) -> bool:
        match = _CPU_PID_COMM.search(text)
        if match is None:
            match = _PID_COMM.search(text)
        if match is not None:
            rest = match["rest"]
            end = _COMM_END.search(rest)
            comm = rest[: end.start()] if end is not None else rest
            if self.cpu is None and "cpu" in match.groupdict():
                self.cpu = int(match["cpu"])
            if self.task is None:
                self.task = TaskRef(pid=int(match["pid"]), comm=comm.strip()[:64])
            behind = (end["rest"] or end["uname"]) if end is not None else None
            if self.release is None and behind:
                release = _RELEASE.search(" " + behind)
                if release is not None:
                    self.release = release["release"].rstrip(".")
            return True
        match = _CRASH.search(text)
        if match is not None:
            self.cpu = int(match["cpu"])
            self.task = TaskRef(pid=int(match["pid"]), comm=match["comm"])
            return True
        match = _PROCESS.search(text)
        if match is not None and self.task is None:
            self.task = TaskRef(pid=int(match["pid"]), comm=match["comm"])
            return True
        return False

    def _continue_modules(self, text: str) -> bool:
        """A list that the console, netconsole or a mailer wrapped goes on with names alone."""
        words = text.split("[last unloaded", 1)[0].split()
        if not words and "[last unloaded" not in text:
            return False
        if not all(_MODULE.fullmatch(word) for word in words):
            return False
        if words and words[0] in ("CPU", "Pid", "Call", "Process", "NIP", "task"):
            return False
        self._add_modules(text)
        if "[last unloaded" in text:
            self._in_modules = False
        return True

    def _add_modules(self, text: str) -> None:
        for word in _UNLOADED.sub("", text).split():
            match = _MODULE.match(word)
            if match is not None:
                self.modules.append(match["name"])
                if match["flags"]:
                    self.module_flags[match["name"]] = re.sub(r"\W+", "", match["flags"])
