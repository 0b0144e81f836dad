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
