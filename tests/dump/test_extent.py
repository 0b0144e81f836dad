"""Kdump files that break off or contradict themselves, before and after they are opened."""

from __future__ import annotations

import struct
from pathlib import Path

import drgn
import pytest

from kautopsy.dump.header import read_dump, read_headers
from kautopsy.dump.open import open_dump
from kautopsy.model.errors import UnreadableError

BLOCK = 4096
FRAMES = range(3, 13)
BITMAPS_AT = 2 * BLOCK
DESCRIPTORS_AT = 4 * BLOCK
DATA_AT = DESCRIPTORS_AT + 24 * len(FRAMES)
VMCOREINFO = (
    b"OSRELEASE=6.1.0-test\nPAGESIZE=4096\nKERNELOFFSET=1e000000\n"
    b"SYMBOL(swapper_pg_dir)=ffffffff81003000\nNUMBER(pgtable_l5_enabled)=0\n"
    b"NUMBER(phys_base)=0\nSYMBOL(_stext)=ffffffff81000000\n"
)


def write(path: Path) -> Path:
    """Ten pages that are not compressed, of frames 3 to 12, as ``makedumpfile -d 31`` writes them.

    Each is full of its frame's number.
    """
    header = struct.pack("<8si", b"KDUMP   ", 3)  # from 4 on VMCOREINFO is an ELF note
    for word in ("Linux", "node", "6.1.0-test", "#1 SMP", "x86_64", "(none)"):
        header += word.encode().ljust(65, b"\0")
    header = header.ljust(408, b"\0") + struct.pack("<qq", 1_700_000_000, 0)
    header += struct.pack("<IiiIIIIIIi", 0, BLOCK, 1, 2, 64, 0, 0, 0, 0, 1)
    sub = struct.pack(
        "<QiiQQqQqQqQQQQ", 0, 31, 0, 0, 0, BLOCK + 104, len(VMCOREINFO), 0, 0, 0, 0, 0, 0, 64
    )
    bitmap = sum(1 << frame for frame in FRAMES).to_bytes(8, "little")
    blocks = (header, sub + VMCOREINFO, bitmap, bitmap)
    raw = b"".join(block.ljust(BLOCK, b"\0") for block in blocks)
    for index in range(len(FRAMES)):
        raw += struct.pack("<qIIQ", DATA_AT + index * BLOCK, BLOCK, 0, 0)
    path.write_bytes(raw + b"".join(bytes([frame]) * BLOCK for frame in FRAMES))
    return path


def patch(path: Path, at: int, data: bytes) -> Path:
    raw = bytearray(path.read_bytes())
    raw[at : at + len(data)] = data
    path.write_bytes(raw)
    return path


def cut(path: Path, size: int) -> Path:
    path.write_bytes(path.read_bytes()[:size])
    return path


def held(path: Path) -> dict[int, int]:
    """Frame → the byte that its page is full of, for those that can be read."""
    program = open_dump(path).program
    found = {}
    for frame in FRAMES:
        try:
            [found[frame]] = set(program.read(frame * BLOCK, BLOCK, physical=True))
        except drgn.FaultError:
            continue
    return found


def test_a_sound_one_has_no_problem(tmp_path: Path) -> None:
    path = write(tmp_path / "vmcore")
    file = read_dump(path)
    assert (file.problems, file.complete, file.consistent) == ((), True, True)
    assert not read_headers(path).stray
    assert held(path) == {frame: frame for frame in FRAMES}


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (1000, "ends within its headers"),
        (BITMAPS_AT + 100, f"ends within its page bitmaps, at {BITMAPS_AT + 100} bytes of 16384"),
        (DESCRIPTORS_AT + 100, "within its page descriptors, at 16484 bytes: 10 pages are"),
        (DATA_AT, "ends within its page descriptors"),
    ],
)
def test_one_that_ends_before_its_pages_is_not_opened(tmp_path: Path, size: int, said: str) -> None:
    path = cut(write(tmp_path / "vmcore"), size)
    with pytest.raises(UnreadableError, match=said) as raised:
        open_dump(path)
    assert raised.value.slug == "truncated"


def test_pages_beyond_the_end_are_missing_not_zero(tmp_path: Path) -> None:
    # Four pages and a half: libkdumpfile alone reads zeros for the rest, or dies of SIGBUS.
    path = cut(write(tmp_path / "vmcore"), DATA_AT + 4 * BLOCK + BLOCK // 2)
    opened = open_dump(path)
    assert not opened.file.complete
    assert opened.file.path == str(path)
    assert "6 of 10 page descriptors lead out of the file" in opened.file.problems
    assert held(path) == {3: 3, 4: 4, 5: 5, 6: 6}


@pytest.mark.parametrize(
    "descriptor",
    [
        (DATA_AT, 3 << 30, 1, 0),  # gigabytes
        (1 << 50, BLOCK, 0, 0),  # beyond the end
        (-8, BLOCK, 0, 0),
        (0, BLOCK, 0, 0),  # the header
    ],
)
def test_a_descriptor_that_leads_out_of_the_file_loses_its_page_only(
    tmp_path: Path, descriptor: tuple[int, int, int, int]
) -> None:
    path = write(tmp_path / "vmcore")
    before = patch(path, DESCRIPTORS_AT + 2 * 24, struct.pack("<qIIQ", *descriptor)).read_bytes()
    assert held(path) == {frame: frame for frame in FRAMES if frame != FRAMES[2]}
    assert path.read_bytes() == before  # mended in a copy
    assert [one.name for one in tmp_path.iterdir()] == ["vmcore"]


def test_a_bitmap_that_announces_other_pages_is_said_to(tmp_path: Path) -> None:
    # Frame 2 too, in both bitmaps: every page after it would be taken for the one before.
    path = write(tmp_path / "vmcore")
    for at in (BITMAPS_AT, BITMAPS_AT + BLOCK):
        patch(path, at, bytes([path.read_bytes()[at] | 1 << 2]))
    file = read_dump(path)
    assert not file.consistent
    assert "its page bitmap and its page descriptors disagree" in file.problems[0]


def test_a_page_that_does_not_exist_cannot_be_in_the_dump(tmp_path: Path) -> None:
    path = write(tmp_path / "vmcore")
    # Frame 3's page is taken for frame 2's.
    patch(path, BITMAPS_AT + BLOCK, bytes([path.read_bytes()[BITMAPS_AT] & ~(1 << 3) | 1 << 2]))
    file = read_dump(path)
    assert not file.consistent
    assert "bitmaps contradict each other" in file.problems[0]


def test_notes_beyond_the_end_cost_the_notes_only(tmp_path: Path) -> None:
    # libkdumpfile maps them, and the process dies of SIGBUS.
    path = patch(write(tmp_path / "vmcore"), BLOCK + 48, struct.pack("<qQ", 4200, 1 << 30))
    opened = open_dump(path)
    assert not opened.file.complete
    assert "CPUs' notes would be beyond the end of the file" in opened.file.problems[0]
    assert held(path) == {frame: frame for frame in FRAMES}


@pytest.mark.parametrize("flag", [0x01, 0x02, 0x20], ids=["zlib", "lzo", "zstd"])
def test_blocks_that_were_lost_to_zeros_are_told(tmp_path: Path, flag: int) -> None:
    path = write(tmp_path / "vmcore")
    for index in range(len(FRAMES)):
        one = struct.pack("<qIIQ", DATA_AT + index * BLOCK, BLOCK, flag, 0)
        patch(path, DESCRIPTORS_AT + 24 * index, one)
    assert read_dump(path).problems == ()
    patch(path, DATA_AT + 2 * BLOCK, bytes(2 * BLOCK))
    file = read_dump(path)
    assert "blocks of the file are lost: 2 of 10 pages" in file.problems[0]
    assert not file.complete
    # Zeros may begin a page of LZO's.
    patch(path, DATA_AT + 2 * BLOCK + 100, b"x")
    assert "1 of 10 pages" in read_dump(path).problems[0]


def test_pages_of_zeros_that_are_not_compressed_are_nothing_strange(tmp_path: Path) -> None:
    path = patch(write(tmp_path / "vmcore"), DATA_AT, bytes(3 * BLOCK))
    assert (read_dump(path).problems, read_dump(path).complete) == ((), True)


@pytest.mark.parametrize("release", [b"\xff\xd0.1.0-test", b"99999.0-test", b"test"])
def test_a_vmcoreinfo_without_a_version_is_not_used(tmp_path: Path, release: bytes) -> None:
    # libkdumpfile refuses to follow any address, in words that need not be UTF-8.
    raw = VMCOREINFO.replace(b"6.1.0-test", release)
    path = patch(write(tmp_path / "vmcore"), BLOCK + 104, raw.ljust(len(VMCOREINFO), b"\n"))
    with pytest.raises(UnreadableError) as raised:
        open_dump(path)
    assert raised.value.slug == "no-vmcoreinfo"
