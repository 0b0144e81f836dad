"""What can go wrong with a guest."""

from __future__ import annotations

from collections.abc import Sequence

from kautopsy.model.errors import ExitCode, KautopsyError, UnreachableError

_TAIL = 6


class LabError(KautopsyError):
    """The lab cannot give what was asked for: no such package, no such module, no room."""

    slug = "lab"


class NoKernelError(LabError):
    """A kernel, or one of its packages, cannot be had."""

    slug = "no-such-kernel"
    exit_code = ExitCode.USAGE


class NoModuleError(LabError):
    """A kernel has no module of that name."""

    slug = "no-such-module"
    exit_code = ExitCode.USAGE


class GuestLostError(UnreachableError):
    """A guest ended, or fell silent, before it reached the state that was asked for."""

    slug = "guest-lost"


class GuestCommandError(LabError):
    """A command in a guest ended with another status than 0."""

    slug = "guest-command-failed"


class ArmingError(LabError):
    """kexec did not load the capture kernel."""

    slug = "not-armed"


class CaptureError(LabError):
    """The machine died as it should, and its capture kernel left no complete dump."""

    slug = "capture-failed"


def console_tail(lines: Sequence[str], count: int = _TAIL) -> str:
    """The last lines of a console, for a hint."""
    shown = [line.strip() for line in lines if line.strip()][-count:]
    return "last console lines: " + " | ".join(shown) if shown else "the console is empty"
