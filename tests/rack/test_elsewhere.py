"""Dumps that lie on a third machine: an ssh server, or an NFS export that is mounted somewhere."""

from __future__ import annotations

import importlib.resources
import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.dump.test_header import write_kdump
from tests.host.sshd import SSHD, serve
from tests.rack.samples import flatten

from kautopsy.cli.main import main
from kautopsy.drill import elsewhere
from kautopsy.drill.elsewhere import mounted_here


def _write(path: Path, contents: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())


def _tree(root: Path, name: str, text: str) -> str:
    _write(root / "etc/hostname", "db-7.example\n")
    _write(root / name, text)
    return f"tree:{root}"


@pytest.mark.slow
@pytest.mark.skipif(SSHD is None, reason="no sshd here (Debian: openssh-server)")
def test_from_the_ssh_server_that_it_saves_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server is opened as the inventory knows it, and another machine's dump stays there."""
    kdump = flatten(write_kdump(tmp_path / "sample").read_bytes())
    far = tmp_path / "far"
    for name, more in (("db-7", b""), ("10.0.0.9", b"later")):
        folder = far / f"{name}-2026-11-26-09:14:03"
        _write(folder / "vmcore.flat", kdump + more)
        _write(folder / "vmcore-dmesg.txt", "[ 9.1] Kernel panic - not syncing: x\n")
    target = _tree(tmp_path / "tree", "etc/kdump.conf", f"ssh kdump@backup\npath {far}\n")
    with serve(tmp_path) as server:
        options = ", ".join(f'"{option}"' for option in server.options)
        inventory = tmp_path / "inventory.toml"
        inventory.write_text(f'[hosts.backup]\nssh = "127.0.0.1"\noptions = [{options}]\n')
        monkeypatch.setenv("KAUTOPSY_INVENTORY", str(inventory))
        # kdump.conf's user is the server's; here it is whoever runs the tests.
        _write(tmp_path / "tree/etc/kdump.conf", f"ssh {server.user}@backup\npath {far}\n")
        assert main(["collect", target, "--list", "--json"]) == 0
        (found,) = json.loads(capsys.readouterr().out)["found"]
        assert found["host"] == f"{server.user}@backup"
        assert found["dump"] == str(far / "db-7-2026-11-26-09:14:03/vmcore.flat")
        argv = ["collect", target, "--out", str(tmp_path / "home"), "--json", "--no-analysis"]
        status = main(argv)
    said = capsys.readouterr().out
    assert status == 0, said
    (collected,) = json.loads(said)["collected"]
    assert Path(collected["dump"]).read_bytes() == kdump
    assert {check["id"]: check["status"] for check in collected["checks"]}["header"] == "pass"


def test_a_server_that_does_not_answer_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inventory = tmp_path / "inventory.toml"
    inventory.write_text('[hosts.backup]\nssh = "127.0.0.1"\noptions = ["Port=9"]\n')
    monkeypatch.setenv("KAUTOPSY_INVENTORY", str(inventory))
    target = _tree(tmp_path / "tree", "etc/default/kdump-tools", 'SSH="kdump@backup /key"\n')
    assert main(["collect", target, "--out", str(tmp_path / "home")]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "dumps of this machine go to kdump@backup:/var/crash, which cannot be looked at" in said


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("etc/kdump.conf", "nfs nas.example:/crash\npath /dumps\n"),
        ("etc/default/kdump-tools", 'NFS="nas.example:/crash/dumps"\n'),
        ("etc/sysconfig/kdump", 'KDUMP_SAVEDIR="nfs://nas.example/crash/dumps"\n'),
    ],
)
def test_from_an_export_that_is_mounted_at_home(
    name: str,
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kdump = flatten(write_kdump(tmp_path / "sample").read_bytes())
    target = _tree(tmp_path / "tree", name, text)
    argv = ["collect", target, "--out", str(tmp_path / "home"), "--json", "--no-analysis"]
    assert main(argv) == 1
    (note,) = [n for n in json.loads(capsys.readouterr().out)["notes"] if "machine go to" in n]
    assert "mount -o ro nas.example:/crash/dumps /mnt" in note
    mounts = tmp_path / "mounts"
    share = tmp_path / "the share"
    where = str(share).replace(" ", r"\040")
    mounts.write_text(f"proc /proc proc rw 0 0\nnas.example:/crash {where} nfs4 ro 0 0\n")
    monkeypatch.setattr(elsewhere, "mounted_here", lambda there: mounted_here(there, mounts))
    _write(share / "dumps/db-7-202611260914/dump.202611260914", kdump)
    _write(share / "dumps/db-70-202611270914/dump.202611270914", b"another's")
    assert main(argv) == 0
    (collected,) = json.loads(capsys.readouterr().out)["collected"]
    assert Path(collected["dump"]).read_bytes() == kdump


def test_where_an_export_is_mounted(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "nas:/a /mnt/a nfs rw 0 0\nnas:/a/b /mnt/b nfs4 rw 0 0\nnas:/c /mnt/c ext4 rw 0 0\n"
    )
    assert mounted_here("nas:/a/x", mounts) == "/mnt/a/x"
    assert mounted_here("nas:/a/b/x", mounts) == "/mnt/b/x"
    assert mounted_here("nas:/ab", mounts) is None
    assert mounted_here("nas:/c", mounts) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a /proc of its own")
def test_the_machine_says_where_it_has_it_mounted(tmp_path: Path) -> None:
    """list.sh itself, before a /proc/mounts and an /etc of its own."""
    script = importlib.resources.files("kautopsy.capture").joinpath("list.sh").read_text()
    (tmp_path / "list.sh").write_text(script)
    (tmp_path / "mounts").write_text("nas:/crash /mnt/crash nfs4 rw 0 0\n/dev/sda1 / ext4 rw 0 0\n")
    (tmp_path / "etc/sysconfig").mkdir(parents=True)
    (tmp_path / "etc/sysconfig/kdump").write_text(
        'KDUMP_SAVEDIR="nfs://nas/crash/of ssh://kdump:secret@vault:2222/x file:///data/crash"\n'
    )
    (tmp_path / "etc/kdump.conf").write_text("nfs nas:/crash\npath /dumps\n")
    shell = (
        "mkdir $1/work && mount -t overlay overlay"
        " -o lowerdir=/etc,upperdir=$1/etc,workdir=$1/work /etc && mount -t tmpfs tmpfs /proc &&"
        " cp $1/mounts /proc/mounts && mount -t tmpfs tmpfs /mnt &&"
        " mkdir -p /mnt/crash/dumps /mnt/crash/of && sh $1/list.sh usual"
    )
    done = subprocess.run(
        ["unshare", "-mu", "--propagation", "private", "sh", "-c", shell, "sh", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert "@folder /mnt/crash/dumps" in lines and "@folder /mnt/crash/of" in lines
    # The password of the URL goes nowhere.
    assert "@elsewhere ssh kdump@vault 2222 /x" in lines and "secret" not in done.stdout
    assert not any(line.startswith("@elsewhere nfs") for line in lines)
