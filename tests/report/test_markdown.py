"""Markdown, read back by a parser: what it shows is what the report says, and nothing else."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from kautopsy.model.report import Report
from kautopsy.report import escape
from kautopsy.report.links import SourceLinks
from kautopsy.report.markdown import render

from .hostile import ATTACKS, Elements, planted, words
from .samples import bare, crowd, deadlock, from_log, healthy

_TAGS = words("h1 h2 h3 p strong code pre ul ol li table thead tbody tr th td a em hr")
# Raw HTML is let through, as GitHub's first pass does, so that a slip would show.
_PARSER = MarkdownIt("commonmark", {"html": True}).enable("table")


def _parsed(text: str) -> Elements:
    return Elements(_PARSER.render(text))


@pytest.mark.parametrize("sample", [deadlock, healthy, bare, from_log, crowd])
def test_reports_parse(sample: Callable[[], Report]) -> None:
    parsed = _parsed(render(sample()))
    assert {tag for tag, _attributes in parsed.tags} <= _TAGS
    headings = [tag for tag, _attributes in parsed.tags if tag == "h1"]
    assert headings == ["h1"]


@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
def test_no_string_becomes_markup(attack: str) -> None:
    text = render(planted(deadlock(), attack))
    parsed = _parsed(text)
    tags = [tag for tag, _attributes in parsed.tags]
    assert set(tags) <= _TAGS - {"a", "em", "hr"}
    assert all(name in ("class", "start") for _tag, attrs in parsed.tags for name, _v in attrs)
    assert tags.count("table") == _tables(deadlock())
    assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u202e\u2066]", text)
    assert len(text) < 1_000_000


def _tables(report: Report) -> int:
    return sum(tag == "table" for tag, _attributes in _parsed(render(report)).tags)


def test_a_link_is_made_only_from_the_template() -> None:
    links = SourceLinks("https://example.org/{file}#L{line}")
    tags = _parsed(render(deadlock(), links=links)).tags
    targets = {value for tag, attributes in tags if tag == "a" for _name, value in attributes}
    assert "https://example.org/kernel/panic.c#L353" in targets
    assert all(str(target).startswith("https://example.org/") for target in targets)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_prose_reads_as_it_was_written(text: str) -> None:
    # In a list's item, where a line of prose of a report stands.
    shown = "".join(_parsed(f"- {escape.markdown(text)} end").text)
    assert shown.split() == [*escape.terminal(text).split(), "end"]


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_code_reads_as_it_was_written(text: str) -> None:
    parsed = _parsed(f"x {escape.markdown_code(text)} y")
    assert [tag for tag, _attributes in parsed.tags] == ["p", "code"]
    shown = "".join(parsed.text).strip().removeprefix("x ").removesuffix(" y")
    # Outside of tables the backslash that GitHub's tables need before a bar is shown.
    assert shown.replace("\\|", "|").split() == escape.one_line(text).split()


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_blocks_hold_anything(text: str) -> None:
    parsed = _parsed(escape.markdown_block(text) + "\n\nafter")
    assert [tag for tag, _attributes in parsed.tags] == ["pre", "code", "p"]
