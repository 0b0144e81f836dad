"""What the answer tells of the running kernel and its machine."""

from __future__ import annotations

import re

from kautopsy.arming.answers import Answers, to_int
from kautopsy.model.host import KexecFacts, MemoryFacts, Sysctl, Watchdog

_IOMEM = re.compile(r"^( *)([0-9a-f]{1,16})-([0-9a-f]{1,16}) : (.*?)\s*$")
_ROUND = 128 << 20
_PAGE_ROW = re.compile(r"^(ZERO|NON_PRI_CACHE|PRI_CACHE|USER|FREE|KERN_DATA)\s+(\d+)\s", re.M)


def flag(word: str | None) -> bool | None:
    """``1`` and ``Y`` are true, ``0`` and ``N`` are not."""
    if word is None:
        return None
    return {"1": True, "Y": True, "0": False, "N": False}.get(word)


def config(answers: Answers) -> tuple[str, ...] | None:
    """The options that are y or m, without ``CONFIG_``."""
    said = answers.said.get("config")
    texts = [said.text] if said else []
    texts += [t for p, t in answers.files.items() if p.startswith("/boot/config-")]
    texts += [t for p, t in answers.files.items() if p.endswith("/config") and "/modules/" in p]
    for text in texts:
        options = re.findall(r"^CONFIG_(\w+)=[ym]$", text, re.MULTILINE)
        if options:
            return tuple(options)
    return None


def kexec(answers: Answers, *, live: bool) -> KexecFacts:
    """What the kernel says of its capture kernel."""
    loaded = answers.word("/sys/kernel/kexec_crash_loaded")
    registered = answers.word("/sys/kernel/fadump/registered") or answers.word(
        "/sys/kernel/fadump_registered"
    )
    lockdown = re.search(r"\[(\w+)\]", answers.files.get("/sys/kernel/security/lockdown", ""))
    return KexecFacts(
        supported=loaded is not None if live else True if loaded else None,
        size=answers.number("/sys/kernel/kexec_crash_size"),
        loaded=flag(loaded),
        iomem=_crash_regions(answers),
        fadump=registered == "1",
        lockdown=lockdown[1] if lockdown else None,
        secure_boot=_secure_boot(answers),
    )


def _secure_boot(answers: Answers) -> bool | None:
    said = answers.said.get("secure-boot")
    if said is None:
        return None
    values = dict(line.split(" ", 1) for line in said.lines if " " in line)
    if "SecureBoot" not in values:
        return False
    return values["SecureBoot"].strip() == "1" and values.get("SetupMode", "0").strip() != "1"


def _ranges(answers: Answers, name: str) -> list[tuple[int, int]]:
    """Of /proc/iomem, inclusive; without root all are 0-0, which is as good as none."""
    found = []
    for line in answers.files.get("/proc/iomem", "").split("\n"):
        match = _IOMEM.match(line)
        if match and match[4] == name and int(match[3], 16):
            found.append((int(match[2], 16), int(match[3], 16)))
    return found


def _crash_regions(answers: Answers) -> int | None:
    if not _ranges(answers, "System RAM"):
        return None
    return sum(end - start + 1 for start, end in _ranges(answers, "Crash kernel"))


def memory(answers: Answers) -> MemoryFacts:
    """Sizes of RAM and of the kernel's image."""
    match = re.search(r"^MemTotal:\s+(\d{1,15}) kB", answers.files.get("/proc/meminfo", ""), re.M)
    total = int(match[1]) << 10 if match else None
    ranges = _ranges(answers, "System RAM")
    ram = sum(end - start + 1 for start, end in ranges)
    if ram:
        ram = -(-ram // _ROUND) * _ROUND
    elif total:
        ram = -(-total // _ROUND) * _ROUND
    log = answers.said.get("log")
    savable, excluded = _savable(answers)
    return MemoryFacts(
        total=total,
        ram=ram or None,
        kernel=_kernel_bytes(answers),
        savable=savable,
        free_excluded=excluded,
        encrypted=bool(
            log
            and re.search(
                r"Memory Encryption Features active|\bSEV(?:-ES|-SNP)? (?:active|guest)",
                log.text,
            )
        ),
    )


def _kernel_bytes(answers: Answers) -> int | None:
    parts = [
        r
        for name in ("Kernel code", "Kernel rodata", "Kernel data", "Kernel bss")
        for r in _ranges(answers, name)
    ]
    if parts:
        return max(end for _, end in parts) - min(start for start, _ in parts) + 1
    # Packed images unpack to about three times their size: 14.1 MB are 40 MiB on Debian 6.1.
    release = answers.line("kernel")
    for path in (f"/boot/vmlinuz-{release}", f"/lib/modules/{release}/vmlinuz"):
        if path in answers.stats:
            return 3 * answers.stats[path].size
    return None


def _savable(answers: Answers) -> tuple[int | None, bool | None]:
    """Of ``makedumpfile --mem-usage``: what level 31 keeps, and whether it knows free pages."""
    said = answers.said.get("mem-usage")
    if said is None or said.status:
        return None, None
    rows = {name: int(count[:18]) for name, count in _PAGE_ROW.findall(said.text)}
    size = re.search(r"[Pp]age size:\s*(\d{1,8})", said.text)
    page = int(size[1]) if size else to_int(answers.line("page-size")) or 4096
    if "KERN_DATA" not in rows:
        return None, None
    return rows["KERN_DATA"] * page, rows.get("FREE", 0) > 0


def sysctls(answers: Answers) -> tuple[Sysctl, ...]:
    """What could be read below /proc/sys."""
    return tuple(
        Sysctl(name=path.removeprefix("/proc/sys/").replace("/", "."), value=text.strip())
        for path, text in answers.files.items()
        if path.startswith("/proc/sys/")
    )


def watchdogs(answers: Answers) -> tuple[Watchdog, ...] | None:
    """Of /sys/class/watchdog; ``state`` is there from 4.5 on."""
    said = answers.said.get("watchdogs")
    if said is None:
        return None
    found = []
    for line in said.lines:
        name, state, driver, timeout, identity = ([*line.split(" ", 4), "", "", "", ""])[:5]
        found.append(
            Watchdog(
                name=name,
                active={"active": True, "inactive": False}.get(state),
                driver="" if driver == "-" else driver,
                timeout=to_int(timeout),
                identity=identity.strip(),
            )
        )
    return tuple(found)


def nmi_counts(answers: Answers) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The NMI line of /proc/interrupts, twice; None where there is none (arm64)."""
    both = []
    for name in ("first-nmi", "second-nmi"):
        numbers = [int(word[:18]) for word in answers.line(name).split() if word.isdecimal()]
        if not numbers:
            return None
        both.append(tuple(numbers))
    return both[0], both[1]


def consoles(answers: Answers) -> tuple[str, ...] | None:
    """Of /proc/consoles (2.6.38): ``ttyS0``; before, of console= on the command line."""
    if text := answers.files.get("/proc/consoles"):
        return tuple(line.split()[0] for line in text.splitlines() if line.strip())
    if (line := answers.files.get("/proc/cmdline")) is None:
        return None
    return tuple(w[8:].split(",")[0] for w in line.split() if w.startswith("console="))


def module_names(answers: Answers) -> tuple[str, ...] | None:
    """The loaded modules."""
    text = answers.files.get("/proc/modules")
    if text is None:
        return None
    return tuple(line.split()[0] for line in text.splitlines() if line.strip())


def cpu_count(answers: Answers) -> int | None:
    """Online CPUs, of ``0-3,8``."""
    count = 0
    for part in (answers.word("/sys/devices/system/cpu/online") or "").split(","):
        first, _, last = part.partition("-")
        start, end = to_int(first), to_int(last or first)
        if start is None or end is None or end < start:
            return None
        count += end - start + 1
    return count or None


def machine_of(answers: Answers) -> str:
    """Of a tree: the architecture its kernel was built for, by its build options."""
    for option, machine in (
        ("X86_64", "x86_64"),
        ("ARM64", "aarch64"),
        ("PPC64", "ppc64le"),
        ("S390", "s390x"),
    ):
        if option in (config(answers) or ()):
            return machine
    return answers.line("kernel").rpartition(".")[2] if ".el" in answers.line("kernel") else ""
