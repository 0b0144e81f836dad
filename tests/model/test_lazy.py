"""Patterns that are compiled late are patterns like others, and all of ours are valid."""

import pkgutil
import re
import subprocess
import sys

import pytest

import kautopsy.fingerprint
import kautopsy.oops
from kautopsy.model.lazy import lazy_pattern


def test_it_is_the_pattern() -> None:
    lazy, eager = lazy_pattern(r"(?P<word>\w+) *", re.ASCII), re.compile(r"(?P<word>\w+) *", re.A)
    text = "one two"
    assert lazy.pattern == eager.pattern and lazy.flags == eager.flags
    for _ in range(2):  # compiled, and then so found
        match = lazy.match(text)
        assert match is not None and match["word"] == "one" and match.re == eager
        assert lazy.findall(text) == eager.findall(text)
        assert lazy.sub("x", text) == eager.sub("x", text)
    assert lazy.groupindex == eager.groupindex


def test_it_has_nothing_that_patterns_lack() -> None:
    with pytest.raises(AttributeError):
        lazy_pattern("x").compile  # type: ignore[attr-defined] # noqa: B018


def test_nothing_is_compiled_before_it_is_used() -> None:
    code = (
        "import re; seen = []; real = re.compile\n"
        "re.compile = lambda *a: (seen.append(a), real(*a))[1]\n"
        "from kautopsy.model.lazy import lazy_pattern\n"
        "one = lazy_pattern('a+'); assert not seen; assert one.match('aa'); assert len(seen) == 1\n"
        "assert one.search('aa'); assert len(seen) == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_all_of_ours_are_valid() -> None:
    names = [
        found.name
        for package in (kautopsy.oops, kautopsy.fingerprint)
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    code = (
        "import importlib, re, sys, kautopsy.model.lazy as lazy\n"
        "seen = []; lazy.lazy_pattern = lambda *a: (seen.append(a), re.compile(*a))[1]\n"
        "[importlib.import_module(name) for name in sys.argv[1:]]\n"
        "assert len(seen) > 300, len(seen)\n"
    )
    subprocess.run([sys.executable, "-c", code, *names], check=True, timeout=60)
