"""What the pointer of a fault was."""

from __future__ import annotations

from kautopsy.kernel.poison import classify
from kautopsy.model.crash import Kind
from kautopsy.triage.pointers import sharper


def test_a_member_far_down_a_struct_behind_null_is_a_null_dereference() -> None:
    # The kernel calls only the first page NULL (arch/x86/mm/fault.c, show_fault_oops).
    pointers = {"rax": classify(0), "cr2": classify(0x1770)}
    kind, story = sharper(Kind.BAD_POINTER, pointers, certain=True)
    assert kind is Kind.NULL_DEREFERENCE
    assert "0x1770" in story


def test_a_small_number_used_as_a_pointer_is_not_null() -> None:
    pointers = {"rax": classify(0x1700), "cr2": classify(0x1770)}
    kind, _ = sharper(Kind.BAD_POINTER, pointers, certain=True)
    assert kind is Kind.BAD_POINTER


def test_poison_in_the_pointer_is_a_use_after_free() -> None:
    pointers = {"rdx": classify(0x6B6B6B6B6B6B6B6B)}
    kind, _ = sharper(Kind.BAD_POINTER, pointers, certain=True)
    assert kind is Kind.USE_AFTER_FREE
