"""Values and strings are found where a byte by byte comparison finds them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kautopsy.shell.needles import Finder, Needle

# Few letters, so that values begin again within themselves and beside multiples of their size.
_MEMORY = st.binary(max_size=96).map(lambda raw: bytes(b"\0\1\xff"[byte % 3] for byte in raw))


def plainly(raw: bytes, value: int, mask: int, size: int) -> list[int]:
    return [
        at
        for at in range(0, len(raw) - size + 1, size)
        if int.from_bytes(raw[at : at + size], "little") & ~mask == value & ~mask
    ]


@settings(max_examples=150, deadline=None)
@given(
    raw=_MEMORY,
    size=st.sampled_from([2, 4, 8]),
    value=_MEMORY,
    mask=st.sampled_from([0, 0xFFFF, 0xFF00FF, 0xF0F0F0F0F0F0F0F0, 0xFFFF0000, 2**64 - 1]),
)
def test_values_lie_at_multiples_of_their_size(
    raw: bytes, size: int, value: bytes, mask: int
) -> None:
    wanted, mask = int.from_bytes(value[:size], "little"), mask & (1 << 8 * size) - 1
    needle = Needle(wanted.to_bytes(size, "little"))
    found = [at for at, _ in Finder([needle], mask, size)(raw)]
    assert found == plainly(raw, wanted, mask, size)


@pytest.mark.parametrize("text", ["aa", "aab", "b"])
def test_strings_lie_anywhere_and_may_overlap(text: str) -> None:
    raw = b"aaab aab"
    hits = Finder([Needle(text.encode())], 0, 1)(raw)
    assert [at for at, _ in hits] == [
        at for at in range(len(raw)) if raw.startswith(text.encode(), at)
    ]


def test_several_needles_come_in_order_with_their_labels() -> None:
    one, two = ((value).to_bytes(8, "little") for value in (7, 9))
    hits = Finder([Needle(one, "(seven)"), Needle(two)], 0, 8)(two + one + two)
    assert hits == [(0, ""), (8, "(seven)"), (16, "")]
