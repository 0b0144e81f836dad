"""What a report is asked about, by content."""

import os
import struct
from pathlib import Path

import pytest

from kautopsy.model.errors import UnreadableError
from kautopsy.triage.target import find_target, is_text

LOG = "[    1.000000] BUG: kernel NULL pointer dereference, address: 0000000000000010\n" * 3


def _kdump(path: Path, *, age: int, incomplete: bool = False) -> Path:
    """The least that is a kdump-compressed dump: its header, complete or flagged incomplete."""
    status = 0x1 | (0x8 if incomplete else 0)
    header = struct.pack("<8si", b"KDUMP   ", 6) + b"\0" * 390
    header = header.ljust(8 + 4 + 390 + 6, b"\0")
    header += struct.pack("<qqIiiIIIIIi", 0, 0, status, 4096, 1, 2, 8, 0, 0, 0, 1)
    sub_header = struct.pack("<Qi", 0, 31)
    # Two bitmaps of a block each, the second with one page, which one descriptor tells of.
    blocks = (header, sub_header, b"\1", b"\1", struct.pack("<qIIQ", 4 * 4096 + 24, 16, 0, 0))
    body = b"".join(block.ljust(4096, b"\0") for block in blocks)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    os.utime(path, (1_000_000 - age, 1_000_000 - age))
    return path


def test_a_dump_is_one_whatever_it_is_called(tmp_path: Path) -> None:
    dump = _kdump(tmp_path / "console.log", age=0)
    assert find_target(dump).dump == dump


def test_a_log_is_one_whatever_it_is_called(tmp_path: Path) -> None:
    log = tmp_path / "vmcore"
    log.write_text(LOG)
    target = find_target(log)
    assert target.dump is None and target.logs == (log,)


def test_of_several_dumps_the_newest_complete_one(tmp_path: Path) -> None:
    _kdump(tmp_path / "2026-11-20" / "vmcore", age=300)
    newest = _kdump(tmp_path / "2026-11-22" / "dump.202611221022", age=100)
    cut = _kdump(tmp_path / "2026-11-23" / "vmcore-incomplete", age=0, incomplete=True)
    log = newest.parent / "dmesg.202611221022"
    log.write_text(LOG)
    (tmp_path / "2026-11-20" / "vmcore-dmesg.txt").write_text(LOG)
    (tmp_path / "kexec_cmd").write_text("kexec -p\n")
    target = find_target(tmp_path)
    assert target.dump == newest
    assert target.logs == (log,)
    why = {skipped.path: skipped.why for skipped in target.skipped}
    assert why[tmp_path / "2026-11-20" / "vmcore"] == "an older dump"
    assert why[cut].startswith("incomplete: the header is flagged incomplete")
    assert "the newest complete dump of 3" in target.notes[0]


def test_an_incomplete_dump_is_better_than_none(tmp_path: Path) -> None:
    cut = _kdump(tmp_path / "vmcore-incomplete", age=0, incomplete=True)
    target = find_target(tmp_path)
    assert target.dump == cut
    assert "no dump is complete" in target.notes[0]
    assert target.skipped == ()


def test_a_directory_with_logs_alone(tmp_path: Path) -> None:
    for age, name in ((9, "old.txt"), (0, "new.txt")):
        (tmp_path / name).write_text(LOG)
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    target = find_target(tmp_path)
    assert target.dump is None
    assert [path.name for path in target.logs] == ["new.txt", "old.txt"]


def test_a_directory_with_nothing_says_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "vmcore").write_bytes(b"makedumpfile\0\0\0\0")
    with pytest.raises(UnreadableError, match=r"no-dump: .*vmcore: .*ends before its headers"):
        find_target(tmp_path)


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path)
    with pytest.raises(UnreadableError, match="no-dump"):
        find_target(tmp_path)


@pytest.mark.parametrize("name", ["nothing", "fifo"])
def test_what_is_no_file(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UnreadableError, match=r"no-such-file|not-a-file"):
        find_target(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", False),
        (b"[    0.000000] Linux version 6.1\n", True),
        ("ядро: паника\n".encode(), True),
        (b"\0\xfe[    0.000000] a serial line's first bytes are often lost\n" * 2, True),
        (b"\x1b[0;32m  OK  \x1b[0m\r\n", True),
        (b"\x7fELF text", False),
        (bytes(range(32)) * 100, False),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + bytes(200), False),
    ],
)
def test_text(tmp_path: Path, content: bytes, text: bool) -> None:
    (tmp_path / "file").write_bytes(content)
    assert is_text(tmp_path / "file") is text
