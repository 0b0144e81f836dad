"""The words that are looked for first are in all that the patterns behind them match."""

import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kautopsy.oops.families import FAMILIES, Family
from kautopsy.oops.frames import frame_alone, frames_in
from kautopsy.oops.look import look, recognise
from kautopsy.oops.prefixes import FORMS, Form, clean
from kautopsy.oops.triggers import LITERALS, NOT_CRASHES, NOT_CRASHES_WORDS

_ASCII = st.characters(max_codepoint=127)
_MANY = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_what_a_familys_pattern_matches_is_looked_for(family: Family) -> None:
    """It holds one of the family's words, and a literal of the scan: else it is never read."""

    @_MANY
    @given(st.from_regex(family.pattern.pattern, alphabet=_ASCII))
    def holds(text: str) -> None:
        for line in text.split("\n"):
            if family.pattern.search(line) is not None:
                assert any(word in line for word in family.words)
                printed = f"{line}\n".encode()
                assert any(literal in printed for literal in LITERALS)

    holds()


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.from_regex(NOT_CRASHES.pattern, alphabet=_ASCII))
def test_what_is_no_crash_holds_one_of_its_words(text: str) -> None:
    for line in text.split("\n"):
        assert NOT_CRASHES.search(line) is None or any(word in line for word in NOT_CRASHES_WORDS)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_prefix_begins_with_what_it_says(form: Form) -> None:
    @_MANY
    @given(st.from_regex(form.pattern.pattern))
    def begins(text: str) -> None:
        match = form.pattern.match(text)
        if match is not None:
            assert match.end() > 0
            assert text[0] in form.begins or not text[0].isascii()

    begins()


_NAME = st.text(string.ascii_letters + string.digits + "_.", min_size=1, max_size=20).map(
    lambda name: f"f{name}"
)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["", " ", "   ", "\t"]),
    st.sampled_from(["", "[<ffffffff81234567>] ", "[<c0123456>] "]),
    st.sampled_from(["", "? "]),
    _NAME,
    st.integers(0, 0xFFFFF),
    st.sampled_from(["", " [mod]", " [mod b31b29679ab712c360bddd861f655ab24898b4db]"]),
    st.sampled_from(["", " fs/read_write.c:12", " lib/dump_stack.c:77 [inline]"]),
)
def test_a_plain_frame_is_read_as_any_other_and_is_nothing_else(
    indent: str, address: str, guess: str, name: str, offset: int, module: str, source: str
) -> None:
    text = f"{indent}{address}{guess}{name}+0x{offset:x}/0x{offset + 16:x}{module}{source}"
    frame = frame_alone(text)
    assert frame is not None
    assert frames_in(text) == [frame]
    assert recognise(text, look(text)) is None
    assert [line.text for line in clean(text, 1)] == [text]


def test_an_inlined_frame_is_read_as_any_other() -> None:
    text = " ? __dump_stack lib/dump_stack.c:77 [inline]"
    frame = frame_alone(text)
    assert frame is not None
    assert frames_in(text) == [frame]
    assert frame_alone(" __dump_stack lib/dump_stack.c:77") is None
    assert frame_alone(" [<ffffffff81234567>] foo") is None
