"""The parts of a rehearsal that need no guest: what is fetched, and how a console is judged."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import msgspec
import pytest

from kautopsy.arming.facts import gather
from kautopsy.drill.rehearsal import baggage, stage
from kautopsy.drill.rehearsal.baggage import NothingToRehearseError, pack
from kautopsy.drill.rehearsal.check import size_to_rehearse
from kautopsy.drill.rehearsal.disk import make_disk, saved_dumps
from kautopsy.drill.rehearsal.stage import Ending
from kautopsy.host.tree import TreeHost
from kautopsy.model.errors import UsageError

_BOOTED = "[    0.000000] Linux version 6.1.0-50-amd64 (debian-kernel@lists.debian.org)"
_PANIC = "Kernel panic - not syncing: sysrq triggered crash"


def _judge(*lines: str, problem: str = "no dump is in /var/crash", expected: bool = True) -> Ending:
    return stage._judge([_PANIC, *lines], 64, problem, expected=expected)[0]


@pytest.mark.parametrize(
    ("lines", "problem", "expected", "ending"),
    [
        ([_BOOTED, "reboot: Restarting system"], "", True, Ending.SAVED),
        ([_BOOTED, "kworker/u2:0 invoked oom-killer: gfp"], "none", True, Ending.OUT_OF_MEMORY),
        ([_BOOTED, "System is deadlocked on memory"], "none", False, Ending.OUT_OF_MEMORY),
        ([_BOOTED, "Unable to mount root fs on unknown-block(0,0)"], "x", True, Ending.NOT_BOOTED),
        ([], "none", True, Ending.NOT_BOOTED),
        ([_BOOTED, "Run /init as init process", "x"], "on nfs", False, Ending.BOOTED),
        ([_BOOTED, "Run /init as init process", "x"], "no dump", True, Ending.NOT_SAVED),
        # A process was killed, and the dump was saved all the same.
        ([_BOOTED, "Out of memory: Killed process 1"], "", True, Ending.SAVED),
    ],
)
def test_a_console_is_judged(
    lines: list[str], problem: str, expected: bool, ending: Ending
) -> None:
    assert _judge(*lines, problem=problem, expected=expected) is ending


def _debian(root: Path) -> None:
    files = {
        "etc/os-release": "ID=debian\nVERSION_ID=12\n",
        "etc/default/kdump-tools": 'USE_KDUMP=1\nKDUMP_CMDLINE="ro console=tty0 root=/dev/sda1'
        ' crashkernel=64M quiet"\n',
        "lib/modules/6.1.0-50-amd64/modules.dep": "",
        "lib/modules/6.1.0-50-amd64/modules.builtin": "kernel/drivers/nvme/host/nvme.ko\n",
        "boot/vmlinuz-6.1.0-50-amd64": "kernel",
        "boot/grub/grub.cfg": "",
        "var/lib/kdump/initrd.img-6.1.0-50-amd64": "initrd",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "var/lib/kdump/initrd.img").symlink_to("initrd.img-6.1.0-50-amd64")
    (root / "var/lib/kdump/vmlinuz").symlink_to("/boot/vmlinuz-6.1.0-50-amd64")


def test_what_is_fetched_of_a_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, folder = tmp_path / "root", tmp_path / "folder"
    folder.mkdir()
    _debian(root)
    host = TreeHost(root)
    monkeypatch.setattr(baggage, "_userland", lambda host, final: final)
    packed = pack(host, gather(host), folder)
    assert packed.kernel.read_text() == "kernel"
    assert packed.initrd.read_text() == "initrd"
    words = packed.cmdline.split()
    assert "crashkernel=64M" not in words and "root=/dev/sda1" not in words
    assert {"ro", "quiet", "nr_cpus=1", "systemd.unit=kdump-tools-dump.service"} <= set(words)
    assert packed.userland is not None and packed.why_not_saved == ""
    assert packed.saves_to == "/var/crash"


def test_a_target_that_has_no_stand_in(tmp_path: Path) -> None:
    root, folder = tmp_path / "root", tmp_path / "folder"
    folder.mkdir()
    _debian(root)
    with (root / "etc/default/kdump-tools").open("a") as file:
        file.write('NFS="filer:/dumps"\n')
    host = TreeHost(root)
    packed = pack(host, gather(host), folder)
    assert "nfs" in packed.why_not_saved and "filer" in packed.why_not_saved
    assert packed.userland is None


@pytest.mark.parametrize(
    ("initrd", "kernel", "os"),
    [
        ("boot/initramfs-{}kdump.img", "boot/vmlinuz-{}", "ID=rocky\nVERSION_ID=9.4\n"),
        ("var/lib/kdump/initrd", "var/lib/kdump/kernel", "ID=sles\nVERSION_ID=15.6\n"),
        ("boot/initrd-{}-kdump", "boot/vmlinuz-{}", "ID=sles\nVERSION_ID=15.3\n"),
    ],
)
def test_an_initrd_that_saves_by_itself(initrd: str, kernel: str, os: str, tmp_path: Path) -> None:
    root, folder = tmp_path / "root", tmp_path / "folder"
    folder.mkdir()
    release = "5.14.0-1.x86_64"
    for name, text in (
        ("etc/os-release", os),
        ("etc/kdump.conf", "path /var/crash\n"),
        ("etc/sysconfig/kdump", 'KDUMP_SAVEDIR="/var/crash"\n'),
        (f"lib/modules/{release}/modules.dep", ""),
        (initrd.format(release), "initrd"),
        (kernel.format(release), "kernel"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    host = TreeHost(root)
    packed = pack(host, gather(host), folder)
    assert (packed.initrd.read_text(), packed.kernel.read_text()) == ("initrd", "kernel")
    assert packed.release == release
    # Of a tree nobody knows the device: it can be booted, not saved.
    assert packed.userland is None and "running system" in packed.why_not_saved


def test_without_an_initrd_there_is_nothing_to_rehearse(tmp_path: Path) -> None:
    root = tmp_path / "root"
    _debian(root)
    for path in (root / "var/lib/kdump").iterdir():
        path.unlink()
    host = TreeHost(root)
    with pytest.raises(NothingToRehearseError, match="no capture initrd"):
        pack(host, gather(host), tmp_path)


def test_which_size(tmp_path: Path) -> None:
    _debian(tmp_path)
    facts = gather(TreeHost(tmp_path))
    assert size_to_rehearse(facts, 64) == 64
    assert size_to_rehearse(facts, None) >= 192  # nothing is reserved: what would be recommended
    reserved = msgspec.structs.replace(facts.kexec, size=128 << 20)
    assert size_to_rehearse(msgspec.structs.replace(facts, kexec=reserved), None) == 128
    with pytest.raises(UsageError):
        size_to_rehearse(facts, 1)


def test_the_disk_holds_the_programs_and_shows_what_was_saved(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "etc/default").mkdir(parents=True)
    (tree / "etc/default/kdump-tools").write_text("USE_KDUMP=0\nNFS=\n")
    (tree / "etc/fstab").write_text("UUID=of-the-machine / xfs defaults 0 0\n")
    (tree / "var/crash/202601010000").mkdir(parents=True)
    (tree / "var/crash/202601010000/dump-incomplete").write_bytes(b"KDUMP   ")
    archive = tmp_path / "userland.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tree, ".")
    disk = tmp_path / "disk"
    uuid = "6b617574-6f70-4379-8265-686561727365"
    make_disk(disk, archive, uuid)
    shown = [
        subprocess.run(
            ["debugfs", "-R", f"cat {name}", str(disk)], capture_output=True, text=True, check=True
        ).stdout
        for name in ("/etc/fstab", "/etc/default/kdump-tools")
    ]
    assert shown == [f"UUID={uuid} / ext4 errors=remount-ro 0 1\n", "USE_KDUMP=1\nNFS=\n"]
    assert "incomplete" in saved_dumps(disk, "/var/crash", tmp_path)
    assert "no dump is in /elsewhere" in saved_dumps(disk, "/elsewhere", tmp_path)
