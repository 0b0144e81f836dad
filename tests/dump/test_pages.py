import random
from itertools import pairwise
from pathlib import Path

import pytest

from kautopsy.dump.pages import held_ranges, runs
from kautopsy.model.errors import UnreadableError


def test_runs_agree_with_a_walk_bit_by_bit() -> None:
    source = random.Random(7)
    for _ in range(200):
        raw = bytes(source.choice((0, 0, 255, 255, source.randrange(256))) for _ in range(24))
        set_bits = {at for at in range(len(raw) * 8) if raw[at // 8] >> at % 8 & 1}
        found = list(runs(raw))
        assert {bit for low, high in found for bit in range(low, high)} == set_bits
        # No two runs touch: each is as long as it can be.
        assert all(one[1] < other[0] for one, other in pairwise(found))


@pytest.mark.parametrize("content", [b"", b"KDUMP   ", b"\x7fELF" + bytes(60), b"x" * 4096])
def test_what_is_no_dump_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "vmcore"
    file.write_bytes(content)
    with pytest.raises(UnreadableError):
        held_ranges(file)
