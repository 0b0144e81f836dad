"""Reports in which every string is hostile, and what a rendered page must look like all the same.

For tests of renderers, and of guests in which hostile names were really planted::

    page = render(planted(report, ATTACK))
    assert_nothing_planted(page)
"""

from __future__ import annotations

import enum
import re
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any, TypeVar

import msgspec

MARK = "PLANTED"
"""Stands in every attack: found in a tag's or an attribute's name, the attack succeeded."""

ATTACKS = (
    f"<script>{MARK}()</script>",
    f'"><img src=x onerror={MARK}()>',
    f"' onmouseover='{MARK}()' x='",
    f"</title></style></script></pre><svg onload={MARK}()>",
    f"<!--{MARK}--><![CDATA[<a href=javascript:{MARK}()>]]>",
    f"&lt;{MARK}&gt;&#60;b&#62;&quot;",
    f"\x1b]0;{MARK}\x07\x1b[2J\x9b31m\r{MARK}",
    f"{MARK}\u202e\u2066txt.exe\u2069\u200f\u2028",
    f"nul\0{MARK}\0<i>",
    f"```\n</code></pre><b>{MARK}</b>\n~~~\n# {MARK}\n| a | b |\n[x](javascript:{MARK}) ![y](//z)",
    f"javascript:{MARK}()",
    f"{{{{ {MARK} }}}} {{% raw %}} ${{{MARK}}}",
    MARK + "A" * 100_000,
)


def words(text: str) -> frozenset[str]:
    """The words of ``text``."""
    return frozenset(text.split())


_TAGS = words(
    "html head meta title style body header main nav section footer script h1 h2 p a b i code pre"
    " span div ul ol li dl dt dd details summary table caption thead tbody tr th td"
    " svg defs marker g path rect line text"
)
_ATTRIBUTES = words(
    "lang charset http-equiv content name id class href rel title open role tabindex"
    " aria-label aria-labelledby aria-hidden scope data-key"
    " viewbox width height x y x1 x2 y1 y2 rx d refx refy markerwidth markerheight markerunits"
    " orient marker-end preserveaspectratio text-anchor"
)
# Attributes whose value may quote the kernel: they are text to a browser.
_TEXTUAL = words("title aria-label")
_CLASS = re.compile(r"[a-z0-9_ -]+")

_V = TypeVar("_V")


def planted(value: _V, text: str) -> _V:
    """``value`` with ``text`` in place of every string in it, keys included; enums stay."""
    return _plant(value, text)  # type: ignore[no-any-return]


def _plant(value: Any, text: str) -> Any:
    if isinstance(value, enum.Enum):
        return value
    if isinstance(value, str):
        return text
    if isinstance(value, tuple):
        return tuple(_plant(item, text) for item in value)
    if isinstance(value, dict):
        return {_plant(key, text): _plant(item, text) for key, item in value.items()}
    if isinstance(value, msgspec.Struct):
        fields = {
            name: _plant(getattr(value, name), text)
            for name in value.__struct_fields__
            if name != "schema"
        }
        return msgspec.structs.replace(value, **fields)
    return value


class Elements(HTMLParser):
    """Every start tag of a page with its attributes, and the text of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.code: list[str] = []
        self.text: list[str] = []
        self.comments: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        within = self._open[-1] if self._open else ""
        (self.code if within in ("script", "style") else self.text).append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def unknown_decl(self, data: str) -> None:
        self.comments.append(data)

    def handle_pi(self, data: str) -> None:
        self.comments.append(data)

    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """Tags and names of attributes, in order."""
        return [(tag, tuple(name for name, _value in attrs)) for tag, attrs in self.tags]


def assert_nothing_planted(page: str, *, links: str = "") -> Elements:
    """Assert that ``page`` holds only elements and attributes that kautopsy itself makes.

    :param links: how links to sources begin, where there are any
    :return: what was parsed, for further questions
    """
    parsed = Elements(page)
    for tag, attributes in parsed.tags:
        assert tag in _TAGS, f"element <{tag}>"
        for name, value in attributes:
            assert name in _ATTRIBUTES, f"attribute {name} of <{tag}>"
            value = value or ""
            if name == "class":
                assert _CLASS.fullmatch(value), f"class {value!r}"
            elif name == "href":
                assert value.startswith("#") or (links and value.startswith(links)), value
            elif name not in _TEXTUAL and not links:
                assert MARK not in value, f"{name}={value!r} of <{tag}>"
    ours = [
        files("kautopsy.report.page").joinpath(name).read_text()
        for name in ("style.css", "script.js")
    ]
    assert parsed.code == ours, "a script or style that is not ours"
    assert parsed.comments == []
    controls = re.findall("[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]", page)
    assert controls == []
    return parsed
