"""Global variables whose types a dump may not know by name."""

from __future__ import annotations

from drgn import Object, Program
from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns


def variable(program: Program, name: str, type_name: str) -> Object:
    """The global ``name``, with the type that debuginfo gives it, or else ``type_name``.

    BTF has no types for variables that are not per CPU.

    :raises LookupError: the kernel has no such variable, or no such type
    """
    try:
        return program[name]
    except LookupError:
        return Object(program, type_name, address=program.symbol(name).address)


_RATES = (250, 1000, 100, 300)


def ticks_per_second(program: Program) -> int:
    """``HZ``.

    From ``tick_nsec`` (kernel/time/ntp.c), nanoseconds a tick; since v6.13 that is a member of a
    static struct, and the uptime tells instead: ``jiffies_64`` starts at ``INITIAL_JIFFIES``, which
    is -300 × HZ as 32 bits (include/linux/jiffies.h).

    :raises LookupError: neither can be had
    """
    known = program.cache.get("kautopsy_hz")
    if known is None:
        known = program.cache["kautopsy_hz"] = _ticks_per_second(program)
    return int(known)


def _ticks_per_second(program: Program) -> int:
    try:
        return round(1e9 / int(variable(program, "tick_nsec", "unsigned long")))
    except LookupError:
        ticks = int(variable(program, "jiffies_64", "unsigned long")) - (1 << 32)
        uptime = int(ktime_get_coarse_ns(program)) / 1e9
        best = min(_RATES, key=lambda rate: abs(ticks / rate + 300 - uptime))
        # Ticks come later than the clock, by seconds where a machine boots slowly.
        if abs(ticks / best + 300 - uptime) > 30 + uptime / 50:
            raise LookupError("HZ") from None
        return best
