"""Would the machine's kernel panic on what a way sends it?"""

from __future__ import annotations

from dataclasses import dataclass

from kautopsy.trigger.look import Look
from kautopsy.trigger.way import Effect

_SYSRQ_DUMP = 8
"""SYSRQ_ENABLE_DUMP (include/linux/sysrq.h): the bit of kernel.sysrq that c needs, from a key."""
NMI_FIX = "sysctl -w kernel.unknown_nmi_panic=1, and a line of it in /etc/sysctl.d"


@dataclass(frozen=True)
class Obedience:
    """``obeyed`` is None where nobody could ask."""

    obeyed: bool | None
    why: str


def would_obey(effect: Effect, look: Look | None) -> Obedience:
    """What ``look`` says of ``effect``."""
    if look is None:
        return Obedience(None, "the machine does not answer: nobody can tell")
    if effect is Effect.SYSRQ_WRITE:
        return Obedience(True, "root may always; kernel.sysrq does not matter here")
    if effect is Effect.SYSRQ_KEY:
        return _key(look)
    return _nmi(look)


def _key(look: Look) -> Obedience:
    if look.sysrq is None:
        return Obedience(None, "kernel.sysrq cannot be read")
    if look.sysrq == 1 or look.sysrq & _SYSRQ_DUMP:
        return Obedience(True, f"kernel.sysrq = {look.sysrq}")
    return Obedience(
        False,
        f"kernel.sysrq = {look.sysrq} does not allow c from a console; fix: sysctl -w"
        f" kernel.sysrq={look.sysrq | _SYSRQ_DUMP}",
    )


def _nmi(look: Look) -> Obedience:
    """arch/x86/kernel/nmi.c: unknown_nmi_error(), pci_serr_error(), io_check_error()."""
    if look.machine == "s390x":
        return Obedience(True, "the restart interrupt runs kdump on s390")
    if look.machine.startswith("ppc"):
        return Obedience(True, "a system reset ends in die() on powerpc")
    if not look.x86:
        return Obedience(
            None, f"{look.machine} has no NMI of this kind: only SDEI or pseudo-NMI firmware obeys"
        )
    told = [
        name
        for name, value in (
            ("kernel.unknown_nmi_panic", look.unknown_nmi_panic),
            ("kernel.panic_on_unrecovered_nmi", look.panic_on_unrecovered_nmi),
        )
        if value
    ]
    if told:
        return Obedience(True, f"{' and '.join(told)} = 1")
    if look.hpwdt:
        return Obedience(True, "hpwdt is loaded and panics on the iLO's own NMI")
    if look.unknown_nmi_panic is None:
        return Obedience(None, "kernel.unknown_nmi_panic cannot be read")
    if look.panic_on_io_nmi:
        return Obedience(
            None,
            "only an I/O check NMI panics (kernel.panic_on_io_nmi = 1): some servers send one for"
            f" their dump button; to be sure: {NMI_FIX}",
        )
    return Obedience(
        False,
        "kernel.unknown_nmi_panic = 0: the kernel would say “Dazed and confused” and go on; fix: "
        + NMI_FIX,
    )
