"""What every way to panic a machine has in common."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Effect(StrEnum):
    """What reaches the kernel."""

    NMI = "nmi"
    """An NMI that no driver claims: the kernel must have been told to panic on it."""
    SYSRQ_WRITE = "sysrq-write"
    """A write to /proc/sysrq-trigger: root may always, whatever kernel.sysrq says."""
    SYSRQ_KEY = "sysrq-key"
    """BREAK and c on a serial console: kernel.sysrq must have its bit 8."""


@dataclass(frozen=True)
class Ability:
    """Whether a way is open; ``possible`` is None where nobody could ask."""

    possible: bool | None
    why: str


@dataclass(frozen=True)
class Whose:
    """Which machine a controller says it controls.

    :param by: the controller, for people
    :param serials: of the system, its chassis or its board: makers put the DMI's in any of them
    :param names: host names it has been told; a hint, no proof
    :param pinned: it takes no address but the identity itself (a cloud's instance, a domain's
        name), which the inventory binds to one machine
    """

    by: str
    serials: tuple[str, ...] = ()
    uuid: str | None = None
    names: tuple[str, ...] = ()
    pinned: str = ""


class Way(Protocol):
    """One way.

    :ivar name: as ``--via`` takes it
    :ivar effect: what reaches the kernel
    :ivar what: the command or call, for people; no secret is in it
    """

    name: str
    effect: Effect
    what: str

    def can(self) -> Ability:
        """Whether it would work now, asked without doing anything.

        :raises KautopsyError: whoever speaks for the machine does not answer, or refuses us
        """

    def whose(self) -> Whose | None:
        """Which machine it reaches; None for a way that goes through the machine itself."""

    def fire(self) -> str:
        """Do it; what the controller said. Success means only that it was told.

        :raises KautopsyError: it was refused, or not told
        """
