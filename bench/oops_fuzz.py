"""Coverage-guided fuzzing of the reader: `python bench/oops_fuzz.py [-max_total_time=60] [DIR]`.

Wants atheris, and takes libFuzzer's options. It starts from the logs of `tests/oops/cases`; an
exception is a bug. Without arguments it runs for half a minute.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

CASES = Path(__file__).parents[1] / "tests" / "oops" / "cases"


def seeds(folder: Path) -> None:
    for case in CASES.glob("*.txt"):
        (folder / case.stem).write_text(case.read_text().partition("\n\n")[2])


def main() -> int:
    try:
        import atheris  # type: ignore[import-untyped]
    except ImportError:
        print("skipped: atheris is not installed", file=sys.stderr)
        return 0
    with atheris.instrument_imports(include=["kautopsy.oops"]):
        from kautopsy.oops import read_crashes

    def once(data: bytes) -> None:
        for crash in read_crashes(io.BytesIO(data)):
            assert crash.title

    with tempfile.TemporaryDirectory() as folder:
        seeds(Path(folder))
        options = sys.argv[1:] or ["-max_total_time=30", "-max_len=8192", "-timeout=10"]
        atheris.Setup([sys.argv[0], *options, folder], once)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
