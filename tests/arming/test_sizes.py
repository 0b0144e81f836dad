"""What kernels make of crashkernel= (Documentation/admin-guide/kdump/kdump.rst)."""

from __future__ import annotations

import pytest

from kautopsy.arming.sizes import MIB, asked_for, in_range, mib, size_of

GIB = 1024 * MIB


@pytest.mark.parametrize(
    ("values", "ram", "wanted"),
    [
        (["256M"], GIB, 256),
        (["128M@16M"], GIB, 128),
        (["512M-2G:64M,2G-:128M"], GIB, 64),
        (["512M-2G:64M,2G-:128M"], 2 * GIB, 128),
        (["512M-2G:64M,2G-:128M"], 256 * MIB, 0),
        (["384M-:128M"], 384 * MIB, 128),
        (["1G-4G:192M,4G-64G:256M,64G-:512M@16M"], 64 * GIB, 512),
        (["300M,high", "72M,low"], GIB, 372),
        (["300M,high"], GIB, 300),
        (["64M", "128M"], GIB, 128),
        (["128M", "1G,cma"], GIB, 128),
        (["auto"], GIB, None),
        ([], GIB, None),
        (["1G-4G"], GIB, None),
        (["9" * 5000], GIB, None),
    ],
)
def test_what_is_asked_for(values: list[str], ram: int, wanted: int | None) -> None:
    got = asked_for(values, ram)
    assert got == (None if wanted is None else wanted * MIB)


def test_sizes_and_ranges() -> None:
    assert size_of("1k") == 1024
    assert size_of("M") is None
    assert in_range("2G-4G:256M", 4 * GIB) == 0
    assert in_range("nonsense", GIB) is None
    assert mib(MIB + 1) == "2 MiB"
