"""Consoles and ways that are other programs: virsh, ssh, any command, telnet with its BREAK."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.rack.paper import CAPTURE, NODE, PANIC, RESTART, SAVED, UUID, Paper, look, on_paper

from kautopsy.cli.main import main

pytestmark = pytest.mark.slow

_STORY = [*PANIC, *CAPTURE, *SAVED, *RESTART]
_SYSRQ = [
    "[   98.000000] sysrq: Trigger a crash",
    "[   98.000100] Kernel panic - not syncing: sysrq triggered crash",
    *CAPTURE,
    *SAVED,
    *RESTART,
]
_ARGV = ["trigger", "db", "--crash", NODE, "--patience", "0.05", "--json"]


@pytest.fixture
def paper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Paper]:
    """Dead over ssh; its hypervisor and its console are real programs."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KAUTOPSY_INVENTORY", str(tmp_path / "inventory.toml"))
    paper = Paper(now=None)
    with on_paper(monkeypatch, paper, ways=False, console=False):
        yield paper


def _programs(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """virsh and ssh that do as the real ones; what they are called with is in ``argv``."""
    console = folder / "console.txt"
    console.write_text(f"{NODE} login: \n")
    (folder / "story").write_text("".join(f"{line}\r\n" for line in _STORY))
    programs = folder / "bin"
    programs.mkdir()
    (programs / "virsh").write_text(
        f'#!/bin/sh\nprintf "%s\\n" "virsh $*" >>{folder}/argv\ncase "$*" in\n'
        "*domstate*) echo running ;;\n"
        f"*domuuid*) echo {UUID} ;;\n"
        f"*inject-nmi*) cat {folder}/story >>{console} ;;\n"
        # virsh's own greeting, and its end at ^].
        f"*console*) echo 'Connected to domain'; exec tail -n +1 -f {console} ;;\nesac\n"
    )
    (programs / "ssh").write_text(
        f'#!/bin/sh\nprintf "%s\\n" "ssh $*" >>{folder}/argv\nexec tail -n +1 -f {console}\n'
    )
    for program in programs.iterdir():
        program.chmod(0o755)
    patch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return console


_LIBVIRT = '[hosts.db.libvirt]\ndomain = "db;1"\nuri = "qemu+ssh://root@node/system"\n'


@pytest.mark.parametrize(
    ("console", "argv"),
    [
        (
            "{ libvirt = true }",
            "virsh -c qemu+ssh://root@node/system console --force --domain db;1",
        ),
        (
            '{ ssh = "console@conserver", command = ["console", "db-7"] }',
            "ssh -tt -o BatchMode=yes -o StrictHostKeyChecking=yes -o EscapeChar=none --"
            " console@conserver console db-7",
        ),
        ('{ command = ["tail", "-n", "+1", "-f", "%s"] }', None),
    ],
    ids=["libvirt", "ssh", "command"],
)
def test_a_panic_by_virsh_is_seen_on_each_console(
    console: str,
    argv: str | None,
    paper: Paper,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = _programs(tmp_path, monkeypatch)
    spec = console % text if "%s" in console else console
    (tmp_path / "inventory.toml").write_text(
        f'[hosts.db]\nnodename = "{NODE}"\nuuid = "{UUID}"\nconsole = {spec}\n{_LIBVIRT}'
    )
    assert main([*_ARGV, "--via", "libvirt", "--no-watch"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["confirmed"] is True and document["via"] == "libvirt"
    assert {"nmi-received", "panic"} <= {event["kind"] for event in document["events"]}
    assert PANIC[1] in Path(document["console_log"]).read_text()
    called = (tmp_path / "argv").read_text().splitlines()
    assert called.count("virsh -q -c qemu+ssh://root@node/system inject-nmi --domain db;1") == 1
    # The console was there before the trigger.
    if argv is not None:
        assert called.index(argv) < next(i for i, c in enumerate(called) if "inject-nmi" in c)
    # No BREAK goes through any of them, and that is said before anything is done.
    monkeypatch.setattr(paper, "now", look())
    assert main([*_ARGV, "--via", "break", "--no-watch", "--again"]) == 5
    assert "carries no BREAK" in capsys.readouterr().err


class _Telnet:
    """A console server: BREAK and c within five seconds kill the machine, as the kernel has it."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.breaks = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        client, _address = self._listener.accept()
        with client:
            client.sendall(b"\xff\xfb\x01\xff\xfb\x03" + f"{NODE} login: ".encode())
            armed = False
            while data := client.recv(4096):
                if b"\xff\xf3" in data:
                    self.breaks += 1
                    armed = True
                elif armed and b"c" in data:
                    armed = False
                    client.sendall("".join(f"\r\n{line}" for line in [*_SYSRQ, ""]).encode())

    def close(self) -> None:
        self._listener.close()


def test_break_and_c_through_a_telnet_console(
    paper: Paper, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paper.now = look()
    server = _Telnet()
    (tmp_path / "inventory.toml").write_text(
        f'[hosts.db]\nconsole = {{ tcp = "127.0.0.1:{server.port}" }}\n'
    )
    try:
        assert main([*_ARGV, "--via", "break", "--no-watch"]) == 0
    finally:
        server.close()
    document = json.loads(capsys.readouterr().out)
    assert document["confirmed"] is True and server.breaks == 1
    assert {"sysrq", "panic"} & {event["kind"] for event in document["events"]}


def test_break_is_not_sent_where_the_kernels_mask_forbids_it(
    paper: Paper, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """drivers/tty/sysrq.c: c is SYSRQ_ENABLE_DUMP, 8; Ubuntu's 176 has it not."""
    paper.now = dataclasses.replace(look(), sysrq=176)
    server = _Telnet()
    (tmp_path / "inventory.toml").write_text(
        f'[hosts.db]\nconsole = {{ tcp = "127.0.0.1:{server.port}" }}\n'
    )
    try:
        assert main([*_ARGV, "--via", "break", "--no-watch"]) == 5
    finally:
        server.close()
    said = capsys.readouterr().err
    assert "would not panic" in said and "sysrq" in said and server.breaks == 0
