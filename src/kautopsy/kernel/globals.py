"""Global variables whose types a dump may not know by name."""

from __future__ import annotations

from drgn import Object, Program


def variable(program: Program, name: str, type_name: str) -> Object:
    """The global ``name``, with the type that debuginfo gives it, or else ``type_name``.

    BTF has no types for variables that are not per CPU.

    :raises LookupError: the kernel has no such variable, or no such type
    """
    try:
        return program[name]
    except LookupError:
        return Object(program, type_name, address=program.symbol(name).address)


def ticks_per_second(program: Program) -> int:
    """``HZ``, from ``tick_nsec`` (kernel/time/ntp.c): nanoseconds a tick, rounded."""
    nanoseconds = int(variable(program, "tick_nsec", "unsigned long"))
    return round(1e9 / nanoseconds)
