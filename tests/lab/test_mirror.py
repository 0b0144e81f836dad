from pathlib import Path

import pytest

from kautopsy.lab import mirror
from kautopsy.lab.errors import NoMirrorError
from kautopsy.lab.mirror import debian_mirror

NOWHERE = Path("/nonexistent")


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(mirror.VARIABLE, raising=False)


def _targets(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr(mirror, "_index_targets", lambda: "\n".join(lines) + "\n")


def test_the_archive_of_this_debian_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    _targets(
        monkeypatch,
        "http://vendor.example.org/apt/ nodistro main deb Vendor:Vendor",
        "http://m.example.org/sec/ bookworm-security main deb Debian:Debian-Security",
        "http://m.example.org/debian/ bookworm contrib deb Debian:Debian",
        "http://m.example.org/debian/ bookworm main deb Debian:Debian",
    )
    assert debian_mirror(template=NOWHERE) == "http://m.example.org/debian"


def test_without_downloaded_lists_the_suite_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    _targets(
        monkeypatch,
        "http://vendor.example.org/apt/ vendor-stable main deb :",
        "http://m.example.org/sec/ trixie-security main deb :",
        "http://m.example.org/debian/ trixie main deb :",
    )
    assert debian_mirror(template=NOWHERE) == "http://m.example.org/debian"


def test_a_derivative_asks_the_template(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _targets(monkeypatch, "http://u.example.org/ubuntu/ noble main deb Ubuntu:Ubuntu")
    template = tmp_path / "Debian.info"
    template.write_text("Suite: {series}\nBaseURI: https://t.example.org/debian/\nX: y\n")
    assert debian_mirror(template=template) == "https://t.example.org/debian"


def test_the_variable_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    _targets(monkeypatch, "http://m.example.org/debian/ sid main deb Debian:Debian")
    monkeypatch.setenv(mirror.VARIABLE, "http://mine.example.org/snapshot/")
    assert debian_mirror() == "http://mine.example.org/snapshot"


def test_nothing_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    _targets(monkeypatch, "cdrom:[x]/ bookworm main deb :")
    with pytest.raises(NoMirrorError, match="KAUTOPSY_DEBIAN_MIRROR"):
        debian_mirror(template=NOWHERE)
