"""Machines on disk, of each distribution: what boots next, and what the doctor says of it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from kautopsy.arming.bootloader.words import values_of
from kautopsy.arming.distribution import family_of
from kautopsy.arming.doctor import examine
from kautopsy.arming.facts import gather
from kautopsy.host.tree import TreeHost
from kautopsy.model.host import HostFacts, Loader, TargetKind
from kautopsy.model.readiness import Check, CheckStatus

from .trees import TREES, write

# tree: loader, file of the next entry, template, service, what the fix for crashkernel begins with
_TRUTH = {
    "el6": (Loader.GRUB_LEGACY, "/boot/grub/grub.conf", "/boot/grub/grub.conf", "kdump", "grubby"),
    "el7": (Loader.GRUB2, "/boot/grub2/grub.cfg", "/etc/default/grub", "kdump", "grubby"),
    "el8": (
        Loader.GRUB2_BLS,
        "/boot/loader/entries/abc-4.18.0-553.el8_10.x86_64.conf",
        "/boot/grub2/grubenv",
        "kdump",
        "grubby",
    ),
    "el9": (
        Loader.GRUB2_BLS,
        "/boot/loader/entries/ffff-5.14.0-427.el9.x86_64.conf",
        "/etc/kernel/cmdline",
        "kdump",
        "grubby",
    ),
    "fedora": (
        Loader.GRUB2_BLS,
        "/boot/loader/entries/ffff-6.14.0-63.fc42.x86_64.conf",
        "/etc/kernel/cmdline",
        "kdump",
        "grubby",
    ),
    "debian12": (
        Loader.GRUB2,
        "/boot/grub/grub.cfg",
        "/etc/default/grub.d/kdump-tools.cfg",
        "kdump-tools",
        "echo 'GRUB_CMDLINE_LINUX_DEFAULT=",
    ),
    "ubuntu": (
        Loader.GRUB2,
        "/boot/grub/grub.cfg",
        "/etc/default/grub.d/kdump-tools.cfg",
        "kdump-tools",
        "echo 'GRUB_CMDLINE_LINUX_DEFAULT=",
    ),
    "suse": (Loader.GRUB2, "/boot/grub2/grub.cfg", "/etc/default/grub", "kdump", "sed -i"),
    "systemd_boot": (
        Loader.SYSTEMD_BOOT,
        "/boot/efi/loader/entries/m-6.12.1-arch1-1.conf",
        "/etc/kernel/cmdline",
        None,
        "sed -i",
    ),
}


def _look(root: Path) -> tuple[HostFacts, dict[str, Check], bool | None]:
    facts = gather(TreeHost(root))
    document = examine(facts)
    return facts, {check.id: check for check in document.checks}, document.ready


@pytest.mark.parametrize("name", _TRUTH)
def test_an_armed_machine(name: str, tmp_path: Path) -> None:
    loader, source, template, unit, _ = _TRUTH[name]
    TREES[name](tmp_path, "crashkernel=256M")
    facts, checks, ready = _look(tmp_path)
    assert facts.boot is not None
    assert (facts.boot.loader, facts.boot.source) == (loader, source)
    assert "crashkernel=256M" in facts.boot.arguments
    assert [t.source for t in facts.templates] == [template]
    assert (facts.service.unit if facts.service and facts.service.installed else None) == unit
    assert checks["next-boot-entry"].status is CheckStatus.PASS
    assert checks["future-kernels"].status is CheckStatus.PASS
    assert checks["kdump-service"].status is (CheckStatus.PASS if unit else CheckStatus.SKIP)
    assert facts.target.kind is TargetKind.LOCAL
    assert facts.target.path == "/var/crash"
    assert "31" in facts.settings.collector or name == "systemd_boot"
    # Only the running system knows whether anything is reserved or loaded.
    assert ready is None
    assert checks["image-loaded"].status is CheckStatus.UNKNOWN
    assert [c.id for c in checks.values() if c.status is CheckStatus.FAIL] == []


@pytest.mark.parametrize("name", _TRUTH)
def test_one_that_will_not_reserve_memory(name: str, tmp_path: Path) -> None:
    TREES[name](tmp_path, "")
    _, checks, ready = _look(tmp_path)
    assert ready is False
    check = checks["next-boot-entry"]
    assert check.status is CheckStatus.FAIL
    assert check.fix.startswith(_TRUTH[name][4])
    assert "crashkernel=" in check.fix
    assert checks["future-kernels"].status is CheckStatus.WARN


@pytest.mark.parametrize("name", ["el6", "el8", "el9", "fedora", "debian12"])
def test_crashkernel_auto_is_known_to_old_enterprise_kernels_alone(
    name: str, tmp_path: Path
) -> None:
    TREES[name](tmp_path, "crashkernel=auto")
    _, checks, _ = _look(tmp_path)
    known = name in ("el6", "el8")
    assert checks["crashkernel-auto"].status is (CheckStatus.PASS if known else CheckStatus.FAIL)


@pytest.mark.parametrize("name", ["el7", "el9", "debian12", "suse"])
def test_a_masked_service(name: str, tmp_path: Path) -> None:
    TREES[name](tmp_path, "crashkernel=256M")
    unit = _TRUTH[name][3]
    (tmp_path / f"etc/systemd/system/{unit}.service").symlink_to("/dev/null")
    _, checks, ready = _look(tmp_path)
    assert ready is False
    assert checks["kdump-service"].summary == f"{unit}.service is masked"
    assert "unmask" in checks["kdump-service"].fix


def test_debians_switch(tmp_path: Path) -> None:
    TREES["debian12"](tmp_path, "crashkernel=256M")
    write(tmp_path, {"etc/default/kdump-tools": "USE_KDUMP=0\n"})
    _, checks, ready = _look(tmp_path)
    assert ready is False
    assert "USE_KDUMP=1" in checks["kdump-service"].fix


def test_an_initrd_of_another_kernel_and_one_that_is_gone(tmp_path: Path) -> None:
    TREES["debian12"](tmp_path, "crashkernel=256M")
    link = tmp_path / "var/lib/kdump/initrd.img"
    (tmp_path / "var/lib/kdump/initrd.img-5.10.0-1-amd64").write_text("old")
    link.unlink()
    link.symlink_to("initrd.img-5.10.0-1-amd64")
    _, checks, _ = _look(tmp_path)
    assert checks["image-fresh"].status is CheckStatus.FAIL
    assert "another kernel" in checks["image-fresh"].summary
    link.unlink()
    link.symlink_to("initrd.img-6.1.0-99-amd64")
    _, checks, _ = _look(tmp_path)
    assert "missing" in checks["image-fresh"].summary


def test_servers_of_kdump_conf(tmp_path: Path) -> None:
    TREES["el9"](tmp_path, "crashkernel=256M")
    write(tmp_path, {"etc/kdump.conf": "nfs server.example:/export\npath /dumps\n"})
    facts, _, _ = _look(tmp_path)
    assert facts.target.kind is TargetKind.NFS
    assert (facts.target.server, facts.target.path) == ("server.example", "/export/dumps")
    write(
        tmp_path,
        {
            "etc/kdump.conf": "ssh kdump@s\ncore_collector makedumpfile -l -d 31\n"
            "failure_action shell\n"
        },
    )
    facts, checks, _ = _look(tmp_path)
    assert facts.target.kind is TargetKind.SSH
    assert facts.target.server == "kdump@s"
    assert checks["collector-arguments"].status is CheckStatus.FAIL
    assert "-F" in checks["collector-arguments"].fix
    assert checks["failure-action"].status is CheckStatus.WARN


def test_a_trees_links_do_not_lead_out_of_it(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    write(tmp_path, {"secret/kdump.conf": "path /stolen\n", "secret/os-release": "ID=stolen\n"})
    (root / "etc/kdump.conf").symlink_to("../../secret/kdump.conf")
    (root / "usr").symlink_to(f"{tmp_path}/secret")
    (root / "etc/os-release").symlink_to(f"{tmp_path}/secret/os-release")
    (root / "etc/fstab").symlink_to("fstab")
    facts, _, ready = _look(root)
    assert facts.os is None
    assert "stolen" not in repr(facts)
    assert ready is None


def test_an_empty_directory(tmp_path: Path) -> None:
    facts, checks, ready = _look(tmp_path)
    assert ready is None
    assert facts.os is None and facts.boot is None
    assert CheckStatus.PASS not in {checks[i].status for i in ("image-loaded", "kernel-support")}


@pytest.mark.parametrize("name", ["debian12", "suse", "arch_grub", "tumbleweed", "systemd_boot"])
@pytest.mark.parametrize("crashkernel", ["", "crashkernel=64M"])
def test_the_fix_is_a_command_that_works(name: str, crashkernel: str, tmp_path: Path) -> None:
    """What can run in a directory is run there, by a real sh and sed; then the template asks."""
    TREES[name](tmp_path, crashkernel)
    facts = gather(TreeHost(tmp_path))
    fix = family_of(facts.os).set_crashkernel(facts, "300M")
    edits = [part for part in fix.split(" && ") if part.startswith(("sed", "echo"))]
    assert edits
    here = re.sub(r"(?<= )/(etc|boot)/", rf"{tmp_path}/\1/", " && ".join(edits))
    subprocess.run(["sh", "-euc", here], check=True)
    if name == "tumbleweed":
        text = (tmp_path / "etc/sysconfig/kdump").read_text()
        assert 'KDUMP_CRASHKERNEL="crashkernel=300M"' in text
        return
    after = gather(TreeHost(tmp_path))
    asked = [values_of(t.arguments, "crashkernel") for t in after.templates]
    assert asked == [["300M"]]
    if name == "systemd_boot":
        assert after.boot is not None
        assert values_of(after.boot.arguments, "crashkernel") == ["300M"]
