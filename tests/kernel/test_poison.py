"""Values from include/linux/poison.h and the kernel documentation's address map of x86-64."""

from __future__ import annotations

import pytest

from kautopsy.kernel.poison import Story, classify


@pytest.mark.parametrize(
    ("value", "story"),
    [
        (0x0, Story.NULL),
        (0x58, Story.NULL),
        (0xDEAD000000000100, Story.LIST_POISON),
        (0xDEAD000000000108, Story.LIST_POISON),
        (0xDEAD000000000122, Story.LIST_POISON),
        (0x6B6B6B6B6B6B6B6B, Story.FREED),
        (0x6B6B6B6B6B6B6B83, Story.FREED),  # plus a member's offset
        (0x5A5A5A5A5A5A5A5A, Story.UNINITIALISED),
        (0xAAAAAAAAAAAAAAAA, Story.PAGE_POISON),
        (0x00007FFD5B549DA0, Story.USER),
        (0xFFFFFFFFFFFFFFF4, Story.ERROR),  # -ENOMEM
        (0xFFFF888000001000, Story.DIRECT),
        (0xFFFFC90000001000, Story.VMALLOC),
        (0xFFFFFFFF81000000, Story.KERNEL),
    ],
)
def test_story(value: int, story: Story) -> None:
    assert classify(value).story is story


def test_a_pointer_that_is_text_says_which() -> None:
    pointer = classify(int.from_bytes(b"example.", "little"))
    assert pointer.story is Story.NON_CANONICAL
    assert "'example.'" in pointer.words
