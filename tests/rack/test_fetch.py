"""Bringing a file home over networks that break: resumed, checked, never half under its name."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.host.sshd import SSHD, Server, serve

from kautopsy.capture.fetch import Fetcher
from kautopsy.host.host import Host
from kautopsy.host.local import LocalHost
from kautopsy.host.ssh import SshHost
from kautopsy.model.errors import KautopsyError, UnreachableError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SSHD is None, reason="no sshd here (Debian: openssh-server)"),
]
SIZE = 24 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("host")) as running:
        yield running


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("far") / "vmcore"
    path.write_bytes(os.urandom(SIZE // 2) + bytes(SIZE // 2))
    return path


def _slow(host: SshHost) -> SshHost:
    """As slow as a management network, so that there is a middle to die in."""
    pull = host.pull

    def slowly(path: str, *, offset: int = 0, squeeze: bool = False) -> Iterator[bytes]:
        for piece in pull(path, offset=offset, squeeze=squeeze):
            for at in range(0, len(piece), 65536):
                time.sleep(0.002)
                yield piece[at : at + 65536]

    host.pull = slowly  # type: ignore[method-assign]
    return host


def test_the_jump_host_dies_and_the_next_try_goes_on(
    server: Server, dump: Path, tmp_path: Path
) -> None:
    """Byte for byte the same, and most of it came only once."""
    (tmp_path / "jump").mkdir()
    with serve(tmp_path / "jump") as jump:
        config = tmp_path / "config"
        config.write_text(_host("behind", server) + _host("jump", jump))

        def through() -> SshHost:
            host = SshHost("behind", jump="jump", connect_timeout=5)
            host._ssh[1:1] = ["-F", str(config)]
            return host

        final = tmp_path / "home/vmcore"
        seen: list[int] = []

        def die(there: int, size: int) -> None:
            seen.append(there)
            if there > size // 3 and len(seen) < 10_000:
                seen.extend([0] * 10_000)
                _kill_sessions(jump)

        with through() as host, pytest.raises(UnreachableError) as caught:
            Fetcher(_slow(host), "db", tries=1, on_progress=die).fetch(str(dump), final)
        assert caught.value.slug in ("cut-off", "unreachable")
        assert not final.exists()
        partial = final.with_name(".vmcore.partial")
        kept = partial.stat().st_size
        assert SIZE // 3 <= kept < SIZE
        with through() as host:
            done = Fetcher(host, "db", tries=1).fetch(str(dump), final)
        assert done.resumed_at == kept
        assert final.read_bytes() == dump.read_bytes()
        assert [p.name for p in final.parent.iterdir()] == ["vmcore"]
        digest = subprocess.run(["sha256sum", dump], capture_output=True, text=True, check=True)
        assert done.sha256 == digest.stdout.split()[0]


def test_one_command_takes_a_broken_connection_up_again(
    server: Server, dump: Path, tmp_path: Path
) -> None:
    server.know()
    with SshHost(server.name, options=server.options) as host:
        threading.Timer(0.3, _kill_sessions, [server]).start()
        final = tmp_path / "vmcore"
        done = Fetcher(_slow(host), "db", pause=0.5).fetch(str(dump), final)
    assert final.read_bytes() == dump.read_bytes()
    assert done.size == SIZE


@pytest.mark.parametrize("squeeze", [False, True])
def test_another_file_of_that_name_is_not_continued(
    server: Server, dump: Path, tmp_path: Path, squeeze: bool
) -> None:
    server.know()
    final = tmp_path / "vmcore"
    partial, origin = tmp_path / ".vmcore.partial", tmp_path / ".vmcore.origin"
    partial.write_bytes(b"of another crash")
    origin.write_text('{"host":"db","path":"x","size":1,"mtime":1,"inode":1}')
    with SshHost(server.name, options=server.options) as host:
        done = Fetcher(host, "db", squeeze=squeeze).fetch(str(dump), final)
        assert done.resumed_at == 0 and final.read_bytes() == dump.read_bytes()
        # It is there already: nothing comes a second time; another file is not overwritten.
        assert Fetcher(host, "db").fetch(str(dump), final).resumed_at == SIZE
        final.write_bytes(b"mine")
        with pytest.raises(KautopsyError) as caught:
            Fetcher(host, "db").fetch(str(dump), final)
        assert caught.value.slug == "would-overwrite" and final.read_bytes() == b"mine"


def test_a_beginning_that_is_damaged_is_fetched_anew(
    server: Server, dump: Path, tmp_path: Path
) -> None:
    server.know()
    final = tmp_path / "vmcore"
    with SshHost(server.name, options=server.options) as host:
        fetcher = Fetcher(host, "db")
        from kautopsy.capture.fetch import _write_origin

        (tmp_path / ".vmcore.partial").write_bytes(b"\xff" * 100_000)
        _write_origin(tmp_path / ".vmcore.origin", fetcher._origin(str(dump)))
        done = fetcher.fetch(str(dump), final)
    assert done.resumed_at == 0 and final.read_bytes() == dump.read_bytes()


def test_a_file_that_grows_is_not_called_whole(tmp_path: Path) -> None:
    source = tmp_path / "far"
    source.write_bytes(bytes(3 << 20))

    def grow(there: int, size: int) -> None:
        if there == size:
            with source.open("ab") as file:
                file.write(b"more")

    with pytest.raises(KautopsyError) as caught:
        Fetcher(LocalHost(), "db", on_progress=grow).fetch(str(source), tmp_path / "home")
    assert caught.value.slug == "changed" and not (tmp_path / "home").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small file system")
def test_a_full_disk_at_home_keeps_what_came(tmp_path: Path, dump: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(home)], check=True)
    try:
        (home / "other").write_bytes(bytes(10 << 20))
        # Known beforehand, where it can be.
        with pytest.raises(KautopsyError) as caught:
            Fetcher(LocalHost(), "db").fetch(str(dump), home / "vmcore")
        assert caught.value.slug == "disk-full"

        # And if somebody else fills it in the middle.
        (home / "other").unlink()
        filled: list[bool] = []

        def fill(there: int, size: int) -> None:
            if there > size // 4 and not filled:
                filled.append(True)
                with contextlib.suppress(OSError), (home / "other").open("wb", 0) as file:
                    while True:
                        file.write(bytes(1 << 20))

        with pytest.raises(KautopsyError) as caught:
            Fetcher(LocalHost(), "db", on_progress=fill).fetch(str(dump), home / "vmcore")
        assert caught.value.slug == "disk-full" and "goes on" in caught.value.hint
        assert not (home / "vmcore").exists() and (home / ".vmcore.partial").stat().st_size > 0
        (home / "other").unlink()
        done = Fetcher(LocalHost(), "db").fetch(str(dump), home / "vmcore")
        assert done.resumed_at > 0 and (home / "vmcore").read_bytes() == dump.read_bytes()
    finally:
        subprocess.run(["umount", str(home)], check=True)


def _host(name: str, server: Server) -> str:
    lines = "".join(f"    {o.replace('=', ' ', 1)}\n" for o in server.options)
    return f"Host {name}\n    HostName 127.0.0.1\n    User {server.user}\n{lines}"


def _kill_sessions(server: Server) -> None:
    """What a host that dies does to its connections; the next ones find it rebooted."""
    found = subprocess.run(
        ["ss", "-Htnp", "state", "established", f"sport = :{server.port}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for pid in set(re.findall(r"pid=(\d+)", found)):
        os.kill(int(pid), signal.SIGKILL)


def test_hosts_all_pull_alike(dump: Path) -> None:
    host: Host = LocalHost()
    assert b"".join(host.pull(str(dump), offset=SIZE - 5)) == dump.read_bytes()[-5:]
