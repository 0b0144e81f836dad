"""The stamps that consoles, syslogs and ``dmesg -T`` write → seconds since 1970.

Forms without a time zone are taken as UTC, those without a year as of the year in which the file
was written, or the one before where that would be after it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_FORMS = (
    "%Y-%m-%d %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%a %b %d %H:%M:%S %Y",
    "%Y %b %d %H:%M:%S",
    "%b %d %Y %H:%M:%S",
)
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?")
_FRACTION = re.compile(r"(?<=:\d\d)[.,]\d+")
_AHEAD = timedelta(days=2)


def seconds_of(stamp: str | None, written: float) -> float | None:
    """When ``stamp`` was; None where it cannot be told (a clock without a date).

    :param written: when the file was, in seconds since 1970
    """
    if not stamp:
        return None
    match = _ISO.fullmatch(stamp)
    if match is not None:
        zone = (match[4] or "+00:00").replace("Z", "+00:00")
        try:
            moment = datetime.fromisoformat(f"{match[1]}T{match[2]}{zone}").timestamp()
        except ValueError:
            return None
        return moment + float(f"0.{match[3] or 0}")
    plain = " ".join(_FRACTION.sub("", stamp).split())
    for form in _FORMS:
        try:
            return datetime.strptime(plain, form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    return _without_year(plain, datetime.fromtimestamp(written, UTC))


def _without_year(plain: str, written: datetime) -> float | None:
    for year in (written.year, written.year - 1):
        try:
            moment = datetime.strptime(f"{year} {plain}", "%Y %b %d %H:%M:%S").replace(tzinfo=UTC)
        except ValueError:
            continue
        if moment <= written + _AHEAD:
            return moment.timestamp()
    return None
