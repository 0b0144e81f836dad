import pytest

from kautopsy.report import units


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (2 << 30, "2 GiB"),
     (511 << 20, "511 MiB"), (5 << 50, "5120 TiB")],
)  # fmt: skip
def test_size(count: int, text: str) -> None:
    assert units.size(count) == text


def test_duration_as_crash_prints_it() -> None:
    assert units.duration(59) == "00:00:59"
    assert units.duration(2 * 86400 + 3 * 3600 + 4 * 60 + 5.9) == "2 days, 03:04:05"


def test_date_of_a_damaged_dump_is_no_exception() -> None:
    assert units.date(0) == "Thu 1970-01-01 00:00:00 UTC"
    assert units.date(1e20) == "100000000000000000000 s since 1970"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ms"), (0.0304, "30 ms"), (9.96, "10.0 s"), (61.4, "61 s"), (120, "2 min"),
     (308.4, "5 min 8 s"), (7199, "119 min 59 s"), (7200, "2 h"), (9000, "2 h 30 min"),
     (172800, "2 days"), (180000, "2 days 2 h"), (-3, "-3.0 s")],
)  # fmt: skip
def test_span(seconds: float, text: str) -> None:
    assert units.span(seconds) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(1, 2, "50%"), (1, 3000, "<0.1%"), (0, 5, "0.0%"), (37, 1000, "3.7%"), (1, 0, "?")],
)
def test_share(part: float, whole: float, text: str) -> None:
    assert units.share(part, whole) == text
