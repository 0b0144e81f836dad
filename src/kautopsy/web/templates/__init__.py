"""The templates of the pages, and what they may call.

Everything is escaped as it is put into a page (Jinja's autoescape); only :mod:`kautopsy.web.charts`
brings markup, made by :mod:`kautopsy.report.page.markup`, which escapes too.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import jinja2

import kautopsy
from kautopsy.report import units
from kautopsy.report.escape import one_line
from kautopsy.web import charts

DONE = {
    "state": "The state is set.",
    "owner": "The owner is set.",
    "note": "The note is kept.",
    "link": "The link is kept.",
    "unlink": "The link is gone.",
    "merge": "The groups are one.",
    "split": "The crashes are a group of their own.",
    "part": "The signature is a group of its own.",
    "different": "They are two bugs, and stay so.",
    "account": "The account is changed.",
    "password": "The password is changed; other sessions were ended.",
    "revoked": "The token is of no more use.",
}
"""What a page says after something was done; never text from an address."""


class Templates:
    """The templates, compiled once."""

    def __init__(self) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("kautopsy.web"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            when=when, ago=ago, day=day, number=number, rate=rate, plain=one_line, segment=segment,
            size=units.size, percent=percent, counted=counted,
        )  # fmt: skip
        self._environment.globals.update(
            version=kautopsy.__version__, done_words=DONE, chart=charts, now=time.time
        )

    def render(self, name: str, **values: Any) -> str:
        """A template with its values."""
        return self._environment.get_template(name).render(**values)


def when(seconds: float | None) -> str:
    """A moment, UTC, to the minute: ``2026-11-26 10:30``; a dash where there is none."""
    if seconds is None:
        return "–"
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):
        return "?"


def day(seconds: float | None) -> str:
    """A day, UTC."""
    return when(seconds).partition(" ")[0]


def ago(seconds: float | None) -> str:
    """How long ago something was, in the unit that fits."""
    if seconds is None:
        return "never"
    passed = time.time() - seconds
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if passed >= length:
            return f"{int(passed // length)} {unit} ago"
    return "just now"


def number(value: float) -> str:
    """A count with thin spaces between thousands."""
    return f"{value:,.0f}".replace(",", "\u2009")


def counted(value: float, noun: str, more: str = "") -> str:
    """A count with its noun: ``1 host``, ``2 hosts``; ``more`` is a plural that takes no s."""
    return f"{number(value)} {noun if value == 1 else more or noun + 's'}"


def rate(value: float | None) -> str:
    """Crashes per 1,000 host-days; a dash where it cannot be told."""
    if value is None:
        return "–"
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def percent(value: float) -> str:
    """A share of 1."""
    return f"{value:.0%}"


def segment(text: object) -> str:
    """Text as one segment of a path, slashes and all."""
    return quote(str(text), safe="")
