import io
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from kautopsy.lab.cpio import CpioWriter


def _archive() -> bytes:
    file = io.BytesIO()
    with CpioWriter(file) as cpio:
        cpio.file("init", b"#!/bin/sh\n", 0o755)
        cpio.file("/usr/lib/deep/odd", b"x" * 5)
        cpio.file("empty", b"")
        cpio.symlink("bin/sh", "busybox")
        cpio.directory("tmp", 0o1777)
    return file.getvalue()


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio(1) is not installed")
def test_the_real_cpio_unpacks_it(tmp_path: Path) -> None:
    done = subprocess.run(
        ["cpio", "--extract", "--quiet", "--make-directories"],
        input=_archive(),
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    assert (tmp_path / "init").read_bytes() == b"#!/bin/sh\n"
    assert os.access(tmp_path / "init", os.X_OK)
    assert (tmp_path / "usr/lib/deep/odd").read_bytes() == b"xxxxx"
    assert (tmp_path / "empty").read_bytes() == b""
    assert (tmp_path / "bin/sh").readlink() == Path("busybox")
    assert stat.S_IMODE((tmp_path / "tmp").stat().st_mode) == 0o1777


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio(1) is not installed")
def test_the_real_cpio_lists_a_device_and_each_name_once(tmp_path: Path) -> None:
    file = io.BytesIO()
    with CpioWriter(file) as cpio:
        cpio.node("dev/console", 5, 1)
        cpio.file("dev/shm/a", b"")
        cpio.file("dev/shm/b", b"")
    listing = subprocess.run(
        ["cpio", "--list", "--verbose", "--quiet"],
        input=file.getvalue(),
        capture_output=True,
        check=True,
    ).stdout.decode()
    lines = [line.split() for line in listing.splitlines()]
    assert [line[-1] for line in lines] == [
        "dev",
        "dev/console",
        "dev/shm",
        "dev/shm/a",
        "dev/shm/b",
    ]
    assert lines[1][0] == "crw-------"
    assert "5," in lines[1]
    assert lines[1][lines[1].index("5,") + 1] == "1"


def test_equal_contents_give_equal_archives() -> None:
    assert _archive() == _archive()


def test_every_part_is_padded_to_four_bytes() -> None:
    data = _archive()
    assert len(data) % 4 == 0
    at = data.index(b"070701", 1)
    assert at % 4 == 0
