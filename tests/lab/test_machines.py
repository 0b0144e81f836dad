"""What of the whole machines needs no guest: their disk, the cache, the registry, the console."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest

from kautopsy.cli.main import main
from kautopsy.lab.cache import lab_cache
from kautopsy.lab.console import SerialPort
from kautopsy.lab.machines import image as images
from kautopsy.lab.machines.image import MachineImage, cached_image, fetch_image
from kautopsy.lab.machines.relay import ConsoleRelay
from kautopsy.lab.machines.release import find_release
from kautopsy.lab.machines.running import running_machine
from kautopsy.model.base import to_json
from kautopsy.model.errors import MissingToolError, UsageError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return lab_cache()


def _image(disk: bytes = b"disk") -> MachineImage:
    folder = images._folder(find_release("debian12"))
    folder.mkdir(parents=True)
    (folder / "disk.raw").write_bytes(disk)
    image = MachineImage(
        name="debian12",
        folder=str(folder),
        sha256=images._sha256(folder / "disk.raw"),
        modified_ns=(folder / "disk.raw").stat().st_mtime_ns,
    )
    (folder / "image.json").write_text(to_json(image))
    return image


def test_the_disk_has_a_partition_with_the_system_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "_DISK_BYTES", 32 << 20)
    tree, root, disk = tmp_path / "tree", tmp_path / "root", tmp_path / "disk"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/hostname").write_text("lab\n")
    root.mkdir()
    with tarfile.open(tmp_path / "root.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(tree.rglob("*")):
            info = tar.gettarinfo(path, str(path.relative_to(tree)))
            info.uid, info.gid = 0, 42
            with path.open("rb") if path.is_file() else contextlib.nullcontext() as file:
                tar.addfile(info, file)
    images._make_disk(tmp_path / "root.tar", root, disk)
    with disk.open("rb") as whole:
        sector = whole.read(512)
    # The layout every BIOS and GRUB reads: four entries from 446 on, then the signature.
    active, kind, start, count = struct.unpack("<B3xB3xII", sector[446:462])
    assert (active, kind, start, count) == (0x80, 0x83, 2048, (32 << 20) // 512 - 2048)
    assert sector[462:] == bytes(48) + b"\x55\xaa"
    partition = tmp_path / "partition"
    with disk.open("rb") as whole, partition.open("wb") as part:
        whole.seek(2048 * 512)
        shutil.copyfileobj(whole, part)
    asked = ["debugfs", "-R", "stat /etc/hostname", str(partition)]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert "Group:    42" in said
    label = subprocess.run(["e2label", str(partition)], capture_output=True, text=True, check=True)
    assert label.stdout.strip() == "root"


def test_an_image_that_was_touched_is_compared(cache: Path) -> None:
    assert cached_image("debian12") is None
    image = _image()
    assert cached_image("debian12") == image
    os.utime(image.disk)
    assert cached_image("debian12") == image
    image.disk.write_bytes(b"else")
    assert cached_image("debian12") is None


def test_another_recipe_is_another_image(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _image()
    monkeypatch.setattr(images, "PACKAGES", ("nothing",))
    assert cached_image("debian12") is None


def test_the_second_time_nothing_is_fetched(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = _image()
    monkeypatch.setenv("PATH", "/nonexistent")
    assert fetch_image("debian12") == image


def test_without_mmdebstrap_it_says_what_to_install(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(images, "_path", lambda: str(tmp_path))
    with pytest.raises(MissingToolError) as caught:
        fetch_image("debian13")
    assert "install mmdebstrap" in caught.value.hint
    assert [path.name for path in (cache / "machines").iterdir()] == [".lock"]


def test_a_machine_that_nobody_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "lab:hurd"]) == 2
    assert "no-such-machine: hurd: " in capsys.readouterr().err
    with pytest.raises(UsageError, match="no such machine"):
        fetch_image("hurd")


def test_options_of_guests_are_refused_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "run", "debian12", "--crashkernel", "64M"]) == 2
    assert "--crashkernel is for guests" in capsys.readouterr().err


def test_who_keeps_a_machine_running_is_found_while_he_lives(cache: Path) -> None:
    entry = cache / "running" / "debian12.json"
    entry.parent.mkdir()
    entry.write_text('{"name": "lab:debian12", "ssh": "debian12"}')
    # Whoever wrote it is gone.
    assert running_machine("debian12") is None
    keeper = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import fcntl, sys, time; f = open(sys.argv[1], 'ab'); fcntl.flock(f, fcntl.LOCK_EX);"
            "print('kept', flush=True); time.sleep(60)",
            str(entry),
        ],
        stdout=subprocess.PIPE,
    )
    assert keeper.stdout is not None
    try:
        assert keeper.stdout.readline() == b"kept\n"
        found = running_machine("debian12")
        assert found is not None and found.ssh == "debian12"
    finally:
        keeper.kill()
        keeper.wait()
        keeper.stdout.close()
    assert running_machine("debian12") is None
    with entry.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_console_has_any_number_of_listeners_who_may_all_type(tmp_path: Path) -> None:
    ours, machine = socket.socketpair()
    port = SerialPort(ours, news=threading.Condition())
    path = tmp_path / "console"
    with ConsoleRelay(port, path):
        one, two = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        for client in (one, two):
            client.connect(str(path))
            client.settimeout(10)
        one.sendall(b"a")
        assert machine.recv(1) == b"a"
        two.sendall(b"b")
        assert machine.recv(1) == b"b"
        machine.sendall(b"panic\r\n")
        assert _read(one, 7) == _read(two, 7) == b"panic\r\n"
        two.close()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            machine.sendall(b".")
            if one.recv(1) == b".":
                break
    assert one.recv(100).strip(b".") == b""
    one.close()
    port.close()
    machine.close()


def _read(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += client.recv(count - len(data))
    return data
