"""Machine checks, firmware's errors and NMIs: what the machine itself reports."""

from __future__ import annotations

import re

from kautopsy.model.crash import Kind, Trigger
from kautopsy.oops.body import Body
from kautopsy.oops.families.base import Name, report


@report(
    "machine-check",
    # arch/x86/kernel/cpu/mce/core.c print_mce; arch/powerpc machine_check_exception; s390 mcck
    r"\[Hardware Error\]: (?:CPU \d+: )?Machine Check(?: Exception)?: ?\S"
    r"|CPU \d+: Machine Check Exception: "
    r"|Oops: Machine check, sig|\bMachine check in kernel mode"
    r"|HARDWARE ERROR\. This is \*NOT\* a software problem|^HARDWARE ERROR$"
    r"|Caught Machine Check exception"  # mips
    r"|NON-RESUMABLE ERROR: Reporting on cpu"  # sparc64
    # arch/powerpc/kernel/mce.c machine_check_print_event_info()
    r"|Severe Machine check interrupt \[Not recovered\]"
    r"|machine check \(Severe\).*\[Not recovered\]",
    detail_of=("machine-check",),
    takes_over=("mce-logged",),
    words=("HARDWARE ERROR", "NON-RESUMABLE ERROR", "achine Check", "achine check"),
)
def _machine_check(match: re.Match[str], body: Body) -> Name:
    return _mce(body)


def _mce(body: Body) -> Name:
    text = body.window(40)
    bank = re.search(r"Bank (\d+): ([0-9a-f]+)", text)
    title = "Machine Check Exception"
    if bank is not None:
        title += f": bank {bank[1]}"
    return Name(
        kind=Kind.MACHINE_CHECK,
        title=title,
        titles=("Machine Check Exception",),
        trigger=Trigger.MACHINE_CHECK if body.panic else None,
        needs_trace=False,
    )


@report(
    "mce-logged",
    r"\[Hardware Error\]: Machine check events logged|Machine check events logged",
    detail_of=("machine-check",),
    words=("Machine check events logged",),
)
def _mce_logged(match: re.Match[str], body: Body) -> Name:
    return Name(kind=Kind.MACHINE_CHECK, title="Machine check events logged", needs_trace=False)


@report(
    "ghes",
    r"\{\d+\}\[Hardware Error\]: (?:Hardware error from APEI|event severity: (?:fatal"
    r"|recoverable))|\[Hardware Error\]: Hardware error from APEI"
    # drivers/acpi/apei/bert.c: what firmware kept of how the boot before ended
    r"|BERT: Error records from previous boot",
    detail_of=("ghes", "machine-check"),
    words=(
        "BERT: Error records from previous boot",
        "[Hardware Error]: Hardware error from APEI",
        "}[Hardware Error]: ",
    ),
)
def _ghes(match: re.Match[str], body: Body) -> Name:
    text = body.window(40)
    what = re.search(r"section_type: ([^\n]+)", text)
    title = "Hardware error from APEI"
    if what is not None:
        title += f": {what[1].strip()}"
    return Name(
        kind=Kind.MACHINE_CHECK,
        title=title,
        trigger=Trigger.MACHINE_CHECK if body.panic else None,
        needs_trace=False,
    )


@report(
    "softdog",
    r"softdog: Initiating system (?:reboot|panic)",
    words=("softdog: Initiating system ",),
)
def _softdog(match: re.Match[str], body: Body) -> Name:
    """drivers/watchdog/softdog.c: nobody fed it, and the machine goes down."""
    return Name(
        kind=Kind.WATCHDOG,
        title="softdog: nobody fed the watchdog",
        trigger=Trigger.WATCHDOG,
        needs_trace=False,
    )


@report(
    "nmi",
    # arch/x86/kernel/nmi.c unknown_nmi_error, pci_serr_error, io_check_error
    r"NMI received for unknown reason|NMI: PCI system error \(SERR\)|NMI: IOCK error"
    r"|NMI: Memory parity error"
    r"|Uhhuh\. NMI received",
    detail_of=("nmi",),
    words=(
        "NMI received for unknown reason",
        "NMI: IOCK error",
        "NMI: Memory parity error",
        "NMI: PCI system error (SERR)",
        "Uhhuh. NMI received",
    ),
)
def _nmi(match: re.Match[str], body: Body) -> Name:
    text = match.group()
    if "SERR" in text:
        title = "NMI: PCI system error (SERR)"
    elif "IOCK" in text:
        title = "NMI: IOCK error"
    elif "parity" in text:
        title = "NMI: memory parity error"
    else:
        title = "NMI received for unknown reason"
    return Name(
        kind=Kind.HARDWARE_NMI,
        title=title,
        trigger=Trigger.NMI,
        needs_trace=False,
    )
