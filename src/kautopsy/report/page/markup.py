"""Elements of HTML and SVG: the only place where text becomes markup.

A string is text, whatever it holds: it is escaped as content and as an attribute's value. Only
:class:`Node` is markup, and only the functions here make one, with names of elements and attributes
that the calling code spells. So nothing that a dead kernel wrote can open a tag, and there is no
template in which one could forget to escape it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from kautopsy.report import escape

_NAME = re.compile(r"[a-z][a-zA-Z0-9-]*")
_LINK = re.compile(r"(?:#|https?://)")
_VOID = frozenset({"meta", "br", "wbr", "hr"})
# Where a string would be code or an address: the policy of the page forbids most, and so do we.
_FORBIDDEN = frozenset({"style", "src", "srcset", "action", "formaction", "srcdoc", "background"})
_CODE = frozenset({"script", "style"})


@dataclass(frozen=True, slots=True)
class Node:
    """A piece of finished markup."""

    markup: str


Content: TypeAlias = "Node | str | int | Iterable[Content] | None"
Attribute: TypeAlias = "str | int | float | bool | None"


def el(tag: str, /, *content: Content, **attributes: Attribute) -> Node:
    """An element.

    :param attributes: ``class_`` stands for ``class``, ``aria_label`` for ``aria-label``; True
        gives an attribute without a value, False and None give none
    :raises ValueError: a name that no caller may use; a bug, since names are not data
    """
    if not _NAME.fullmatch(tag) or tag in _CODE:
        raise ValueError(f"element {tag!r}")
    start = tag + "".join(_attribute(key, value) for key, value in attributes.items())
    if tag in _VOID:
        return Node(f"<{start}>")
    return Node(f"<{start}>{render(content)}</{tag}>")


def render(content: Content) -> str:
    """``content`` as HTML, every string escaped."""
    if content is None:
        return ""
    if isinstance(content, Node):
        return content.markup
    if isinstance(content, str):
        return escape.html(content)
    if isinstance(content, int):
        return str(content)
    return "".join(render(part) for part in content)


def inline(name: str, code: str) -> Node:
    """A ``script`` or ``style`` element with ``code`` that is ours.

    :raises ValueError: the code could end its element
    """
    if name not in _CODE or "</" in code or "<!--" in code:
        raise ValueError(f"code for {name!r}")
    return Node(f"<{name}>{code}</{name}>")


def code_hash(code: str) -> str:
    """The source expression that lets exactly this code run under a Content-Security-Policy."""
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _attribute(key: str, value: Attribute) -> str:
    name = key.rstrip("_").replace("_", "-")
    if not _NAME.fullmatch(name) or name in _FORBIDDEN or name.startswith("on"):
        raise ValueError(f"attribute {name!r}")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    if isinstance(value, float):
        value = f"{value:.2f}".rstrip("0").rstrip(".")
    text = str(value)
    if name == "href" and not _LINK.match(text):
        raise ValueError(f"link to {text!r}")
    return f' {name}="{escape.html(text)}"'
