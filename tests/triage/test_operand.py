"""The memory operand of a faulting instruction, against instructions assembled by hand.

The bytes are from Intel's manual (volume 2): ``48 8b 42 08`` is ``mov rax, [rdx + 8]``,
``8b 40 28`` is ``mov eax, [rax + 0x28]``, ``4b 8b 04 c8`` is ``mov rax, [r8 + r9 * 8]``,
``a4`` is ``movsb`` from [rsi] to [rdi], ``65 48 8b 04 25`` reads through GS.
"""

import pytest

from kautopsy.model.crash import Crash, Kind
from kautopsy.triage.operand import Operand, memory_operand


def crash(code: str, **registers: int) -> Crash:
    return Crash(
        kind=Kind.BAD_POINTER, title="t", code=f"90 90 {code} c3", registers={"rax": 1, **registers}
    )


def test_base_and_displacement() -> None:
    found = memory_operand(crash("<48> 8b 42 08", rdx=0x6B6B6B6B6B6B6B6B), at=None)
    assert found == Operand(0x6B6B6B6B6B6B6B73, "rdx", 0x6B6B6B6B6B6B6B6B)


def test_an_error_code_wraps_around_to_near_null() -> None:
    error = (1 << 64) - 19  # -ENODEV
    found = memory_operand(crash("<8b> 40 28", rax=error), at=0x15)
    assert found == Operand(0x15, "rax", error)


def test_index_and_the_kernels_spelling_of_r8() -> None:
    found = memory_operand(crash("<4b> 8b 04 c8", r08=0x1000, r09=0x10), at=0x1080)
    assert found == Operand(0x1080, "r8", 0x1000)


def test_of_two_operands_the_one_that_faulted() -> None:
    both = crash("<a4>", rsi=0x1000, rdi=0xDEAD000000000100)
    assert memory_operand(both, at=None) is None
    assert memory_operand(both, at=0x1000) == Operand(0x1000, "rsi", 0x1000)


@pytest.mark.parametrize(
    ("code", "at"),
    [
        ("48 8b 42 08", None),  # no mark
        ("<48> 8b 42 08", 0x9999),  # faulted elsewhere
        ("<65> 48 8b 04 25 00 00 00 00", None),  # per-CPU
        ("<0f> 0b", None),  # ud2
        ("<48>", None),  # cut off
    ],
)
def test_what_does_not_tell(code: str, at: int | None) -> None:
    assert memory_operand(crash(code, rdx=0x1000), at=at) is None


def test_without_registers_or_code() -> None:
    assert memory_operand(Crash(kind=Kind.BUG, title="t"), at=None) is None
    assert memory_operand(Crash(kind=Kind.BUG, title="t", code="<8b> 40 28"), at=None) is None
