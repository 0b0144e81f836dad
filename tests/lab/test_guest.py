"""Guests that really boot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kautopsy.dump.header import read_dump
from kautopsy.lab.config import GuestConfig, Limits
from kautopsy.lab.errors import CaptureError, GuestCommandError, GuestLostError
from kautopsy.lab.guest import Guest, State, Way
from kautopsy.lab.kernels import fetch_kernel
from kautopsy.lab.qemu import Accelerator
from kautopsy.lab.series import SERIES
from kautopsy.lab.specimen import Specimen
from kautopsy.lab.tools import fetch_tools
from kautopsy.model.errors import UsageError

pytestmark = pytest.mark.guest


@pytest.mark.parametrize("series", SERIES)
def test_each_kernel_dies_and_leaves_a_dump_of_itself(
    series: str, lab_vmcore: Callable[[str], Specimen]
) -> None:
    specimen = lab_vmcore(series)
    assert specimen.facts.release.startswith(f"{series}.")
    header = read_dump(specimen.vmcore)
    assert header.complete
    assert header.release == specimen.facts.release
    # makedumpfile is another reader of the dump than ours.
    log = fetch_tools(SERIES[series].tools).kernel_log(specimen.vmcore)
    assert any(specimen.nonce in line for line in log)
    assert any("sysrq: Trigger a crash" in line for line in log)
    assert specimen.nonce in specimen.console
    assert specimen.console.count("] Linux version ") == 2
    assert specimen.writer.comm == "sh"
    assert {"loop", "virtio_blk", "virtio_net", "overlay"} <= set(specimen.facts.modules)
    assert specimen.facts.cpus == 2


def test_commands_files_and_states_of_a_living_guest(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\necho tool $1\n")
    (tmp_path / "tool").chmod(0o755)
    config = GuestConfig(
        fetch_kernel("6.1"),
        append="quiet kautopsy.test=1",
        files={"/lab/tool": tmp_path / "tool", "lab/data": b"\0\1\2"},
        crashkernel="",
    )
    with Guest(config) as guest:
        with pytest.raises(UsageError):
            guest.run("true")
        guest.transition(State.BOOTED)
        folder = guest.folder
        assert guest.run("/lab/tool 7").output == "tool 7\n"
        assert guest.run("od -An -tx1 /lab/data").output.split() == ["00", "01", "02"]
        assert "kautopsy.test=1" in guest.run("cat /proc/cmdline").output
        with pytest.raises(GuestCommandError, match="status 9: no"):
            guest.run("echo no; exit 9")
        assert guest.qmp.execute("query-status")["status"] == "running"
        with pytest.raises(GuestLostError, match="nothing after"):
            guest.run("sleep 1000", limit=2)
        with pytest.raises(UsageError):
            guest.transition(State.OFF)
        times = [line.seconds for line in guest.console.lines]
        assert times == sorted(times)
    assert not folder.exists()


def test_a_guest_that_cannot_boot_is_lost_with_its_last_words() -> None:
    config = GuestConfig(fetch_kernel("6.1"), append="rdinit=/none init=/none")
    with Guest(config) as guest, pytest.raises(GuestLostError) as caught:
        guest.transition(State.BOOTED)
    assert "panicked while it booted" in caught.value.what
    assert "Kernel panic" in caught.value.hint


def test_qemus_own_refusal_is_told() -> None:
    config = GuestConfig(fetch_kernel("6.1"), qemu=("-device", "no-such-device"))
    with Guest(config) as guest, pytest.raises(GuestLostError) as caught:
        guest.transition(State.BOOTED)
    assert "no-such-device" in caught.value.hint


def test_an_unarmed_machine_that_dies_is_told_apart_at_once() -> None:
    with Guest(GuestConfig(fetch_kernel("6.1"))) as guest:
        guest.transition(State.BOOTED)
        guest.crash(Way.SYSRQ)
        started = time.monotonic()
        with pytest.raises(CaptureError, match="no capture kernel took over"):
            guest.transition(State.CAPTURED)
        assert time.monotonic() - started < Limits().patient().silence


@pytest.mark.parametrize(
    ("how", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_qemu_does_not_outlive_its_parent(how: signal.Signals, status: int, tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-m", "kautopsy", "lab", "run"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        # Whoever runs the tests in the background may have had SIGINT ignored for all of them.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    _until(lambda: _qemu_of(tmp_path) != [], "QEMU starts")
    parent.send_signal(how)
    parent.communicate(timeout=60)
    assert parent.returncode == status
    _until(lambda: _qemu_of(tmp_path) == [], "QEMU ends")
    # Nobody can clean up after SIGKILL; QEMU is gone even then.
    if how is not signal.SIGKILL:
        assert list(tmp_path.iterdir()) == []


def _qemu_of(folder: Path) -> list[int]:
    found = []
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = cmdline.read_bytes()
        except OSError:
            continue
        if words.startswith(b"qemu-system") and bytes(folder) in words:
            found.append(int(cmdline.parent.name))
    return found


def _until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_the_second_time_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    fetch_tools(fetch_kernel("6.1").series.tools)
    monkeypatch.setenv("KAUTOPSY_DEBIAN_MIRROR", "http://nowhere.invalid/debian")
    monkeypatch.setenv("PATH", "/nonexistent")
    kernel = fetch_kernel("6.1")
    assert kernel.vmlinuz.stat().st_size > 1 << 20
    assert fetch_tools(kernel.series.tools).makedumpfile.is_file()


def test_tcg_always_works() -> None:
    config = GuestConfig(fetch_kernel("6.1"), accelerator=Accelerator.TCG, cpus=1, memory_mib=512)
    with Guest(config) as guest:
        guest.transition(State.BOOTED)
        assert guest.facts().cpus == 1
