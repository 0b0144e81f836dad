"""A guest whose tasks, log and modules have hostile names: nothing renders any of them as code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kautopsy.lab.config import GuestConfig
from kautopsy.lab.guest import Guest, State
from kautopsy.lab.kernels import GuestKernel, fetch_kernel
from kautopsy.model.base import from_json, to_json
from kautopsy.model.report import Report
from kautopsy.report import markdown, page
from kautopsy.triage.isolation import analyse

from .hostile import assert_nothing_planted
from .test_terminal import _text

pytestmark = pytest.mark.guest

# A comm has 15 bytes.
CRASHER = "<svg onload=x>"
SLEEPER = r"\033]0;x\007<b>\033[2J"
MODULE = "<script>&'\x1b]0;m\x07\x1b[2J"
SPELT = MODULE.replace("\x1b", r"\x1b").replace("\x07", r"\x07")
LOG = r"<script>alert(1)</script> \033]0;owned\007\033[2J \342\200\256evil ```"
_NAME_LENGTH = 56  # MODULE_NAME_LEN, include/linux/moduleparam.h


def _renamed(kernel: GuestKernel, module: str, name: str) -> bytes:
    """A module's file, with another name in its ``struct module``."""
    tree = kernel.modules()
    data = tree.read_module(tree.order((module,))[-1])
    old, new = (text.encode().ljust(_NAME_LENGTH, b"\0") for text in (module, name))
    assert data.count(old) == 1
    # A wrong signature is refused, none at all is not (kernel/module/signing.c).
    return data.replace(old, new).removesuffix(b"~Module signature appended~\n")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Report]:
    kernel = fetch_kernel("6.12")
    dump = tmp_path_factory.mktemp("hostile") / "vmcore"
    files = {"hostile.ko": _renamed(kernel, "dummy", MODULE)}
    with Guest(GuestConfig(kernel, files=files)) as guest:
        guest.transition(State.ARMED)
        guest.insmod("/hostile.ko")
        guest.run(f"sh -c 'printf \"{SLEEPER}\" >/proc/$$/comm; while :; do sleep 60; done' &")
        guest.run(f"printf '{LOG}' >/dev/kmsg")
        guest.crash(f"printf '{CRASHER}' >/proc/$$/comm; echo c >/proc/sysrq-trigger")
        guest.transition(State.CAPTURED)
        assert guest.take_dump(dump)
    *_, last = analyse(dump, debuginfo=False)
    yield last


def test_the_hostile_names_are_in_the_report(report: Report) -> None:
    crash = report.crash
    assert crash is not None and crash.task is not None
    assert crash.task.comm == CRASHER
    assert MODULE in crash.modules
    assert isinstance(report.log, tuple)
    assert any("<script>alert(1)</script>" in line for line in report.log)


def test_the_page_shows_them_as_text(report: Report) -> None:
    text = "".join(assert_nothing_planted(page.render(report)).text)
    assert CRASHER in text and SPELT in text and "<script>alert(1)</script>" in text


def test_neither_terminal_nor_markdown_obeys_them(report: Report) -> None:
    for text in (_text(report), markdown.render(report)):
        assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert CRASHER in _text(report)
    assert "<script>" not in re.sub(r"`+.*?`+", "", markdown.render(report), flags=re.DOTALL)


def test_json_keeps_them_whole(report: Report, tmp_path: Path) -> None:
    assert from_json(to_json(report), Report) == report
