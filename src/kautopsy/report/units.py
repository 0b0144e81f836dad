"""Numbers as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def size(count: float) -> str:
    """Bytes with a binary unit: ``1.5 GiB``."""
    power = max(0, min((int(count).bit_length() - 1) // 10, len(_UNITS) - 1))
    unit = _UNITS[power]
    count /= 1024**power
    return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.3g} {unit}"


def duration(seconds: float) -> str:
    """``3 days, 04:05:06``, as crash prints an uptime."""
    days, rest = divmod(int(seconds), 86400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    if not days:
        return clock
    return f"{days} day{'s' if days > 1 else ''}, {clock}"


def date(seconds: float) -> str:
    """Seconds since the Unix epoch in UTC; what a damaged dump claims may be no date at all."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%a %Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{seconds:.0f} s since 1970"


def span(seconds: float) -> str:
    """How long something lasts, in the unit that fits: ``850 ms``, ``124 s``, ``2 h 5 min``."""
    if seconds < 0:
        return f"-{span(-seconds)}"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    for name, size, below, below_size in (
        ("days", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if seconds >= 2 * size:
            count, rest = divmod(int(seconds), size)
            rest //= below_size
            return f"{count} {name} {rest} {below}" if rest else f"{count} {name}"
    return f"{seconds:.0f} s"


def share(part: float, whole: float) -> str:
    """``part`` of ``whole`` in percent; what is there but tiny is not called nothing."""
    if whole <= 0:
        return "?"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "<0.1%"
    return f"{percent:.1f}%" if percent < 10 else f"{percent:.0f}%"
