"""Who kills `arm --apply` or `disarm` at any moment leaves what boots, and an undo."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="the killer is a C library")
@pytest.mark.timeout(900)
def test_killed_at_every_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    killer = tmp_path / "killer.so"
    command = ["gcc", "-shared", "-fPIC", "-o", str(killer), str(_HERE / "killer.c"), "-ldl"]
    subprocess.run(command, check=True)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.arming.kill_everywhere",
            str(killer),
            str(tmp_path),
            "el8",
            "coreos",
        ],
        cwd=_ROOT,
        env={**os.environ, "LD_PRELOAD": str(killer)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    with capsys.disabled():
        print(f"\nkilled at {found['points']} points, {len(found['lost'])} lost")
    assert found["lost"] == []
    assert found["points"] > 200
