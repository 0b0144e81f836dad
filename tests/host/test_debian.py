"""The private apt against an archive of our own on loopback, signed with a key of our own."""

import functools
import hashlib
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kautopsy.host import debian, debian_mirror
from kautopsy.host.debian import DebianSuite
from kautopsy.model.errors import KautopsyError, UnreachableError

TOOLS = ("apt-get", "apt-cache", "gpg", "dpkg-deb")
needs_apt = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS), reason=f"needs {', '.join(TOOLS)}"
)


@dataclass
class Archive:
    """An archive with one suite, and what was asked of it."""

    root: Path
    keys: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def add(self, name: str, version: str, *, depends: str = "", fields: str = "") -> Path:
        """Put a package into the pool; :meth:`publish` makes it known."""
        tree = self.root / "tree"
        (tree / "DEBIAN").mkdir(parents=True)
        control = [f"Package: {name}", f"Version: {version}", "Architecture: amd64"]
        control += [f"Depends: {depends}"] if depends else []
        control += fields.splitlines()
        control += ["Maintainer: nobody <nobody@localhost>", "Description: nothing", ""]
        (tree / "DEBIAN/control").write_text("\n".join(control))
        deb = self.root / "pool" / f"{name}_{version}_amd64.deb"
        deb.parent.mkdir(exist_ok=True)
        _run("dpkg-deb", "--root-owner-group", "-b", str(tree), str(deb))
        shutil.rmtree(tree)
        return deb

    def publish(self, *, signed: bool = True) -> None:
        """Write the suite's index and sign it."""
        stanzas = []
        for deb in sorted((self.root / "pool").glob("*.deb")):
            control = _run("dpkg-deb", "--field", str(deb))
            sha256 = hashlib.sha256(deb.read_bytes()).hexdigest()
            stanzas.append(
                f"{control.strip()}\nFilename: pool/{deb.name}\nSize: {deb.stat().st_size}\n"
                f"SHA256: {sha256}\n"
            )
        suite = self.root / "dists/test"
        packages = suite / "main/binary-amd64/Packages"
        packages.parent.mkdir(parents=True, exist_ok=True)
        packages.write_text("\n".join(stanzas))
        body = packages.read_bytes()
        (suite / "Release").write_text(
            "Origin: Debian\nLabel: Debian\nSuite: test\nCodename: test\n"
            "Date: Mon, 01 Jan 2024 00:00:00 UTC\nValid-Until: Mon, 08 Jan 2024 00:00:00 UTC\n"
            "Architectures: amd64\nComponents: main\nSHA256:\n"
            f" {hashlib.sha256(body).hexdigest()} {len(body)} main/binary-amd64/Packages\n"
        )
        (suite / "InRelease").unlink(missing_ok=True)
        if signed:
            self.gpg("--clearsign", "-o", str(suite / "InRelease"), str(suite / "Release"))
        else:
            shutil.copy(suite / "Release", suite / "InRelease")

    def gpg(self, *arguments: str) -> str:
        """gpg with the archive's key."""
        home = ("--homedir", str(self.keys), "--batch", "--yes", "--passphrase", "")
        return _run("gpg", *home, "--pinentry-mode", "loopback", *arguments)


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    root, keys = tmp_path / "archive", tmp_path / "keys"
    root.mkdir()
    keys.mkdir(mode=0o700)
    state = Archive(root, keys)
    state.gpg("--quick-gen-key", "test <test@localhost>", "ed25519", "sign", "never")
    keyring = tmp_path / "keyring.gpg"
    state.gpg("--export", "-o", str(keyring))

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its name)
            state.asked.append(self.path)

    handler = functools.partial(Handler, directory=str(root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setenv("KAUTOPSY_DEBIAN_MIRROR", state.url + "/")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.delenv("http_proxy", raising=False)
        monkeypatch.setattr(debian, "_KEYRING", keyring)
        yield state
        server.shutdown()
        thread.join()
    subprocess.run(["gpgconf", "--homedir", str(keys), "--kill", "all"], check=False)


@needs_apt
def test_packages_are_resolved_downloaded_and_kept(archive: Archive) -> None:
    archive.add("linux-image-test", "1.2", depends="linux-image-1.2-test (= 1.2), kmod | module")
    old = archive.add("linux-image-1.2-test", "1.1")
    new = archive.add("linux-image-1.2-test", "1.2")
    archive.publish()
    suite = DebianSuite("test")
    assert suite.names("linux-image-1") == ("linux-image-1.2-test",)
    packages = suite.resolve(
        "linux-image-test", keep=lambda package: package.name.startswith("linux-")
    )
    assert [(p.name, p.version) for p in packages] == [
        ("linux-image-test", "1.2"),
        ("linux-image-1.2-test", "1.2"),
    ]
    assert packages[0].depends == ("linux-image-1.2-test", "kmod")
    assert [p.version for p in suite.versions("linux-image-1.2-test")] == ["1.2", "1.1"]
    seen: list[tuple[int, int]] = []
    path = suite.download("linux-image-1.2-test", watch=lambda *there: seen.append(there))
    assert path.read_bytes() == new.read_bytes()
    assert seen[-1] == (new.stat().st_size, new.stat().st_size)
    path = suite.download("linux-image-1.2-test", "1.1")
    assert path.read_bytes() == old.read_bytes()
    # Both are there now: nobody is asked again, not even by another process's object.
    archive.asked.clear()
    assert DebianSuite("test").download("linux-image-1.2-test", "1.1") == path
    assert archive.asked == []


@needs_apt
def test_dependencies_are_followed_as_far_as_told(archive: Archive) -> None:
    archive.add("tool", "1", depends="liba, perl, virtual", fields="Pre-Depends: libpre (>= 1)")
    archive.add("liba", "1", depends="libb", fields="Section: libs")
    archive.add("libb", "1", depends="liba", fields="Section: libs")
    archive.add("libpre", "1", fields="Section: libs")
    archive.add("perl", "1", depends="libperl")
    archive.add("libperl", "1", fields="Section: libs")
    archive.add("other", "1")
    archive.publish()
    suite = DebianSuite("test", security=False)
    packages = suite.resolve("tool", "other", keep=lambda package: package.section == "libs")
    assert sorted(p.name for p in packages) == ["liba", "libb", "libpre", "other", "tool"]
    assert packages[0].depends == ("libpre", "liba", "perl", "virtual")
    with pytest.raises(KautopsyError) as caught:
        suite.resolve("tool", "absent", keep=lambda package: True)
    assert caught.value.slug == "no-such-package"


@needs_apt
def test_a_closure_is_downloaded_as_for_an_empty_machine(archive: Archive, tmp_path: Path) -> None:
    # Every machine with apt has libc6 installed, and it is wanted nevertheless.
    archive.add("compiler", "1", depends="libc6, make")
    archive.add("libc6", "1")
    archive.add("make", "1", fields="Recommends: manual")
    archive.add("manual", "1")
    archive.publish()
    suite = DebianSuite("test", security=False)
    files = suite.download_closure(["compiler"], tmp_path / "debs")
    assert [f.name.split("_")[0] for f in files] == ["compiler", "libc6", "make"]
    with pytest.raises(UnreachableError, match="absent"):
        suite.download_closure(["compiler", "absent"], tmp_path / "debs")


@needs_apt
def test_security_updates_are_asked_for_or_not(archive: Archive) -> None:
    archive.add("linux-image-a", "1")
    archive.publish()
    main = DebianSuite("test", security=False)
    main.refresh()
    assert not any("security" in path for path in archive.asked)
    asked = len(archive.asked)
    main.refresh()
    assert len(archive.asked) == asked
    both = DebianSuite("test")
    assert both.root != main.root
    both.refresh()
    # The archive of security updates is beside the main one, and this one has none.
    assert "test-security" not in (both.root / "etc/sources.list").read_text()
    assert both.show("linux-image-a") is not None


@needs_apt
def test_a_new_package_is_seen_though_lists_are_there(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.add("linux-image-a", "1")
    archive.publish()
    suite = DebianSuite("test")
    assert suite.show("linux-image-a") is not None
    archive.add("linux-image-b", "1")
    archive.publish()
    # HTTP's dates count whole seconds.
    os.utime(archive.root / "dists/test/InRelease", (2e9, 2e9))
    monkeypatch.setattr(DebianSuite, "_lists_age", lambda self: 3600.0)
    assert suite.show("linux-image-b") is not None
    assert suite.show("linux-image-c") is None
    with pytest.raises(KautopsyError) as caught:
        suite.download("linux-image-c")
    assert caught.value.slug == "no-such-package"


@needs_apt
def test_a_package_that_was_tampered_with_is_refused(archive: Archive) -> None:
    deb = archive.add("linux-image-a", "1")
    archive.publish()
    body = bytearray(deb.read_bytes())
    body[-10] ^= 1
    deb.write_bytes(bytes(body))
    suite = DebianSuite("test")
    with pytest.raises(UnreachableError):
        suite.download("linux-image-a")
    assert list((suite.root / "archives").glob("*.deb")) == []


@needs_apt
def test_an_index_that_is_not_signed_is_refused(archive: Archive) -> None:
    archive.add("linux-image-a", "1")
    archive.publish(signed=False)
    with pytest.raises(UnreachableError):
        DebianSuite("test").show("linux-image-a")


@pytest.mark.parametrize("suite", ["../x", "a b", "", "test;rm"])
def test_odd_suites_are_refused(suite: str) -> None:
    with pytest.raises(KautopsyError):
        DebianSuite(suite)


TARGETS = """\
file:/cdrom/ bookworm main deb Debian:Debian
https://apt.example.org/tools/ stable main deb Tools:Tools
http://mirror.example.net/debian-security/ bookworm-security main deb Debian:Debian-Security
http://mirror.example.net/debian/ bookworm contrib deb Debian:Debian
http://mirror.example.net/debian/ bookworm main deb Debian:Debian
"""


def _apt_says(targets: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = folder / "apt-get"
    fake.write_text(f"#!/bin/sh\ncat <<'END'\n{targets}END\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv("KAUTOPSY_DEBIAN_MIRROR", raising=False)


def test_the_machine_s_apt_tells_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _apt_says(TARGETS.partition("\n")[2], tmp_path, monkeypatch)
    assert debian_mirror.debian_mirror() == "http://mirror.example.net/debian"
    assert debian_mirror.debian_security_mirror() == "http://mirror.example.net/debian-security"
    monkeypatch.setenv("KAUTOPSY_DEBIAN_MIRROR", "http://other.example.net/debian/")
    assert debian_mirror.debian_mirror() == "http://other.example.net/debian"
    assert debian_mirror.debian_security_mirror() == "http://other.example.net/debian-security"


def test_before_the_first_update_the_suite_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (
        "\nhttp://t.example.org/apt/ tools main deb :\ncdrom:[x]/ bookworm main deb :\n"
        "http://m.example.net/sec/ trixie-security main deb :\n"
        "http://m.example.net/d/ trixie main deb :\n"
    )
    _apt_says(lines, tmp_path, monkeypatch)
    assert debian_mirror.debian_mirror() == "http://m.example.net/d"


def test_on_a_derivative_the_template_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _apt_says("http://u.example.org/ubuntu/ noble main deb Ubuntu:Ubuntu\n", tmp_path, monkeypatch)
    template = tmp_path / "Debian.info"
    monkeypatch.setattr(debian_mirror, "_TEMPLATES", template)
    with pytest.raises(KautopsyError) as caught:
        debian_mirror.debian_mirror()
    assert caught.value.slug == "no-debian-mirror"
    template.write_text("Suite: {series}\nBaseURI: https://deb.example.net/debian/\n")
    assert debian_mirror.debian_mirror() == "https://deb.example.net/debian"
