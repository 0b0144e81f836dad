"""What kernels say when they die, line by line, and what they say when they do not.

``heads.txt`` holds the lines by which the kernel's own sources name a crash, of all ages and
architectures, with the kind each stands for.
"""

from pathlib import Path

import pytest

from kautopsy.oops import read_text

_STAMP = "[  100.000000] "
_TRACE = """\
[  100.000001] CPU: 1 PID: 42 Comm: bash Not tainted 5.10.0 #1
[  100.000001] Call Trace:
[  100.000001]  foo_inner+0x12/0x40 [mod]
[  100.000001]  vfs_write+0x10/0x20
[  100.000001]  ksys_write+0x10/0x20
"""


def _heads() -> list[tuple[str, str]]:
    lines = (Path(__file__).parent / "heads.txt").read_text().splitlines()
    pairs = [line.split("\t", 1) for line in lines if line and not line.startswith("# ")]
    return [(kind, line) for kind, line in pairs]


@pytest.mark.parametrize(("kind", "line"), _heads(), ids=lambda text: text[:60])
def test_a_head_is_known_with_and_without_what_follows(kind: str, line: str) -> None:
    expected = [] if kind == "-" else [kind]
    for tail in ("", _TRACE):
        crashes = read_text(f"{_STAMP}{line}\n{tail}")
        assert [str(crash.kind) for crash in crashes] == expected
