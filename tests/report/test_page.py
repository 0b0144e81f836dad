"""The page: one file, safe whatever the kernel wrote, and saying what the report says."""

import base64
import hashlib
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kautopsy.model.crash import TaskRef
from kautopsy.model.machine import LockKind, WaitEdge
from kautopsy.model.report import Report
from kautopsy.report.links import SourceLinks
from kautopsy.report.page import render
from kautopsy.report.page.waits import pictures

from .hostile import ATTACKS, MARK, Elements, assert_nothing_planted, planted
from .samples import bare, crowd, deadlock, from_log, healthy

SAMPLES = (deadlock, healthy, bare, from_log, crowd)


@pytest.mark.parametrize("sample", SAMPLES)
def test_page_of_every_report_is_made_of_our_elements(sample: Callable[[], Report]) -> None:
    assert_nothing_planted(render(sample()))


@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
@pytest.mark.parametrize("sample", [deadlock, from_log, bare])
def test_no_string_of_a_report_becomes_markup(sample: Callable[[], Report], attack: str) -> None:
    page = render(planted(sample(), attack))
    parsed = assert_nothing_planted(page)
    assert any(MARK in text for text in parsed.text), "what was planted is shown"
    # Three hundred strings of 100 kB each do not make a page of 30 MB.
    assert len(page) < 2_000_000


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=()), min_size=1, max_size=80))
def test_a_page_has_the_same_elements_whatever_the_strings_are(text: str) -> None:
    def shape(planting: str) -> object:
        # A log's lines are weighed by their words, which changes the page by design.
        report = msgspec.structs.replace(planted(deadlock(), planting), log=("x",))
        return assert_nothing_planted(render(report)).shape()

    assert shape(text) == shape("a" * len(text))


def test_policy_allows_our_script_and_style_and_nothing_else() -> None:
    page = render(deadlock())
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert found is not None
    policy = found[1].replace("&#39;", "'")
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    for kind in ("style", "script"):
        code = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.S)
        assert len(code) == 1
        digest = base64.b64encode(hashlib.sha256(code[0].encode()).digest()).decode()
        assert directives[f"{kind}-src"] == f"'sha256-{digest}'"


def test_page_refers_to_nothing_outside() -> None:
    page = render(deadlock())
    assert "http://" not in page and "https://" not in page
    assert not re.search(r"\bsrc=|url\((?!#)|@import", page)


def test_links_inside_the_page_lead_somewhere_and_ids_are_unique() -> None:
    tags = Elements(render(crowd())).tags
    ids = [value for _tag, attributes in tags for name, value in attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = [
        value for tag, attrs in tags if tag == "a" for name, value in attrs if name == "href"
    ]
    assert targets and {f"#{name}" for name in ids} >= set(targets)
    labelled = [v for _tag, attrs in tags for name, v in attrs if name == "aria-labelledby"]
    assert set(labelled) <= set(ids)


def test_verdict_comes_first_and_says_what_the_finding_says() -> None:
    text = " ".join(Elements(render(deadlock())).text)
    verdict = text.index("ledger-post and ledger-audit wait for each other's mutexes")
    assert verdict < text.index("The machine")
    for said in (
        "confidence 97%",
        "ledger_audit",
        "The two functions take the same locks in opposite order.",
        "Take book_lock before index_lock",
        "struct mutex ffffffffc0412080",
        "no debuginfo was found",
        "no tick for 24 s",
        "ledger_entry",
        "page of 0xffffc90000a38000 is not in the dump",
        "INFO: task ledger-post:412 blocked for more than 120 seconds.",
    ):
        assert said in text, said


def test_a_report_without_anything_says_why() -> None:
    text = " ".join(Elements(render(bare())).text)
    assert "No verdict" in text
    assert "the file is cut off after 12 MiB of 148 MiB" in text
    assert text.count("page excluded by makedumpfile") >= 5


def test_source_links_only_where_they_are_asked_for() -> None:
    links = SourceLinks("https://example.org/{release}/{file}#L{line}", release="6.1+x y")
    page = render(deadlock(), links=links)
    assert 'href="https://example.org/6.1%2Bx%20y/kernel/panic.c#L353"' in page
    hostile = planted(deadlock(), "../../<script>'\"")
    assert_nothing_planted(render(hostile, links=links), links="https://example.org/")


def test_every_graph_is_drawn_with_each_task_and_lock_once() -> None:
    report = deadlock()
    assert isinstance(report.waits, tuple)
    graphs = [ElementTree.fromstring(node.markup) for node in pictures(report.waits)]
    names = [
        [text.text for text in graph.iter("text") if text.get("class") == "name"]
        for graph in graphs
    ]
    assert sorted(names[0], key=str) == [
        "9 × nginx", "ledger-audit", "ledger-post", "mutex book_lock", "mutex index_lock",
    ]  # fmt: skip
    assert len(names) == 2
    # The cycle: each of its four arrows is drawn as one.
    paths = [path.get("class", "") for path in graphs[0].iter("path")]
    assert sum("cycle" in classes.split() for classes in paths) == 4


def test_graph_of_a_task_that_waits_for_itself() -> None:
    task = TaskRef(pid=7, comm="self")
    edge = WaitEdge(waiter=task, lock=LockKind.MUTEX, address=1, owner=task, cycle=True)
    [graph] = [ElementTree.fromstring(node.markup) for node in pictures((edge,))]
    assert len(list(graph.iter("rect"))) == 2
    assert len(list(graph.iter("path"))) == 2
