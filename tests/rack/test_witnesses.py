"""Where no dump came: the recorded console, the BMC's event log, and what they call the crash."""

from __future__ import annotations

import json

import pytest
from tests.rack.conftest import write_inventory
from tests.rack.machine import NODE, Machine
from tests.rack.wired import wired

from kautopsy.capture.witnesses import from_event_log
from kautopsy.cli.main import main
from kautopsy.trigger.ipmitool import event_lines

pytestmark = pytest.mark.slow


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


def test_ipmitools_event_log_is_a_line_a_record() -> None:
    """As 1.8.19 says it of ipmi_sim with -v, which we need for its reasons; and without."""
    verbose = (
        "SEL Record ID          : 0001\n Record Type           : 02\n"
        " Timestamp             : 11/26/2026 14:37:02\n Sensor Type           : OS Critical Stop\n"
        " Event Direction       : Assertion Event\n"
        " Description           : Run-time critical stop\n\n"
        "SEL Record ID          : 0002\n Record Type           : 02\n"
        " Sensor Type           : Fan\n Description           : Lower Critical going low\n"
    )
    first, second = event_lines(verbose)
    assert first == (
        "0001 | 11/26/2026 14:37:02 | OS Critical Stop | Run-time critical stop | Assertion Event"
    )
    assert second == "0002 | Fan | Lower Critical going low"
    plain = "   1 |  Pre-Init  |0000017436| OS Critical Stop | Run-time critical stop | Asserted"
    assert list(event_lines(f"{plain}\n")) == [plain]
    (witness,) = from_event_log([first, second], "the BMC")
    assert witness.text == first
