"""Over a real sshd: commands, files, and every way not to get in."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kautopsy.cli.main import main
from kautopsy.host.ssh import AS_ROOT, SshHost
from kautopsy.model.errors import UnreachableError, UnreadableError, UsageError

from .sshd import SSHD, Server, free_port, make_key, serve

pytestmark = pytest.mark.skipif(SSHD is None, reason="no sshd here (Debian: openssh-server)")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture(scope="module")
def host(server: Server) -> Iterator[SshHost]:
    server.know()
    with SshHost(server.name, options=server.options) as reached:
        yield reached


def test_no_word_of_a_command_is_taken_for_shell(host: SshHost) -> None:
    words = ["a b", "$(id)", "`id`", "'; exit 9; '", '"', "\n", "*", "!x", "\\", "-n", ""]
    done = host.run(["printf", "%s\\0", *words])
    assert done.stdout == b"".join(word.encode() + b"\0" for word in words)
    done = host.run(["sh", "-c", "cat; echo bad >&2; exit 7"], stdin=b"\0\xff")
    assert (done.status, done.stdout, done.complaint) == (7, b"\0\xff", "bad")


def test_without_root_it_asks_sudo_and_never_for_a_password(tmp_path: Path) -> None:
    for name, text in {
        "id": "echo 1000",
        "sudo": f'echo "$*" >>{tmp_path}/asked; [ "$2" = true ] || {{ shift 2; exec "$@"; }}',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    command = ["sh", "-c", AS_ROOT, "sh", "printf", "%s|", "a b", "$c"]
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60
    )
    assert done.stdout == b"a b|$c|"
    assert (tmp_path / "asked").read_text() == "-n true\n-n -- printf %s| a b $c\n"
    # Without leave it goes on as it is.
    (tmp_path / "sudo").write_text("#!/bin/sh\nexit 1\n")
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60
    )
    assert done.stdout == b"a b|$c|"


def test_a_script_gets_its_arguments_in_one_round_trip(host: SshHost) -> None:
    assert host.script('echo "$1-$2"', "x'y", "z z").text == "x'y-z z\n"


def test_files_are_read_and_replaced_with_all_that_belongs_to_them(
    host: SshHost, tmp_path: Path
) -> None:
    path = tmp_path / "a'b $(id)\n.conf"
    path.write_bytes(b"old")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 12, 34)
    (tmp_path / "link").symlink_to(path.name)
    before = path.stat()
    contents = bytes(range(256)) * 500
    host.write(str(tmp_path / "link"), contents)
    assert (tmp_path / "link").is_symlink()
    assert host.read(str(path)) == contents
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert after.st_ino != before.st_ino
    host.write(str(tmp_path / "new"), b"")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o644
    assert {file.name for file in tmp_path.iterdir()} == {path.name, "link", "new"}


def test_failures_of_files_are_named(host: SshHost, tmp_path: Path) -> None:
    with pytest.raises(UnreadableError) as missing:
        host.read(str(tmp_path / "none"))
    assert missing.value.slug == "no-file"
    with pytest.raises(UnreadableError) as unwritten:
        host.write(str(tmp_path / "none" / "file"), b"1")
    assert unwritten.value.slug == "not-written"
    with pytest.raises(UsageError):
        host.write("relative", b"1")


def test_a_changed_host_key_is_refused(server: Server) -> None:
    server.know("other")
    with (
        SshHost(server.name, options=server.options) as host,
        pytest.raises(UnreachableError) as caught,
    ):
        host.run(["true"])
    assert caught.value.slug == "host-key-changed"
    assert "ssh-keygen -R 127.0.0.1" in caught.value.hint


def test_an_unknown_host_key_is_refused_and_not_learnt(server: Server) -> None:
    known = server.folder / "known_hosts"
    known.write_text("")
    with (
        SshHost(server.name, options=server.options) as host,
        pytest.raises(UnreachableError) as caught,
    ):
        host.run(["true"])
    assert caught.value.slug == "host-key-unknown"
    assert known.read_text() == ""


def test_a_key_that_is_not_welcome(server: Server, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    server.know()
    options = [o for o in server.options if not o.startswith("IdentityFile")]
    with (
        SshHost(server.name, options=[*options, f"IdentityFile={tmp_path}/stranger"]) as host,
        pytest.raises(UnreachableError) as caught,
    ):
        host.run(["true"])
    assert caught.value.slug == "auth-failed"


def test_nobody_listens_and_nobody_answers() -> None:
    with (
        SshHost("127.0.0.1", options=[f"Port={free_port()}"]) as host,
        pytest.raises(UnreachableError, match="refused"),
    ):
        host.run(["true"])
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        options = [f"Port={silent.getsockname()[1]}"]
        with (
            SshHost("127.0.0.1", options=options, connect_timeout=1) as host,
            pytest.raises(UnreachableError) as caught,
        ):
            host.run(["true"])
    assert caught.value.slug == "unreachable"
    with (
        SshHost("nowhere.invalid", connect_timeout=5) as host,
        pytest.raises(UnreachableError) as unknown,
    ):
        host.run(["true"])
    assert unknown.value.slug == "unknown-host"


def test_over_a_jump_host(server: Server, tmp_path: Path) -> None:
    # -J takes the jump host's options from the user's config only.
    server.know()
    lines = "".join(f"    {o.replace('=', ' ', 1)}\n" for o in server.options)
    config = tmp_path / "config"
    config.write_text(
        f"Host jump\n    HostName 127.0.0.1\n    User {server.user}\n{lines}"
        f"Host behind\n    HostName 127.0.0.1\n    User {server.user}\n{lines}"
    )
    with SshHost("behind", jump="jump") as host:
        host._ssh[1:1] = ["-F", str(config)]
        assert host.run(["echo", "there"]).text == "there\n"


@pytest.mark.slow
def test_the_doctor_over_ssh(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.know()
    options = [word for option in server.options for word in ("-o", option)]
    main(["doctor", server.name, *options, "--json"])
    document = json.loads(capsys.readouterr().out)
    found = {check["id"]: check for check in document["checks"]}
    # What this machine says of itself, read without ssh.
    loaded = Path("/sys/kernel/kexec_crash_loaded")
    if not loaded.exists():
        assert found["kernel-support"]["status"] == "fail"
    else:
        status = "pass" if loaded.read_text().strip() == "1" else "fail"
        assert found["image-loaded"]["status"] == status


@pytest.mark.parametrize("squeeze", [False, True])
def test_large_files_come_in_pieces_and_from_anywhere(
    host: SshHost, tmp_path: Path, squeeze: bool
) -> None:
    contents = os.urandom(3 << 20) + bytes(3 << 20)
    (tmp_path / "a'b $(id)").write_bytes(contents)
    for offset in (0, 1, 5 << 20, len(contents)):
        pieces = list(host.pull(str(tmp_path / "a'b $(id)"), offset=offset, squeeze=squeeze))
        assert b"".join(pieces) == contents[offset:]
    with pytest.raises(UnreadableError) as missing:
        list(host.pull(str(tmp_path / "none")))
    assert missing.value.slug == "no-file"


def test_a_connection_that_breaks_while_a_file_comes(host: SshHost, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(64 << 20))
    pieces = host.pull(str(tmp_path / "file"))
    assert next(pieces)
    # The connection's master goes away, as it does when the network or a jump host dies.
    with pytest.raises(UnreachableError) as caught:
        subprocess.run(
            [*host._ssh, "-O", "exit", "--", host.name], capture_output=True, check=True, timeout=30
        )
        list(pieces)
    assert caught.value.slug == "cut-off"


def test_a_tunnel_leads_where_the_host_reaches(host: SshHost) -> None:
    with socket.socket() as service:
        service.bind(("127.0.0.1", 0))
        service.listen()
        with (
            host.tunnel("127.0.0.1", service.getsockname()[1]) as port,
            socket.create_connection(("127.0.0.1", port), timeout=30) as ours,
        ):
            # The first connection was the tunnel's own look whether it stands.
            service.settimeout(30)
            for _ in range(2):
                theirs, _address = service.accept()
                with theirs:
                    theirs.sendall(b"hello")
            assert ours.recv(5) == b"hello"
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
