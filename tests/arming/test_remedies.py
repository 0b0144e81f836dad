"""The doctor's commands, run by a real shell on files like a machine's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kautopsy.arming.distribution import family_of
from kautopsy.arming.remedies import edit_command_line, set_sysctls
from kautopsy.model.host import (
    BootEntry,
    HostFacts,
    ImageFacts,
    KdumpSettings,
    KexecFacts,
    Loader,
    MemoryFacts,
    OsRelease,
    TargetFacts,
    TargetKind,
)

_LINE = (
    "BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro quiet softlockup_panic=1 mem=4G oops=panic memmap=1M\n"
)
_KEPT = ["BOOT_IMAGE=/vmlinuz", "root=/dev/sda1", "ro", "quiet", "memmap=1M"]
_LEAKS = ["softlockup_panic", "mem", "oops"]


def _facts(distribution: str) -> HostFacts:
    return HostFacts(
        live=True,
        root=True,
        os=OsRelease(id=distribution, version="12"),
        kexec=KexecFacts(),
        memory=MemoryFacts(),
        boot=BootEntry(loader=Loader.GRUB2, source="/boot/grub/grub.cfg", title="", arguments=()),
        settings=KdumpSettings(removed=("crashkernel",)),
        image=ImageFacts(),
        target=TargetFacts(kind=TargetKind.LOCAL, path="/var/crash"),
        tools=("update-grub",),
    )


def _sh(command: str, root: Path) -> None:
    """Run it on the files below ``root``, with the programs that rebuild things as no-ops."""
    bin_ = root / "bin"
    bin_.mkdir()
    for name in ("update-grub", "reboot", "kdump-config", "kdumpctl", "mkdumprd", "sysctl"):
        (bin_ / name).write_text("#!/bin/sh\n")
        (bin_ / name).chmod(0o755)
    for folder in ("/etc", "/proc/cmdline"):
        command = command.replace(folder, f"{root}{folder}")
    subprocess.run(["sh", "-ec", f"PATH={bin_}:$PATH; {command}"], check=True, timeout=30)


@pytest.mark.parametrize(
    ("distribution", "file", "name", "text"),
    [
        ("debian", "etc/default/kdump-tools", "KDUMP_CMDLINE", 'USE_KDUMP=1\n#KDUMP_CMDLINE=""\n'),
        ("opensuse-leap", "etc/sysconfig/kdump", "KDUMP_COMMANDLINE", 'KDUMP_COMMANDLINE=""\n'),
    ],
)
def test_words_are_kept_from_the_capture_kernel(
    distribution: str, file: str, name: str, text: str, tmp_path: Path
) -> None:
    for path, contents in ((file, text), ("proc/cmdline", _LINE)):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(contents)
    facts = _facts(distribution)
    command = family_of(facts.os).drop_capture_words(facts, _LEAKS)
    _sh(command.partition(" && ")[0], tmp_path)
    said = subprocess.run(
        ["sh", "-c", f'. {tmp_path / file}; printf "%s" "${name}"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split() == _KEPT


def test_kdumpctl_is_told_which_words_to_remove(tmp_path: Path) -> None:
    file = tmp_path / "etc/sysconfig/kdump"
    file.parent.mkdir(parents=True)
    file.write_text('KDUMP_COMMANDLINE_REMOVE="hugepages quiet"\n')
    facts = _facts("rhel")
    command = family_of(facts.os).drop_capture_words(facts, _LEAKS)
    _sh(command.partition(" && ")[0], tmp_path)
    assert file.read_text() == (
        'KDUMP_COMMANDLINE_REMOVE="softlockup_panic mem oops hugepages quiet"\n'
    )


def test_the_command_line_of_later_boots_is_edited(tmp_path: Path) -> None:
    file = tmp_path / "etc/default/grub"
    file.parent.mkdir(parents=True)
    file.write_text('GRUB_CMDLINE_LINUX="nolapic quiet noapic"\nGRUB_CMDLINE_LINUX_DEFAULT="x"\n')
    facts = _facts("debian")
    _sh(edit_command_line(facts, add=["console=ttyS0"], drop=["nolapic", "noapic"]), tmp_path)
    first, second = file.read_text().splitlines()
    assert first.split('"')[1].split() == ["console=ttyS0", "quiet"]
    assert second == 'GRUB_CMDLINE_LINUX_DEFAULT="x"'


def test_sysctls_are_written_and_read(tmp_path: Path) -> None:
    (tmp_path / "etc/sysctl.d").mkdir(parents=True)
    command = set_sysctls("90-x", {"kernel.panic": "10", "kernel.panic_on_oops": "1"})
    assert command.endswith(" && sysctl -p /etc/sysctl.d/90-x.conf")
    _sh(command, tmp_path)
    assert (tmp_path / "etc/sysctl.d/90-x.conf").read_text() == (
        "kernel.panic = 10\nkernel.panic_on_oops = 1\n"
    )
