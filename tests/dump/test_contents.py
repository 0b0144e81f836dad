"""Pages read without libkdumpfile are what libkdumpfile reads."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import drgn
import pytest

from kautopsy.dump.contents import Contents
from kautopsy.dump.pages import held_ranges
from kautopsy.lab.specimen import Specimen
from kautopsy.model.errors import UnreadableError

_RUN = 1 << 20


@pytest.mark.guest
@pytest.mark.parametrize("series", ["5.10", "6.1", "6.12", "7.2"])
def test_every_page_is_what_libkdumpfile_says(
    series: str, lab_vmcore: Callable[[str], Specimen]
) -> None:
    path = lab_vmcore(series).vmcore
    program = drgn.Program()
    program.set_core_dump(path)
    seen = 0
    with Contents(path) as contents:
        for low, high in held_ranges(path):
            for start in range(low, high, _RUN):
                size = min(_RUN, high - start)
                assert contents.read(start, size) == program.read(start, size, True)
                seen += size
    assert seen > 32 << 20


@pytest.mark.guest
def test_what_it_cannot_read_is_left_to_others(
    lab_vmcore: Callable[[str], Specimen], tmp_path: Path
) -> None:
    whole, lzo = lab_vmcore("6.1").vmcore, tmp_path / "lzo"
    subprocess.run(
        ["makedumpfile", "-l", "-d", "31", str(whole), str(lzo)],
        check=True, timeout=300, capture_output=True,
    )  # fmt: skip
    low, high = held_ranges(whole)[-1]
    with Contents(whole) as contents:
        assert contents.read(low, 4096) is not None
        assert contents.read(low + 8, 4096) is None
        assert contents.read(high - 4096, 8192) is None
        assert contents.read(high + (1 << 40), 4096) is None
    ranges = held_ranges(lzo)
    with Contents(lzo) as contents:
        assert any(contents.read(low, high - low) is None for low, high in ranges)


@pytest.mark.guest
def test_damaged_pages_are_left_to_others(
    lab_vmcore: Callable[[str], Specimen], tmp_path: Path
) -> None:
    raw = bytearray(lab_vmcore("6.1").vmcore.read_bytes())
    raw[len(raw) // 2 :] = bytes(len(raw) - len(raw) // 2)
    damaged = tmp_path / "vmcore"
    damaged.write_bytes(raw)
    with Contents(damaged) as contents:
        read = [contents.read(low, high - low) for low, high in held_ranges(damaged)]
    assert None in read
    assert any(one is not None for one in read)


def test_a_file_that_is_no_kdump_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "vmcore"
    file.write_bytes(b"\x7fELF" + bytes(5000))
    with pytest.raises(UnreadableError):
        Contents(file)
