import hashlib
from pathlib import Path

import pytest

from kautopsy.lab.crash import cached_crash, crash_for, fetch_crash
from kautopsy.lab.specimen import specimen


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    root = tmp_path / "kautopsy/lab/tools/crash-sid"
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/crash").write_bytes(b"program")
    digest = hashlib.sha256(b"program").hexdigest()
    (root / "crash.json").write_text(
        f'{{"version": "9.0.2-1", "files": {{"usr/bin/crash": "{digest}"}}}}'
    )
    return root


def test_what_is_in_the_cache_is_used(unpacked: Path) -> None:
    program = cached_crash("sid")
    assert program is not None
    assert program.version == "9.0.2-1"
    assert program.argv[-1] == str(unpacked / "usr/bin/crash")
    assert fetch_crash("sid") == program
    assert cached_crash("trixie") is None


def test_a_damaged_file_is_not_used(unpacked: Path) -> None:
    (unpacked / "usr/bin/crash").write_bytes(b"progran")
    assert cached_crash("sid") is None
    (unpacked / "usr/bin/crash").unlink()
    assert cached_crash("sid") is None
    (unpacked / "crash.json").write_text("{")
    assert cached_crash("sid") is None


@pytest.mark.guest
def test_it_reads_the_dump_of_its_kernel() -> None:
    made = specimen("6.12")
    printed = crash_for("6.12").run(made.vmlinux(), made.vmcore, "sys\nps -A")
    assert f"RELEASE: {made.facts.release}" in printed
    assert f" {made.writer.pid} " in printed
