import subprocess
from pathlib import Path

import pytest

from kautopsy.lab.sink import make_sink, take_dump
from kautopsy.model.errors import MissingToolError


def test_a_file_written_by_others_comes_home(tmp_path: Path) -> None:
    disk = tmp_path / "sink"
    make_sink(disk, 16)
    assert take_dump(disk, tmp_path / "out") is False
    content = bytes(range(256)) * 5000
    (tmp_path / "source").write_bytes(content)
    tool = "/usr/sbin/debugfs"
    subprocess.run([tool, "-w", "-R", "write source vmcore", disk], cwd=tmp_path, check=True)
    assert take_dump(disk, tmp_path / "a folder with blanks out") is True
    assert (tmp_path / "a folder with blanks out").read_bytes() == content
    assert disk.stat().st_size == 16 << 20


def test_a_missing_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path: None)
    with pytest.raises(MissingToolError, match="e2fsprogs"):
        make_sink(tmp_path / "sink", 1)
