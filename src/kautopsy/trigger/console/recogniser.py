"""From a console's lines to what happens on the machine.

The words are those of the kernel (arch/x86/kernel/nmi.c, drivers/watchdog/hpwdt.c, kernel/panic.c,
drivers/tty/sysrq.c), of makedumpfile (print_info.c: ``%-50s: [%3u.%u %%] %c  %16s``), and of who
runs it: kdump-utils' kdump.sh (``kdump[231]: saving vmcore complete``; before el8
``kdump: saving vmcore complete``), Debian's kdump-config (``kdump-tools: saved vmcore in …``) and
SUSE's kdump-save (``Saved vmcore``) and kdumptool.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from kautopsy.model.trigger import ConsoleEvent, ConsoleEventKind
from kautopsy.trigger.console.recording import ConsoleLine

_LONGEST = 300

_NMI = re.compile(
    r"NMI received for unknown reason [0-9a-f]{2}|NMI: PCI system error|NMI: IOCK error"
    r"|NMI: Memory parity error|hpwdt: .*NMI|An NMI occurred"
)
_IGNORED = re.compile(r"Dazed and confused, but trying to continue|NMI: Strange, .*power saving")
_SYSRQ = re.compile(r"[Ss]ys[Rr]q *: (?:SysRq : )?Trigger a crash(?:dump)?")
_PANIC = re.compile(r"Kernel panic - not syncing:? ?(?P<reason>.*)")
# A fault in the kernel ends it where panic_on_oops is set; the capture kernel then takes over
# before "Kernel panic" is said.
_OOPS = re.compile(
    r"\bBUG: (?:unable to handle|kernel NULL|soft lockup|Bad page|stack guard|TASK stack)|Oops: "
    r"|Unable to handle kernel|general protection fault.*\[#\d+\]|Internal error: .*\[#\d+\]"
)
_VERSION = re.compile(r"(?:^|\] )Linux version \d")
_COMMAND_LINE = re.compile(r"(?:^|\] )(?:Kernel c|C)ommand line: (?P<words>.*)")
_CAPTURE_WORDS = re.compile(
    r"(?:^|\s)(?:elfcorehdr=|reset_devices\b|kdump_needed\b|systemd\.unit=kdump)"
)
_PERCENT = re.compile(r"(?P<what>[A-Z][\w ]*?)\s*: \[\s*(?P<percent>\d{1,3}(?:\.\d)?) ?%\]")
_SAVING = re.compile(
    r"kdump(?:\.sh)?(?:\[\d+\])?: (?:kdump: )?saving (?:vmcore$|to \S)|saving vmcore$"
    r"|running makedumpfile (?!--dump-dmesg)|sending makedumpfile |Saving dump using makedumpfile"
    r"|Saved temporary README"
)
_SAVED = re.compile(
    r"saving vmcore complete|saved vmcore (?:in|via) |(?:^|: )Saved vmcore$"
    r"|vmcore status: saved successfully"
)
_FAILED = re.compile(
    r"saving vmcore failed.*|failed to save vmcore.*|Failed saving vmcore|vmcore status: (?:error"
    r"|deleted).*|makedumpfile scp failed.*|Cannot save core|Failed to start Kdump Vmcore Save"
    r"|Remaining space .* less than KDUMP_FREE_DISK_SIZE|Dump target .* is not mounted"
    r"|(?:kdump: )?error: Dump target .* not|Failed to dump to rootfs|kdump: dump to rootfs failed"
    r"|/proc/vmcore does not exist"
)
_NO_MEMORY = re.compile(
    r"Out of memory(?: and no killable processes|: Kill)|System is deadlocked on memory"
    r"|Initramfs unpacking failed"
)
_NO_SPACE = re.compile(r"No space left on device")
_NO_ROOT = re.compile(
    r"Unable to mount root fs|No working init found|Entering emergency mode|dracut-emergency"
    r"|Warning: /dev/\S+ does not exist|dracut: FATAL|Gave up waiting for (?:root|suspend)"
)
_NO_CAPTURE = re.compile(r"Rebooting in \d+ seconds|---\[ end Kernel panic")
_RESTARTING = re.compile(
    r"reboot: (?:Restarting system|machine restart)|(?:^|\] )Restarting system|Rebooting\.?$"
    r"|systemd-shutdown\[1\]: Rebooting"
)
_FIRMWARE = re.compile(
    r"^SeaBIOS|^BdsDxe|UEFI firmware|^GRUB (?:loading|version)|GNU GRUB  ?version|^iPXE"
    r"|^Booting from|Press .* (?:to enter|for) (?:SETUP|[Bb]oot)|System initializing"
)
_LOGIN = re.compile(r"^\S+ login: ?$|^login: ?$")


@dataclass
class Recogniser:
    """Reads lines in their order; remembers how far the machine has come."""

    _died: bool = False
    _captured: bool = False
    _booting: bool = False
    _percent: float = -1.0
    _seen: set[ConsoleEventKind] = field(default_factory=set)

    def read(self, line: ConsoleLine) -> Iterator[ConsoleEvent]:
        """The events of one line."""
        text = line.text
        for kind, detail, percent in self._recognise(text):
            yield ConsoleEvent(
                kind=kind,
                seconds=round(line.seconds, 3),
                line=text.strip()[:_LONGEST],
                detail=detail.strip()[:_LONGEST],
                percent=percent,
            )

    def prompt(self, line: ConsoleLine) -> Iterator[ConsoleEvent]:
        """Of a line that is not finished: a login prompt, once for every boot."""
        if _LOGIN.search(line.text) and ConsoleEventKind.LOGIN not in self._seen:
            self._seen.add(ConsoleEventKind.LOGIN)
            yield ConsoleEvent(
                kind=ConsoleEventKind.LOGIN,
                seconds=round(line.seconds, 3),
                line=line.text[:_LONGEST],
            )

    def _recognise(self, text: str) -> Iterator[tuple[ConsoleEventKind, str, float | None]]:
        if _LOGIN.search(text):
            yield from self._once(ConsoleEventKind.LOGIN)
            return
        if match := _PERCENT.search(text):
            yield from self._progress(match["what"], float(match["percent"]))
        yield from self._boot(text)
        if not self._captured:
            yield from self._death(text)
        else:
            yield from self._saving(text)
        if _RESTARTING.search(text):
            yield from self._once(ConsoleEventKind.REBOOTING)
        elif _FIRMWARE.search(text):
            # The machine has been reset: what comes is a new life, or the same one's capture.
            if self._died:
                self._died = self._captured = False
            yield from self._once(ConsoleEventKind.FIRMWARE)

    def _death(self, text: str) -> Iterator[tuple[ConsoleEventKind, str, float | None]]:
        if _IGNORED.search(text):
            yield ConsoleEventKind.NMI_IGNORED, "the kernel was not told to panic on it", None
        elif match := _PANIC.search(text):
            if "end Kernel panic" in text:
                yield ConsoleEventKind.SAVE_FAILED, "no capture kernel took over", None
                return
            self._died = True
            if _NMI.search(text):
                yield ConsoleEventKind.NMI_RECEIVED, "", None
            yield ConsoleEventKind.PANIC, match["reason"], None
        elif _NMI.search(text):
            yield ConsoleEventKind.NMI_RECEIVED, "", None
        elif _SYSRQ.search(text):
            self._died = True
            yield ConsoleEventKind.SYSRQ, "", None
        elif _OOPS.search(text):
            self._died = True
            yield ConsoleEventKind.PANIC, "", None
        elif self._died and (match := _NO_CAPTURE.search(text)):
            yield ConsoleEventKind.SAVE_FAILED, "no capture kernel took over", None
        elif _SAVING.search(text) or _SAVED.search(text) or _FAILED.search(text):
            # A quiet capture kernel says nothing of its own before its collector speaks.
            if self._died:
                self._captured = True
                yield ConsoleEventKind.CAPTURE_BOOTED, "", None
            yield from self._saving(text)

    def _saving(self, text: str) -> Iterator[tuple[ConsoleEventKind, str, float | None]]:
        for pattern, reason in (
            (_FAILED, ""),
            (_NO_MEMORY, "the capture kernel ran out of memory: reserve more (crashkernel=)"),
            (_NO_SPACE, "the dump's target is full"),
            (_NO_ROOT, "the capture kernel did not find its root or its target"),
        ):
            if match := pattern.search(text):
                yield ConsoleEventKind.SAVE_FAILED, reason or match[0], None
                return
        if match := _PANIC.search(text):
            if "end Kernel panic" not in text:
                reason = f"the capture kernel panicked itself: {match['reason']}"
                yield ConsoleEventKind.SAVE_FAILED, reason, None
        elif _SAVED.search(text):
            yield from self._once(ConsoleEventKind.SAVED)
        elif _SAVING.search(text):
            yield from self._once(ConsoleEventKind.SAVING)

    def _boot(self, text: str) -> Iterator[tuple[ConsoleEventKind, str, float | None]]:
        """Which kernel starts? Its command line tells; a capture kernel's comes after a death."""
        if _VERSION.search(text):
            self._booting = True
        elif match := _COMMAND_LINE.search(text):
            if not self._booting and self._captured:
                return
            self._booting = False
            if _CAPTURE_WORDS.search(match["words"]):
                if not self._captured:
                    self._captured = self._died = True
                    yield ConsoleEventKind.CAPTURE_BOOTED, "", None
                return
            # x86 says it twice: "Command line:" and later "Kernel command line:".
            if self._died or ConsoleEventKind.BOOTED not in self._seen:
                self._seen.clear()
            yield from self._once(ConsoleEventKind.BOOTED)
            self._died = self._captured = False

    def _progress(
        self, what: str, percent: float
    ) -> Iterator[tuple[ConsoleEventKind, str, float | None]]:
        if not self._captured and self._died:
            self._captured = True
            yield ConsoleEventKind.CAPTURE_BOOTED, "", None
        if what.strip() == "Copying data" and percent >= self._percent + 1:
            self._percent = percent
            yield ConsoleEventKind.SAVING, what.strip(), percent

    def _once(self, kind: ConsoleEventKind) -> Iterator[tuple[ConsoleEventKind, str, float | None]]:
        if kind not in self._seen:
            self._seen.add(kind)
            yield kind, "", None

    def forget(self) -> None:
        """What was seen so far was before the trigger."""
        self._seen.clear()
        self._died = self._captured = self._booting = False
        self._percent = -1.0
