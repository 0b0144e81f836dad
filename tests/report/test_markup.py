"""Elements: what is text stays text, and no code can be had by way of an attribute."""

import pytest

from kautopsy.report.page.markup import Node, code_hash, el, inline, render


def test_strings_are_text_and_nodes_are_markup() -> None:
    assert el("p", "<b>", el("b", "&"), None, 3).markup == "<p>&lt;b&gt;<b>&amp;</b>3</p>"
    assert render(["a", (Node("<i></i>"), "<")]) == "a<i></i>&lt;"


def test_attributes_are_quoted() -> None:
    made = el("li", class_='a"b', aria_label="'<>", hidden=True, title=None, width=2.50, tabindex=0)
    assert made.markup == (
        '<li class="a&quot;b" aria-label="&#39;&lt;&gt;" hidden width="2.5" tabindex="0"></li>'
    )


def test_void_elements_do_not_end() -> None:
    assert el("br").markup == "<br>"


@pytest.mark.parametrize("attribute", ["onclick", "style", "src", "srcdoc", "x y", "a>b", ""])
def test_attributes_that_could_run_or_load_something(attribute: str) -> None:
    with pytest.raises(ValueError, match="attribute"):
        el("p", **{attribute: "x"})


@pytest.mark.parametrize("tag", ["script", "style", "a b", "p>", "B", ""])
def test_elements_that_are_not_ours_to_name(tag: str) -> None:
    with pytest.raises(ValueError, match="element"):
        el(tag)


@pytest.mark.parametrize("href", ["javascript:x", "data:text/html,x", "//x", "file:///etc", " #a"])
def test_links_lead_into_the_page_or_to_the_web(href: str) -> None:
    with pytest.raises(ValueError, match="link"):
        el("a", href=href)


def test_code_cannot_end_its_element() -> None:
    with pytest.raises(ValueError, match="code"):
        inline("script", "x = '</script>'")
    assert inline("style", "a{}").markup == "<style>a{}</style>"


def test_hash_is_that_of_the_empty_string() -> None:
    # The well-known SHA-256 of nothing, in base64.
    assert code_hash("") == "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
