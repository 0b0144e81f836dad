"""Panic messages as kernels print them."""

from __future__ import annotations

import pytest

from kautopsy.kernel.system import panic_message


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("Kernel panic - not syncing: sysrq triggered crash",), "sysrq triggered crash"),
        (
            (
                "BUG: kernel NULL pointer dereference, address: 0000000000000018",
                "Oops: 0000 [#1] PREEMPT SMP",
                "Kernel panic - not syncing: Fatal exception",
            ),
            "Fatal exception",
        ),
        # panic_on_oops: crash_kexec() before panic(), so no "Kernel panic" line.
        (
            ("Oops: 0000 [#1] SMP", "BUG: unable to handle page fault for address: ffffc900"),
            "BUG: unable to handle page fault for address: ffffc900",
        ),
        (("all is well",), None),
    ],
)
def test_the_most_telling_line_counts(lines: tuple[str, ...], message: str | None) -> None:
    assert panic_message(lines) == message
