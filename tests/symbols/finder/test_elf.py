import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kautopsy.symbols.finder.elf import identify, kernel_release

BUILD_ID = "3b43fad5034874490492495d552c0af6a5fab235"


@pytest.mark.skipif(shutil.which("readelf") is None, reason="binutils is not installed")
def test_build_ids_are_those_that_readelf_reads(tmp_path: Path) -> None:
    compared = 0
    places = (Path(os.path.realpath(sys.executable)), *Path("/usr/bin").glob("[a-f]*"))
    for path in [p for p in places if p.is_file()][:40]:
        done = subprocess.run(["readelf", "-n", str(path)], capture_output=True, text=True)
        expected = [line.split()[-1] for line in done.stdout.splitlines() if "Build ID:" in line]
        if expected:
            identity = identify(path)
            assert identity is not None
            assert identity.build_id == expected[0]
            compared += 1
    assert compared


def test_a_kernel_tells_its_release(tmp_path: Path, make_vmlinux: Callable[..., bytes]) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(make_vmlinux(BUILD_ID, "6.1.0-56-cloud-amd64"))
    identity = identify(path)
    assert identity is not None
    assert (identity.build_id, identity.has_dwarf) == (BUILD_ID, True)
    assert kernel_release(path) == "6.1.0-56-cloud-amd64"


def test_a_stripped_kernel_is_not_worth_opening(
    tmp_path: Path, make_vmlinux: Callable[..., bytes]
) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(make_vmlinux(BUILD_ID, "6.1.0", dwarf=False))
    identity = identify(path)
    assert identity is not None
    assert not identity.has_dwarf


def test_damaged_files_are_no_elf_files(tmp_path: Path, make_vmlinux: Callable[..., bytes]) -> None:
    whole = make_vmlinux(BUILD_ID, "6.1.0")
    path = tmp_path / "vmlinux"
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        identify(path)
        kernel_release(path)
    for position in range(64):
        path.write_bytes(whole[:position] + b"\xff" * 8 + whole[position + 8 :])
        identify(path)
        kernel_release(path)
    path.write_bytes(b"")
    assert identify(path) is None
    assert identify(tmp_path) is None
    assert identify(tmp_path / "absent") is None
