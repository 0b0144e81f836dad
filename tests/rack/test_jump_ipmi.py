"""ipmitool on a jump host, a console that somebody left behind, and every way explained."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.rack.machine import NODE, Machine
from tests.rack.paper import UUID, Paper, look, on_paper
from tests.rack.wired import wired

from kautopsy.cli.main import main
from kautopsy.drill import witnesses
from kautopsy.host.inventory import Bmc
from kautopsy.host.inventory import Machine as Entry
from kautopsy.host.secrets import Secret
from kautopsy.host.ssh import SshHost
from kautopsy.trigger.console.recording import Recording
from kautopsy.trigger.ipmi import PyghmiConsole
from kautopsy.trigger.ipmitool import Ipmitool, IpmitoolWay, ipmitool_console

pytestmark = pytest.mark.slow

PASSWORD = "s3cret of ops"


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMC_PASSWORD", PASSWORD)


def _bmc(port: int) -> Bmc:
    secret = Secret(env="BMC_PASSWORD")
    return Bmc(address="127.0.0.1", port=port, user="ops", password=secret, cipher=3)


def _hears(machine: Machine, recording: Recording, words: str) -> bool:
    deadline = time.monotonic() + 40
    while words not in recording.text():
        if recording.ended or time.monotonic() > deadline:
            return False
        machine.say(f"{words}\r\n")
        time.sleep(0.3)
    return True


def test_on_a_jump_host_the_password_is_on_no_command_line(
    machine: Machine, tmp_path: Path
) -> None:
    """The machine itself is the jump host, so its BMC only counts what it is told to send."""
    with (
        wired(machine, "deaf") as bmc,
        SshHost("root@127.0.0.1", options=machine.options, as_root=False) as jump,
    ):
        way = IpmitoolWay(Ipmitool(_bmc(bmc.port), jump))
        assert way.can().possible and "on root@127.0.0.1:" in way.what
        source = ipmitool_console(Ipmitool(_bmc(bmc.port), jump))
        recording = Recording(tmp_path / "far")
        source.start(recording)
        try:
            assert _hears(machine, recording, "from behind the jump host"), recording.ended
            shown = [
                path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                for path in Path("/proc").glob("[0-9]*/cmdline")
                if path.exists()
            ]
            assert any("ipmitool" in line and str(bmc.port) in line for line in shown)
            assert not any(PASSWORD in line for line in shown)
        finally:
            source.close()
            recording.close()
        way.fire()
        deadline = time.monotonic() + 20
        while not bmc.diags and time.monotonic() < deadline:
            time.sleep(0.1)
    assert bmc.diags == 1
    # The terminal did not echo what was typed at it.
    assert PASSWORD not in (tmp_path / "far/console.log").read_text()


def test_a_console_that_was_left_behind_is_taken_over(machine: Machine, tmp_path: Path) -> None:
    with wired(machine) as bmc:
        left = PyghmiConsole(_bmc(bmc.port))
        first = Recording(tmp_path / "first")
        left.start(first)
        assert left._child is not None
        left._child.kill()  # a laptop that was closed: its session stays on the BMC
        second = Recording(tmp_path / "second")
        source = PyghmiConsole(_bmc(bmc.port))
        source.start(second)
        try:
            assert _hears(machine, second, "heard again"), second.ended
        finally:
            source.close()
            left.close()
            first.close()
            second.close()


def test_the_bmcs_event_log_is_a_witness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyghmi ipmitool is asked; what it lists is searched for the end of a kernel."""
    program = tmp_path / "ipmitool"
    program.write_text(
        '#!/bin/sh\ncase "$*" in *"sel elist"*) cat <<END\n'
        "   1 | 11/26/2026 | 09:10:00 | Temperature Inlet | Upper Critical going high | Asserted\n"
        "   3 | 11/26/2026 | 09:14:03 | OS Stop/Shutdown OS Stop | Run-time critical stop |\n"
        "END\n;; esac\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(witnesses, "has_pyghmi", lambda: False)
    (witness,) = witnesses.witnesses(Entry(name="db", bmc=_bmc(623)), None)
    assert witness.kind == "sel" and "OS Stop" in witness.text
    assert "Temperature" not in witness.text and "127.0.0.1" in witness.where


def test_every_way_is_explained_and_nothing_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KAUTOPSY_INVENTORY", str(tmp_path / "inventory.toml"))
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "virsh").write_text('#!/bin/sh\ncase "$*" in *domstate*) echo running ;; esac\n')
    (programs / "virsh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    (tmp_path / "inventory.toml").write_text(
        f'[hosts.db]\nnodename = "{NODE}"\nuuid = "{UUID}"\nqmp = "{tmp_path}/none"\n'
        '[hosts.db.libvirt]\ndomain = "db"\n[hosts.db.cloud]\nkind = "aws"\ninstance = "i-1"\n'
    )
    paper = Paper(now=look())
    with on_paper(monkeypatch, paper, ways=False, console=False):
        assert main(["trigger", "db", "--explain", "--json"]) == 0
        ways = {way["name"]: way for way in json.loads(capsys.readouterr().out)["ways"]}
        assert main(["trigger", "db", "--explain"]) == 0
        said = capsys.readouterr().out
    assert set(ways) == {"sysrq", "qmp", "libvirt", "aws"}
    assert ways["libvirt"]["possible"] is True and ways["libvirt"]["obeyed"] is True
    assert ways["sysrq"]["possible"] is True and ways["sysrq"]["obeyed"] is True
    assert ways["qmp"]["possible"] is False and ways["qmp"]["why"]
    assert ways["aws"]["possible"] is False and "not installed" in ways["aws"]["why"]
    assert "unknown_nmi_panic" in ways["libvirt"]["obeyed_why"]
    assert all(name in said for name in ways) and paper.fired == 0
    assert not (tmp_path / "state").exists()
