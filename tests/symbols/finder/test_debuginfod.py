"""Against Debian's debuginfod itself, and for what it does not do, a server of our own."""

import contextlib
import filecmp
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kautopsy.host.debian import DebianSuite
from kautopsy.symbols.finder import debuginfod, find_local
from kautopsy.symbols.finder.cache import DebuginfoCache
from kautopsy.symbols.finder.find import find
from kautopsy.symbols.finder.target import Target, parse_target

from .conftest import Server

BUILD_ID = "6b" * 20
RELEASE = "6.9.9-test"

needs_debuginfod = pytest.mark.skipif(
    shutil.which("debuginfod") is None, reason="Debian's package debuginfod is not installed"
)


@contextlib.contextmanager
def serving(folder: Path, build_id: str, state: Path) -> Iterator[str]:
    """A debuginfod on loopback that has indexed ``build_id``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DEBUGINFOD")}
    with (state / "log").open("w") as log:
        process = subprocess.Popen(
            ["debuginfod", "-F", "-L", "-d", str(state / "index.db"), "-p", str(port), str(folder)],
            stdout=log, stderr=log, env=environment,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 120
            while True:
                with contextlib.suppress(OSError, urllib.error.URLError):
                    url_here = f"{url}/buildid/{build_id}/debuginfo"
                    with urllib.request.urlopen(url_here, timeout=10) as answer:
                        if answer.status == 200:
                            break
                assert process.poll() is None, (state / "log").read_text()
                assert time.monotonic() < deadline, (state / "log").read_text()
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            process.wait(10)


@pytest.mark.slow
@needs_debuginfod
def test_a_real_debuginfod_gives_the_vmlinux(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A program of this machine stands in: debuginfod wants an ELF file that libdw can read.
    source = tmp_path / "source"
    source.mkdir()
    (source / "main.c").write_text("int main(void) { return 0; }\n")
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    subprocess.run(
        ["cc", "-g", "-Wl,--build-id=0x" + BUILD_ID, "main.c", "-o", "vmlinux"],
        cwd=source, check=True,
    )  # fmt: skip
    with serving(source, BUILD_ID, tmp_path) as url:
        monkeypatch.setenv("DEBUGINFOD_URLS", f"http://127.0.0.1:9 {url}/ ima:enforcing")
        answer = debuginfod.fetch(BUILD_ID, tmp_path)
        assert answer.server == url
        assert answer.path is not None
        assert answer.path.read_bytes() == (source / "vmlinux").read_bytes()
        assert "127.0.0.1:9" in answer.said[0]
        other = debuginfod.fetch("00" * 20, tmp_path)
        assert other.path is None
        assert any("has none" in said for said in other.said)


@pytest.mark.guest
@needs_debuginfod
@pytest.mark.timeout(1800)
def test_debian_s_package_and_a_debuginfod_that_serves_it(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest kernel of Debian 12: 280 MB from the archive, then the same over debuginfod."""
    # apt's lists may be those that the lab has fetched already.
    shared = Path("~/.cache/kautopsy/apt").expanduser()
    shared.mkdir(parents=True, exist_ok=True)
    own_cache.mkdir(parents=True)
    (own_cache / "apt").symlink_to(shared)
    packages = DebianSuite("bookworm").resolve(
        "linux-image-cloud-amd64", keep=lambda package: package.name.startswith("linux-image-")
    )
    release = packages[-1].name.removeprefix("linux-image-")

    finding = find(parse_target(release), fetch=lambda stage: None)
    assert finding.path is not None, finding.notes
    vmlinux = Path(finding.path)
    done = subprocess.run(["readelf", "-n", str(vmlinux)], capture_output=True, text=True)
    (build_id,) = (line.split()[-1] for line in done.stdout.splitlines() if "Build ID:" in line)
    assert vmlinux.parent.name == build_id
    assert any("signed index" in note for note in finding.notes)
    started = time.monotonic()
    assert find_local(build_id, release) == vmlinux
    assert time.monotonic() - started < 1

    served = tmp_path / "served"
    served.mkdir()
    original = served / "vmlinux"
    vmlinux.rename(original)
    with serving(served, build_id, tmp_path) as url:
        monkeypatch.setenv("DEBUGINFOD_URLS", url)
        again = find(parse_target(build_id), fetch=lambda stage: None)
    assert again.source == url
    assert again.path is not None
    assert filecmp.cmp(again.path, original, shallow=False)


def test_a_broken_line_is_taken_up(
    server: Server, tmp_path: Path, make_vmlinux: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    body = make_vmlinux(BUILD_ID, RELEASE) + b"\1" * 300_000
    server.answers[f"/buildid/{BUILD_ID}/debuginfo"] = body
    server.drop_after = [100_000]
    monkeypatch.setenv("DEBUGINFOD_URLS", server.url)
    target = Target(name="x", build_id=BUILD_ID, arch="x86_64")
    finding = find(target, fetch=lambda stage: None)
    assert finding.path == str(DebuginfoCache().root / BUILD_ID / "vmlinux")
    assert [r for _, r in server.asked] == ["", "bytes=100000-"]


def test_another_file_than_asked_for_is_refused(
    server: Server, tmp_path: Path, make_vmlinux: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    server.answers[f"/buildid/{BUILD_ID}/debuginfo"] = make_vmlinux("77" * 20, RELEASE)
    monkeypatch.setenv("DEBUGINFOD_URLS", server.url)
    answer = debuginfod.fetch(BUILD_ID, tmp_path)
    assert answer.path is None
    assert "77" * 20 in answer.said[0]
    assert BUILD_ID in answer.said[0]
    assert list(tmp_path.glob(f"*{BUILD_ID}*")) == []


def test_an_executable_with_dwarf_will_do(
    server: Server, tmp_path: Path, make_vmlinux: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    server.answers[f"/buildid/{BUILD_ID}/executable"] = make_vmlinux(BUILD_ID, RELEASE)
    monkeypatch.setenv("DEBUGINFOD_URLS", server.url)
    assert debuginfod.fetch(BUILD_ID, tmp_path).path is not None


def test_a_404_is_believed_for_a_while(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    monkeypatch.setenv("DEBUGINFOD_URLS", server.url)
    assert debuginfod.fetch(BUILD_ID, tmp_path).said == (f"{server.url}: has none",)
    asked = len(server.asked)
    assert "had none 0 min ago" in debuginfod.fetch(BUILD_ID, tmp_path).said[0]
    assert len(server.asked) == asked
    (mark,) = own_cache.glob("debuginfod/*.missing")
    os.utime(mark, (0, 0))
    debuginfod.fetch(BUILD_ID, tmp_path)
    assert len(server.asked) == 2 * asked


def test_limits_of_elfutils_are_kept(
    server: Server, tmp_path: Path, make_vmlinux: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    server.answers[f"/buildid/{BUILD_ID}/debuginfo"] = make_vmlinux(BUILD_ID, RELEASE)
    monkeypatch.setenv("DEBUGINFOD_URLS", server.url)
    monkeypatch.setenv("DEBUGINFOD_MAXSIZE", "100")
    answer = debuginfod.fetch(BUILD_ID, tmp_path)
    assert answer.path is None
    assert "larger than 100 bytes" in answer.said[0]
