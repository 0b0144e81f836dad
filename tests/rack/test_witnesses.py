"""Where no dump came: the recorded console, the BMC's event log, and what they call the crash."""

from __future__ import annotations

import json

import pytest
from tests.rack.conftest import write_inventory
from tests.rack.machine import NODE, Machine
from tests.rack.wired import wired

from kautopsy.capture.witnesses import from_event_log
from kautopsy.cli.main import main


def test_a_recorded_console_names_the_crash(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BMC_PASSWORD", "s3cret of ops")
    machine.saves = False
    with wired(machine) as bmc:
        write_inventory(
            machine,
            f'nodename = "{NODE}"\nserial = "7G70H73"\n[hosts.db.bmc]\naddress = "127.0.0.1"\n'
            f'port = {bmc.port}\nuser = "ops"\npassword = {{ env = "BMC_PASSWORD" }}\n',
        )
        argv = ["--even-if-not-ready", "--patience", "0.01", "--no-watch"]
        assert main(["trigger", "db", "--via", "ipmi", "--crash", NODE, *argv]) == 0
        machine.boot()
        capsys.readouterr()
        assert main(["collect", "db", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    (console,) = [w for w in document["witnesses"] if w["kind"] == "console"]
    assert console["title"] == "kernel panic: NMI: Not continuing"
    assert not document["found"]


def test_event_logs_of_bmcs() -> None:
    # ipmitool sel elist, of a kernel with CONFIG_IPMI_PANIC_EVENT; and what says nothing of it.
    lines = [
        "   1 | 11/26/2026 | 09:10:00 | Temperature Inlet | Upper Critical going high | Asserted",
        "   2 | 11/26/2026 | 09:13:58 | Critical Interrupt #0x50 | NMI/Diag Interrupt | Asserted",
        "   3 | 11/26/2026 | 09:14:03 | OS Stop/Shutdown OS Stop | Run-time critical stop |",
    ]
    (witness,) = from_event_log(lines, "BMC")
    assert witness.kind == "sel" and witness.text.splitlines() == [
        lines[1].strip(),
        lines[2].strip(),
    ]
    assert from_event_log(lines[:1], "BMC") == ()
