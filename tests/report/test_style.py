"""The page can be read: contrast of every pair of colours that text is set in, light and dark."""

import re
from importlib.resources import files

import pytest

STYLE = files("kautopsy.report.page").joinpath("style.css").read_text()

# Foreground on background, as the style sets them.
TEXT = [
    ("text", "card"), ("text", "page"), ("text", "sunk"), ("muted", "card"), ("muted", "page"),
    ("muted", "sunk"), ("link", "page"), ("link", "card"), ("module", "card"), ("module", "sunk"),
    ("fatal", "card"), ("fatal", "sunk"), ("fatal", "fatal-bg"), ("text", "fatal-bg"),
    ("muted", "fatal-bg"), ("warning", "card"), ("warning", "sunk"), ("warning", "warning-bg"),
    ("info", "info-bg"), ("text", "info-bg"), ("muted", "info-bg"),
]  # fmt: skip


def _colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))


def _scheme(name: str) -> dict[str, str]:
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, re.S)[:2]
    return _colours(light) | (_colours(dark) if name == "dark" else {})


def _luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.1 defines it."""
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("front", "back"), TEXT)
def test_contrast_of_text(scheme: str, front: str, back: str) -> None:
    colours = _scheme(scheme)
    brighter, darker = sorted((_luminance(colours[front]), _luminance(colours[back])), reverse=True)
    # WCAG 2.1, level AA for text of any size.
    assert (brighter + 0.05) / (darker + 0.05) >= 4.5


def test_both_schemes_name_the_same_colours() -> None:
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, re.S)[:2]
    assert set(_colours(light)) == set(_colours(dark))


def test_every_colour_that_is_used_is_defined() -> None:
    defined = set(_colours(STYLE)) | {"mono", "c"}
    assert set(re.findall(r"var\(--([a-z-]+)\)", STYLE)) <= defined
