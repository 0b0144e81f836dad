"""A short run of the fuzzer; `python bench/oops_fuzz.py` runs as long as one likes."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

FUZZER = Path(__file__).parents[2] / "bench" / "oops_fuzz.py"


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs atheris")
def test_the_fuzzer_finds_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(FUZZER), "-runs=600", "-seed=1", "-max_len=4096", "-timeout=60"],
        cwd=tmp_path,  # where it leaves what it finds
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done 600 runs" in done.stderr
