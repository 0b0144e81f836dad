"""A whole Debian, from "not ready" to a dump and back: over ssh, through GRUB, with its own tools.

One machine serves all tests of a release, in the order in which they stand here.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kautopsy.dump.header import read_dump
from kautopsy.lab.machines.image import fetch_image
from kautopsy.lab.machines.machine import Machine, MachineConfig
from kautopsy.model.errors import UnreachableError

from .command import answer, kautopsy, status
from .manifest import differences, manifest

pytestmark = [
    pytest.mark.guest,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="mmdebstrap is not installed"),
    pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed"),
]
_FOLDERS = ("etc", "boot")


@dataclass
class Patient:
    """A machine and what is known of it."""

    machine: Machine
    before: dict[str, tuple[str, ...]]
    armed: bool = False
    dumps: list[str] = field(default_factory=list)


@pytest.fixture(scope="module", params=["debian12"])
def patient(request: pytest.FixtureRequest) -> Iterator[Patient]:
    with Machine(MachineConfig(fetch_image(request.param))) as machine:
        machine.boot()
        machine.wait_until_up()
        yield Patient(machine, manifest(machine.host, *_FOLDERS))


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


def test_arm_apply_and_a_reboot_make_it_ready(patient: Patient) -> None:
    machine = patient.machine
    kautopsy(machine, "arm", "--apply", "--yes")
    assert answer(machine, "arm")["steps"] == []
    machine.reboot()
    document = answer(machine, "doctor")
    assert document["ready"] is True, [c for c in document["checks"] if c["status"] == "fail"]
    # Not only we say so.
    assert "ready to kdump" in machine.host.run(["kdump-config", "status"]).text
    assert int(machine.host.read("/sys/kernel/kexec_crash_size")) >= 128 << 20
    assert machine.host.read("/proc/sys/kernel/unknown_nmi_panic").strip() == b"1"
    assert answer(machine, "arm")["steps"] == []
    patient.armed = True


def test_it_dies_and_leaves_a_dump(patient: Patient, tmp_path: Path) -> None:
    assert patient.armed
    machine = patient.machine
    release = machine.host.run(["uname", "-r"]).text.strip()
    before = machine.boot_id()
    with contextlib.suppress(UnreachableError):
        machine.host.run(["sh", "-c", "echo c >/proc/sysrq-trigger"], timeout=10)
    machine.wait_until_up(after=before)
    names = machine.host.run(["sh", "-c", "ls -d /var/crash/*/*"]).text.split()
    (dump,) = (name for name in names if name.rpartition("/")[2].startswith("dump."))
    local = tmp_path / "dump"
    with local.open("wb") as file:
        file.writelines(machine.host.pull(dump))
    header = read_dump(local)
    assert header.complete, header.problems
    assert header.release == release
    # It is armed again by itself.
    assert answer(machine, "doctor")["ready"] is True


def test_disarm_gives_every_file_back(patient: Patient) -> None:
    assert patient.armed
    kautopsy(patient.machine, "disarm", "--yes")
    assert differences(patient.before, manifest(patient.machine.host, *_FOLDERS)) == []
