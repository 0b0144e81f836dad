"""Links to sources: only for files of the kernel's tree, and only where the template leads."""

import msgspec
import pytest

from kautopsy.model.base import Unreadable
from kautopsy.model.errors import UsageError
from kautopsy.report import words
from kautopsy.report.links import SourceLinks, tree_path

from .samples import deadlock


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("kernel/panic.c", "kernel/panic.c"),
        ("./include/linux/list.h", "include/linux/list.h"),
        ("/build/linux-6Qe1Ab/linux-6.1.55/kernel/panic.c", "kernel/panic.c"),
        ("/usr/src/ledger-1.0/ledger.c", None),
        ("/etc/passwd", None),
        ("../../etc/passwd", None),
        ("a\nb.c", None),
    ],
)
def test_paths_in_the_tree(file: str, path: str | None) -> None:
    assert tree_path(file) == path


def test_values_are_quoted() -> None:
    links = SourceLinks("https://example.org/x?f={file}&r={release}#L{line}", release="6.1/&?#")
    assert links.url("fs/a b&c#d?.c", 3) == (
        "https://example.org/x?f=fs/a%20b%26c%23d%3F.c&r=6.1%2F%26%3F%23#L3"
    )
    assert links.url("fs/a.c", None) == "https://example.org/x?f=fs/a.c&r=6.1%2F%26%3F%23#L"


def test_no_template_no_link() -> None:
    assert SourceLinks().url("kernel/panic.c", 1) is None


@pytest.mark.parametrize(
    "template",
    ["javascript:alert({file})", "{file}", "https://example.org/", "https://x/{file}{path}",
     "https://x/{file}{}"],
)  # fmt: skip
def test_templates_that_make_no_sense(template: str) -> None:
    with pytest.raises(UsageError, match="bad-source-url"):
        SourceLinks(template)


def test_release_is_that_of_the_kernel_that_died() -> None:
    report = deadlock()
    assert words.release(report) == "6.1.0-56-cloud-amd64"
    assert report.system is not None and report.dump is not None
    unread = msgspec.structs.replace(report.system, release=Unreadable("gone"))
    dump = msgspec.structs.replace(report.dump, release="6.1-header")
    damaged = msgspec.structs.replace(report, system=unread, dump=dump)
    assert words.release(damaged) == "6.1-header"
    assert words.release(msgspec.structs.replace(damaged, dump=None, crash=None)) == ""
