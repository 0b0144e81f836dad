"""Logs as logrotate packs them and Windows writes them."""

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from kautopsy.model.errors import UnreadableError
from kautopsy.oops import read_crashes

LOG = (Path(__file__).parent / "cases" / "hung-task.txt").read_text().partition("\n\n")[2].encode()
WAYS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "two gzip files in one": lambda log: gzip.compress(log[:99]) + gzip.compress(log[99:]),
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "UTF-16, little endian": lambda log: b"\xff\xfe" + log.decode().encode("utf-16-le"),
    "UTF-16, big endian": lambda log: b"\xfe\xff" + log.decode().encode("utf-16-be"),
}


@pytest.mark.parametrize("way", WAYS)
def test_how_a_log_is_written_does_not_matter(way: str) -> None:
    expected = list(read_crashes(io.BytesIO(LOG)))
    assert expected
    assert list(read_crashes(io.BytesIO(WAYS[way](LOG)))) == expected


def test_a_packed_log_that_is_cut_off_is_read_as_far_as_it_goes() -> None:
    filler = b"".join(b"[    1.%06d] usb 1-1: %x\n" % (n, n * 7919) for n in range(60_000))
    packed = gzip.compress(LOG + filler)
    crashes = list(read_crashes(io.BytesIO(packed[: len(packed) * 9 // 10])))
    assert [crash.title for crash in crashes] == [
        crash.title for crash in read_crashes(io.BytesIO(LOG))
    ]


def test_what_cannot_be_unpacked_says_so() -> None:
    with pytest.raises(UnreadableError, match="zstd"):
        list(read_crashes(io.BytesIO(b"\x28\xb5\x2f\xfd" + bytes(40))))


@pytest.mark.parametrize("log", [b"", b"a", b"\x1f\x8b", b"BZh9", b"\xff\xfe", b"\xfd7zXZ\0"])
def test_next_to_nothing_is_no_crash(log: bytes) -> None:
    assert list(read_crashes(io.BytesIO(log))) == []
