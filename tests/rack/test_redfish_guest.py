"""A machine that hangs: a kernel in QEMU, whose BMC is a Redfish service that sends QEMU's NMI."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.host.sshd import free_port

from kautopsy.cli.main import main
from kautopsy.dump.header import read_dump
from kautopsy.lab.bmc.redfish import Redfish, RedfishConfig
from kautopsy.lab.config import GuestConfig
from kautopsy.lab.guest import Guest, State
from kautopsy.lab.kernels import fetch_kernel

pytestmark = pytest.mark.guest
_NODE = "hung-7"
_UUID = "4c4c4544-0037-3010-8048-b7c04f4d3733"


def test_its_nmi_panics_the_guest_and_its_console_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BMC_PASSWORD", "lab-admin")
    console = (tmp_path / "console").open("wb", buffering=0)
    config = GuestConfig(fetch_kernel("6.1"), hostname=_NODE, dump_level=1)

    def tee(data: bytes) -> None:
        console.write(data)

    with console, Guest(config, tee=tee) as guest:
        guest.transition(State.ARMED)
        redfish = RedfishConfig(uuid=_UUID, hostname=_NODE)
        with Redfish(redfish, tmp_path, lambda: guest.qmp.execute("inject-nmi")) as service:
            inventory = tmp_path / "inventory.toml"
            # Its ssh is dead: the inventory's UUID, and the service's, are the proof.
            inventory.write_text(
                f'[hosts.db]\nssh = "root@127.0.0.1"\noptions = ["Port={free_port()}"]\n'
                f'nodename = "{_NODE}"\nuuid = "{_UUID}"\n'
                f'console = {{ file = "{tmp_path}/console" }}\n'
                f'[hosts.db.bmc]\naddress = "127.0.0.1"\nuser = "admin"\n'
                f'password = {{ env = "BMC_PASSWORD" }}\nredfish = "{service.url}"\n'
                f'ca = "{service.certificate}"\n'
            )
            monkeypatch.setenv("KAUTOPSY_INVENTORY", str(inventory))
            argv = ["trigger", "db", "--via", "redfish", "--crash", _NODE, "--no-watch"]

            # A kernel that was not told to panic goes on, and the fix is said.
            guest.run("echo 0 >/proc/sys/kernel/unknown_nmi_panic")
            assert main(argv) == 1
            said = capsys.readouterr().err
            assert "Dazed and confused" in said and "unknown_nmi_panic=1" in said
            assert guest.run("echo alive").output.strip() == "alive"

            # Through another machine's service nothing is sent.
            inventory.write_text(inventory.read_text().replace(f'uuid = "{_UUID[:8]}', 'uuid = "0'))
            assert main([*argv, "--again"]) == 5
            assert "holds another machine" in capsys.readouterr().err and service.nmis == 1
            inventory.write_text(inventory.read_text().replace('uuid = "0', f'uuid = "{_UUID[:8]}'))

            guest.run("echo 1 >/proc/sys/kernel/unknown_nmi_panic")
            assert main([*argv, "--again", "--json"]) == 0
            document = json.loads(capsys.readouterr().out)
            assert document["confirmed"] is True and service.nmis == 2
            kinds = [event["kind"] for event in document["events"]]
            # What is printed within an NMI waits for an interrupt (vprintk() of kernel/printk), and
            # crash_kexec() may be faster: then the capture kernel is the first that is heard of.
            assert {"panic", "capture-kernel-booted"} & set(kinds), kinds
            record = json.loads(Path(document["record"]).read_text())
            assert _UUID in record["proof"] and record["via"] == "redfish"
        guest.state = State.CRASHED
        guest.transition(State.CAPTURED)
        folder = tmp_path / "crash" / f"{_NODE}-2026-11-26-09:14:03"
        folder.mkdir(parents=True)
        assert guest.take_dump(folder / "vmcore")
    whole = read_dump(folder / "vmcore")
    assert whole.complete and whole.dump_level == 1

    # What can be told of it survives a second filter on the machine, where less has to come home.
    argv = ["collect", "local", "--path", str(tmp_path / "crash"), "--out", str(tmp_path / "home")]
    assert main([*argv, "--strip", "31", "--json"]) == 0
    (collected,) = json.loads(capsys.readouterr().out)["collected"]
    stripped = read_dump(Path(collected["dump"]))
    assert stripped.complete and stripped.dump_level == 31
    assert stripped.size_bytes < whole.size_bytes * 0.8
    assert [p.name for p in folder.iterdir()] == ["vmcore"]  # nothing of ours stays there
    assert main(["report", collected["dump"], "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["crash"]["trigger"] == "nmi" and report["verdict"]["kind"] == "operator-nmi"
    assert report["system"]["nodename"] == _NODE
