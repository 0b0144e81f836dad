"""A whole Debian, from "not ready" to a dump and back: over ssh, through GRUB, with its own tools.

One machine serves all tests of a release, in the order in which they stand here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.host.sshd import serve

from kautopsy.dump.header import read_dump
from kautopsy.lab.machines.image import fetch_image
from kautopsy.lab.machines.machine import Machine, MachineConfig

from .command import answer, kautopsy, status
from .manifest import differences, manifest
from .rack import Rack, possible, rack

pytestmark = [
    pytest.mark.guest,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="mmdebstrap is not installed"),
    pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed"),
    pytest.mark.skipif(not possible(), reason="needs root, ip, sshd, ipmitool and ipmi_sim"),
]
# Arming, drilling in every way and disarming takes half an hour a release on two free cores.
full = pytest.mark.skipif(
    not os.environ.get("KAUTOPSY_MACHINES"), reason="takes long: make test-machines"
)
_FOLDERS = ("etc", "boot")
# A guest that gets no CPU for half a minute has a soft lockup, and the policy panics on those.
_POLICY = ("--sysctl", "kernel.watchdog_thresh=60")


@dataclass
class Patient:
    """A machine and what is known of it."""

    machine: Machine
    rack: Rack
    before: dict[str, tuple[str, ...]]
    armed: bool = False


def _event_store(folder: Path) -> tuple[str, ...]:
    """ACPI's ERST, in which servers' firmware keeps what pstore writes."""
    backend = f"memory-backend-file,id=erst,mem-path={folder / 'erst'},size=64K,share=on"
    return ("-object", backend, "-device", "acpi-erst,memdev=erst")


@pytest.fixture(scope="module", params=["debian12", pytest.param("debian13", marks=full)])
def patient(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Patient]:
    with (
        rack(tmp_path_factory.mktemp("rack")) as around,
        Machine(
            MachineConfig(
                fetch_image(request.param), bmc=around.bmc, qemu=_event_store(around.folder)
            )
        ) as machine,
    ):
        machine.boot()
        machine.wait_until_up()
        around.describe(machine)
        # What kdump-tools keeps once it has loaded. Where it is missing, its start builds the
        # capture initrd anew, which takes minutes here and shows nothing.
        kept = 'cp /etc/kdump/sysctl.conf "/var/lib/kdump/latest_sysctls-$(uname -r)"'
        assert machine.host.run(["sh", "-c", kept]).status == 0
        yield Patient(machine, around, manifest(machine.host, *_FOLDERS))


def test_nobody_armed_it_and_the_doctor_says_why(patient: Patient) -> None:
    document = answer(patient.machine, "doctor", expect=1)
    assert document["ready"] is False
    found = status(document)
    assert found["crashkernel-asked"] == "fail"
    assert found["crashkernel-reserved"] == "fail"
    assert found["image-loaded"] == "fail"
    assert found["kdump-service"] == "fail"
    # The machine agrees.
    said = patient.machine.host.run(["kdump-config", "status"]).text
    assert "Not ready to kdump" in said


def test_looking_changes_nothing(patient: Patient) -> None:
    plan = answer(patient.machine, "arm")
    assert any(step.get("file") for step in plan["steps"])
    assert differences(patient.before, manifest(patient.machine.host, *_FOLDERS)) == []


@full
def test_arm_apply_and_a_reboot_make_it_ready(patient: Patient) -> None:
    machine = patient.machine
    kautopsy(machine, "arm", "--apply", "--yes", "--no-kit", *_POLICY)
    assert answer(machine, "arm", *_POLICY)["steps"] == []
    machine.reboot()
    document = answer(machine, "doctor")
    assert document["ready"] is True, [c for c in document["checks"] if c["status"] == "fail"]
    # Not only we say so.
    assert "ready to kdump" in machine.host.run(["kdump-config", "status"]).text
    assert int(machine.host.read("/sys/kernel/kexec_crash_size")) >= 128 << 20
    assert machine.host.read("/proc/sys/kernel/unknown_nmi_panic").strip() == b"1"
    assert answer(machine, "arm", *_POLICY)["steps"] == []
    patient.armed = True


@full
@pytest.mark.parametrize(("size", "passes"), [("64", False), ("", True)])
def test_a_rehearsal_tells_what_a_crash_would_do(patient: Patient, size: str, passes: bool) -> None:
    assert patient.armed
    words = ["--rehearse", *([size] if size else [])]
    document = answer(patient.machine, "doctor", *words, expect=0 if passes else 1)
    check = next(c for c in document["checks"] if c["id"] == "rehearsal")
    assert document["ready"] is passes, check
    if passes:
        assert check["status"] == "pass" and "saves a whole dump" in check["summary"]
    else:
        assert check["status"] == "fail" and "64 MiB" in check["summary"]
        assert "out of memory" in check["summary"] and "crashkernel=" in check["fix"]


@full
def test_a_kernel_that_was_told_otherwise_survives_its_nmi(patient: Patient) -> None:
    """Over the jump host: the BMC is told, and the console says what came of the NMI."""
    assert patient.armed
    host = patient.machine.host
    host.run(["sysctl", "-w", "kernel.unknown_nmi_panic=0", "kernel.panic_on_unrecovered_nmi=0"])
    before = patient.machine.boot_id()
    argv = ("trigger", "--via", "ipmi", "--crash", "kautopsy-lab", "--even-if-not-ready")
    done = patient.rack.kautopsy(*argv, expect=1)
    assert "Dazed and confused, but trying to continue" in done.stderr
    assert "fix: sysctl -w kernel.unknown_nmi_panic=1" in done.stderr
    assert patient.machine.boot_id() == before
    host.run(["sysctl", "-w", "kernel.unknown_nmi_panic=1"])


@full
def test_a_drill_through_the_jump_host(patient: Patient) -> None:
    """NMI → panic → kdump → reboot → collect → report, in one command."""
    assert patient.armed
    machine, around = patient.machine, patient.rack
    release = machine.host.run(["uname", "-r"]).text.strip()
    around.assert_unreachable()
    record = around.drill()
    assert record["passed"], record["stages"]
    assert "by ipmitool on" in around.stage(record, "console")
    dump = Path(record["dump"])
    header = read_dump(dump)
    assert header.complete and header.release == release
    assert dump.read_bytes() == b"".join(machine.host.pull(_newest(machine)))
    assert record["report"]["verdict"]["kind"] == "operator-nmi"
    console = Path(record["console_log"]).read_text(errors="replace")
    assert record["nonce"] in console
    # In an NMI the capture kernel may take over before the console gets a word of the panic.
    assert "elfcorehdr=" in console and "saved vmcore in /var/crash/" in console
    # What panics this machine does not panic its capture kernel.
    assert re.search(r"systemd-sysctl\.service.*was skipped.*!/proc/vmcore", console)
    assert around.password not in dump.parent.parent.parent.joinpath("record.json").read_text()
    # It is armed again by itself, and its doctor knows of the drill, here and on the machine.
    document = answer(machine, "doctor")
    assert document["ready"] is True
    assert status(document)["last-drill"] == "pass"


@full
def test_a_drill_straight_at_the_bmc(patient: Patient) -> None:
    """The same with pyghmi, once there is a route to the BMC."""
    assert patient.armed
    with patient.rack.route():
        record = patient.rack.drill()
    assert record["passed"], record["stages"]
    stage = patient.rack.stage(record, "triggered")
    assert "pulse diagnostic interrupt" in stage and "gives its UUID" in stage
    assert "by ipmitool" not in patient.rack.stage(record, "console")
    assert record["report"]["verdict"]["kind"] == "operator-nmi"


@full
@pytest.mark.parametrize("via", ["redfish", "sysrq", "break"])
def test_a_drill_by_another_way(patient: Patient, via: str) -> None:
    """Redfish over TLS through the jump host's tunnel; root's own hand; BREAK and c over SOL."""
    assert patient.armed
    with patient.rack.redfish() as service:
        record = patient.rack.drill(via=via)
        assert record["passed"], record["stages"]
        assert service.nmis == (1 if via == "redfish" else 0)
    kind = "operator-nmi" if via == "redfish" else "operator-sysrq"
    assert record["report"]["verdict"]["kind"] == kind


@full
def test_a_dump_is_filtered_where_it_lies(patient: Patient, tmp_path: Path) -> None:
    assert patient.armed
    host = patient.machine.host
    source = _newest(patient.machine)
    words = ("--out", str(tmp_path), "--strip", "31", "--no-analysis", "--json")
    patient.rack.kautopsy("collect", *words)
    (dump,) = tmp_path.glob("*/*/dump.*.d31")
    header = read_dump(dump)
    assert header.complete and header.dump_level == 31
    assert dump.stat().st_size <= int(host.run(["stat", "-c", "%s", source]).text)
    assert host.run(["sh", "-c", "ls -A /var/crash/*/ | grep kautopsy"]).text == ""


@full
def test_a_jump_host_dies_while_a_dump_comes_home(patient: Patient, tmp_path: Path) -> None:
    assert patient.armed
    words = ("collect", "--out", str(tmp_path / "home"), "--tries", "1", "--no-analysis")
    (tmp_path / "sshd").mkdir()
    with serve(tmp_path / "sshd") as jump, patient.rack.reached_through(jump):
        collecting = patient.rack.start(*words)
        part = _growing(tmp_path / "home", collecting)
        jump.kill()
        said = collecting.communicate(timeout=600)[1]
        assert collecting.returncode == 4, said
        there = part.stat().st_size
        assert not list((tmp_path / "home").glob("*/*/dump.*[0-9]"))
        jump.start()
        patient.rack.kautopsy(*words)
    (dump,) = (tmp_path / "home").glob("*/*/dump.*[0-9]")
    assert 0 < there < dump.stat().st_size
    assert dump.read_bytes() == b"".join(patient.machine.host.pull(_newest(patient.machine)))


@full
def test_where_no_dump_comes_the_witnesses_tell(patient: Patient, tmp_path: Path) -> None:
    """Its capture kernel is unloaded; pstore, the BMC's log and the console have seen the panic."""
    assert patient.armed
    machine, around = patient.machine, patient.rack
    assert machine.host.run(["kdump-config", "unload"]).status == 0
    machine.host.run(["sh", "-c", "rm -rf /var/crash/*"])
    before = machine.boot_id()
    argv = ("trigger", "--via", "ipmi", "--crash", "kautopsy-lab", "--even-if-not-ready")
    around.kautopsy(*argv, "--no-watch")
    # What a kernel with CONFIG_IPMI_PANIC_EVENT tells its BMC (ipmi_msghandler.c,
    # send_panic_events): sensor type 0x20, run-time critical stop. The cloud kernel has no IPMI.
    around.log_event("0x04 0x20 0x00 0x6f 0xa1 0x00 0x00 # OS stop")
    machine.wait_until_up(after=before)
    done = around.kautopsy("collect", "--out", str(tmp_path), "--json", expect=1)
    witnesses = {one["kind"]: one for one in json.loads(done.stdout)["witnesses"]}
    assert witnesses.keys() == {"pstore", "sel", "console"}
    assert "not syncing: NMI" in witnesses["pstore"]["text"]
    assert "NMI" in witnesses["pstore"]["title"]
    assert "top" in witnesses["sel"]["text"]


@full
def test_disarm_gives_every_file_back(patient: Patient) -> None:
    assert patient.armed
    kautopsy(patient.machine, "disarm", "--yes")
    assert differences(patient.before, manifest(patient.machine.host, *_FOLDERS)) == []


def _newest(machine: Machine) -> str:
    return machine.host.run(["sh", "-c", "ls -d /var/crash/*/dump.* | tail -n 1"]).text.strip()


def _growing(folder: Path, collecting: subprocess.Popen[str]) -> Path:
    """The part of a dump that is here, once it is some megabytes."""
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and collecting.poll() is None:
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):
                if path.is_file() and path.stat().st_size > 4 << 20:
                    return path
        time.sleep(0.02)
    raise AssertionError(f"no dump comes: {collecting.poll()}")
