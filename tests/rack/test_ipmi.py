"""The diagnostic interrupt and serial over LAN, against a BMC on pyghmi's server class."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.rack.conftest import write_inventory
from tests.rack.machine import NODE, Machine
from tests.rack.wired import Wired, wired

from kautopsy.cli.main import main
from kautopsy.host.inventory import Bmc
from kautopsy.host.secrets import Secret
from kautopsy.model.errors import KautopsyError
from kautopsy.trigger.console.recording import Recording
from kautopsy.trigger.console.source import Source
from kautopsy.trigger.ipmi import IpmiWay, PyghmiConsole
from kautopsy.trigger.ipmitool import Ipmitool, IpmitoolWay, ipmitool_console
from kautopsy.trigger.look import same_uuid

pytestmark = pytest.mark.slow

PASSWORD = "s3cret of ops"
UUID = "4c4c4544-0037-3010-8048-b7c04f4d3733"
FAST = ["--patience", "0.3", "--even-if-not-ready"]


@pytest.fixture(autouse=True)
def _passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMC_PASSWORD", PASSWORD)
    monkeypatch.setenv("READER_PASSWORD", "reader's own")
    monkeypatch.setenv("WRONG_PASSWORD", "wrong")


def _inventory(machine: Machine, bmc: Wired, more: str = "", serial: str = "7G70H73") -> None:
    write_inventory(
        machine,
        f'nodename = "{NODE}"\nserial = "{serial}"\n[hosts.db.bmc]\naddress = "127.0.0.1"\n'
        f'port = {bmc.port}\nuser = "ops"\npassword = {{ env = "BMC_PASSWORD" }}\n{more}',
    )


def _bmc(bmc: Wired, user: str = "ops", password: str = "BMC", **more: object) -> Bmc:
    secret = Secret(env=f"{password}_PASSWORD")
    return Bmc(address="127.0.0.1", port=bmc.port, user=user, password=secret, **more)  # type: ignore[arg-type]


def _way(kind: str, bmc: Bmc) -> IpmiWay | IpmitoolWay:
    return IpmiWay(bmc) if kind == "pyghmi" else IpmitoolWay(Ipmitool(bmc))


@pytest.mark.parametrize("kind", ["pyghmi", "ipmitool"])
def test_what_it_says_and_every_way_to_be_refused(machine: Machine, kind: str) -> None:
    with wired(machine) as bmc:
        way = _way(kind, _bmc(bmc))
        assert way.can().possible and "on" in way.can().why
        whose = way.whose()
        assert whose is not None and whose.serials == ("7G70H73",)
        assert whose.uuid and same_uuid(whose.uuid, UUID)
        for user, password, privilege, slug in (
            ("ops", "WRONG", "administrator", "bmc-password"),
            ("nobody", "BMC", "administrator", "bmc-user"),
            ("reader", "READER", "user", "bmc-privilege"),
        ):
            refused = _way(kind, _bmc(bmc, user, password, privilege=privilege))
            with pytest.raises(KautopsyError) as caught:
                refused.fire()
            assert caught.value.slug == slug, str(caught.value)
            assert caught.value.hint and PASSWORD not in str(caught.value)
        assert bmc.diags == 0
        assert PASSWORD not in way.what


@pytest.mark.parametrize("kind", ["pyghmi", "ipmitool"])
def test_a_bmc_that_cannot_and_one_that_takes_no_suite(machine: Machine, kind: str) -> None:
    with wired(machine, "unable") as bmc, pytest.raises(KautopsyError) as caught:
        _way(kind, _bmc(bmc)).fire()
    assert caught.value.slug == "bmc-cannot"
    with wired(machine, "cipher") as bmc, pytest.raises(KautopsyError) as caught:
        _way(kind, _bmc(bmc, cipher=3)).fire()
    assert caught.value.slug == "bmc-cipher", str(caught.value)
    assert machine.deaths == 0


def _sources(bmc: Wired) -> list[Source]:
    return [PyghmiConsole(_bmc(bmc)), ipmitool_console(Ipmitool(_bmc(bmc, cipher=3)))]


@pytest.mark.parametrize("which", [0, 1], ids=["pyghmi", "ipmitool"])
def test_serial_over_lan_is_recorded_and_carries_a_break(
    machine: Machine, tmp_path: Path, which: int
) -> None:
    with wired(machine) as bmc:
        source = _sources(bmc)[which]
        recording = Recording(tmp_path)
        source.start(recording)
        try:
            deadline = recording.seconds + 60
            while not any("hello from the console" in line.text for line in recording.lines()):
                machine.say("hello from the console\r\n")
                with recording.news:
                    recording.news.wait(0.5)
                assert recording.seconds < deadline, recording.text()
            source.send_break()
            source.write(b"c")
            while "c" not in bmc.typed and recording.seconds < deadline:
                with recording.news:
                    recording.news.wait(0.2)
            assert bmc.typed.endswith("c")
        finally:
            source.close()
            recording.close()
    kept = (tmp_path / "console.log").read_bytes()
    assert b"hello from the console\r\n" in kept
    # The timing file: seconds since the piece before, and its length.
    pieces = [line.split() for line in (tmp_path / "console.times").read_text().splitlines()]
    assert sum(int(length) for _seconds, length in pieces) == len(kept)
    assert all(float(seconds) >= 0 for seconds, _length in pieces)


def test_an_nmi_panics_it_and_the_console_tells(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    with wired(machine) as bmc:
        _inventory(machine, bmc)
        assert main(["trigger", "db", "--via", "ipmi", "--crash", NODE, "--json", *FAST]) == 0
        document = json.loads(capsys.readouterr().out)
        kinds = [event["kind"] for event in document["events"]]
        assert kinds.index("nmi-received") < kinds.index("panic") < kinds.index("saved")
        percents = [e["percent"] for e in document["events"] if e["percent"] is not None]
        assert percents == [41.7, 100.0]
        assert (bmc.diags, machine.deaths) == (1, 1)
        log = Path(document["console_log"]).read_text()
        assert "Kernel panic - not syncing: NMI: Not continuing" in log


def test_a_kernel_that_was_not_told_survives_and_the_fix_is_said(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.set("unknown_nmi_panic", 0)
    with wired(machine) as bmc:
        _inventory(machine, bmc)
        argv = ["trigger", "db", "--via", "ipmi", "--crash", NODE, "--patience", "0.3"]
        assert main(argv) == 5  # doctor is asked first
        capsys.readouterr()
        assert main([*argv, "--even-if-not-ready"]) == 1
        said = capsys.readouterr().err
        assert "Dazed and confused" in said and "sysctl -w kernel.unknown_nmi_panic=1" in said
        assert (bmc.diags, machine.deaths) == (1, 0)


def test_a_success_code_is_no_panic(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    with wired(machine, "deaf") as bmc:
        _inventory(machine, bmc)
        argv = ["trigger", "db", "--via", "ipmi", "--crash", NODE, *FAST]
        assert main(argv) == 1
        assert "the trigger was lost" in capsys.readouterr().err
        assert (bmc.diags, machine.deaths) == (1, 0)


def test_a_lost_nmi_is_repeated_if_asked(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    with wired(machine, "lossy") as bmc:
        _inventory(machine, bmc)
        argv = ["trigger", "db", "--via", "ipmi", "--crash", NODE, "--repeat", "2", *FAST]
        assert main(argv) == 0
        assert "once more" in capsys.readouterr().err
        assert (bmc.diags, machine.deaths) == (2, 1)


def test_a_reset_instead_is_noticed(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    with wired(machine, "reset") as bmc:
        _inventory(machine, bmc)
        assert main(["trigger", "db", "--via", "ipmi", "--crash", NODE, *FAST]) == 1
        assert "it was reset and boots, without a panic" in capsys.readouterr().err


def test_a_console_that_breaks_off(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """The BMC goes silent with the first words; that the machine comes back tells all the same."""
    with wired(machine, "mute") as bmc:
        _inventory(machine, bmc)
        argv = ["trigger", "db", "--via", "sysrq", "--crash", NODE, "--patience", "0.3"]
        assert main([*argv, "--even-if-not-ready"]) == 0
        assert machine.deaths == 1
        assert "back: it has booted again" in capsys.readouterr().err


def test_anothers_bmc_is_not_used(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    with wired(machine) as bmc:
        _inventory(machine, bmc, serial="ANOTHER1")
        argv = ["trigger", "db", "--via", "ipmi", "--crash", NODE, *FAST]
        assert main(argv) == 5
        assert "another-machine" in capsys.readouterr().err
        # Dead over ssh, the inventory's serial number is all there is to go by.
        machine._kill()
        assert main(argv) == 5
        assert "holds another machine: serial 7G70H73, not ANOTHER1" in capsys.readouterr().err
        assert bmc.diags == 0


def test_a_hung_machine_is_panicked_by_its_serial_number(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    with wired(machine) as bmc:
        machine._kill()  # sshd is gone; the console and the BMC are not
        write_inventory(machine, f'[hosts.db.bmc]\naddress = "127.0.0.1"\nport = {bmc.port}\n'
                        'user = "ops"\npassword = { env = "BMC_PASSWORD" }\n')  # fmt: skip
        argv = ["trigger", "db", "--via", "ipmi", "--crash", NODE, "--patience", "0.3"]
        assert main(argv) == 5
        assert "the inventory does not say what it calls itself" in capsys.readouterr().err
        assert bmc.diags == 0
        _inventory(machine, bmc)
        assert main([*argv[:-3], "rack-8", *argv[-2:]]) == 5
        assert "the inventory calls it rack-7, not rack-8" in capsys.readouterr().err
        assert main(argv) == 0
        said = capsys.readouterr().err
        assert "gives its serial number, 7G70H73" in said and "its dump is saved" in said
        assert (bmc.diags, machine.deaths) == (1, 1)


def test_no_password_on_any_command_line(machine: Machine, tmp_path: Path) -> None:
    """ipmitool's own argv, as the kernel shows it to everybody."""
    fake = tmp_path / "ipmitool"
    fake.write_text(
        f'#!/bin/sh\ntr "\\0" " " </proc/$$/cmdline >>{tmp_path}/seen\n'
        f'printf %s "$IPMI_PASSWORD" >{tmp_path}/given\nexec /usr/bin/ipmitool "$@"\n'
    )
    fake.chmod(0o755)
    with wired(machine) as bmc, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin:/usr/sbin:/sbin")
        assert IpmitoolWay(Ipmitool(_bmc(bmc, cipher=3))).can().possible
    assert PASSWORD not in (tmp_path / "seen").read_text()
    assert (tmp_path / "given").read_text() == PASSWORD


def test_consoles_outlive_half_a_minute_without_a_word(machine: Machine, tmp_path: Path) -> None:
    """BMCs end sessions that say nothing; pyghmi's own check breaks one after 29 s."""
    with wired(machine) as one, wired(machine) as two:
        sources = [_sources(one)[0], _sources(two)[1]]
        recordings = [Recording(tmp_path / str(n)) for n in range(2)]
        try:
            for source, recording in zip(sources, recordings, strict=True):
                source.start(recording)
            time.sleep(36)
            assert [r.ended for r in recordings] == ["", ""]
            deadline = time.monotonic() + 30
            while not all("still here" in r.text() for r in recordings):
                assert time.monotonic() < deadline, [r.text() for r in recordings]
                machine.say("still here\r\n")
                time.sleep(0.5)
        finally:
            for source, recording in zip(sources, recordings, strict=True):
                source.close()
                recording.close()
