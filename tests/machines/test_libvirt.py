"""``--via libvirt`` with a real libvirtd: virsh inject-nmi, and virsh console to see it panic."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kautopsy.lab.initramfs import Contents, build
from kautopsy.lab.kernels import fetch_kernel
from kautopsy.lab.series import DEFAULT
from kautopsy.lab.tools import fetch_tools

_NOBODY = 65534
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_LIBVIRTD = shutil.which("libvirtd", path=_PATH)
pytestmark = [
    pytest.mark.guest,
    pytest.mark.skipif(os.geteuid() != 0, reason="gives libvirtd to nobody, which takes root"),
    pytest.mark.skipif(_LIBVIRTD is None, reason="libvirtd is not installed"),
    pytest.mark.skipif(shutil.which("virsh") is None, reason="virsh is not installed"),
]
_DOMAIN = """\
<domain type='qemu'>
  <name>kautopsy</name>
  <memory unit='MiB'>512</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{folder}/vmlinuz</kernel>
    <initrd>{folder}/initramfs</initrd>
    <cmdline>console=ttyS0 {words}</cmdline>
  </os>
  <features><acpi/><apic/></features>
  <cpu mode='maximum'/>
  <devices>
    <serial type='pty'><log file='{folder}/run/boot.log' append='off'/></serial>
    <console type='pty'/>
    <memballoon model='none'/>
    <controller type='usb' model='none'/>
  </devices>
</domain>
"""


@pytest.fixture(scope="module")
def uri() -> Iterator[str]:
    """A libvirtd of nobody's own: it reads none of this machine's configuration."""
    with tempfile.TemporaryDirectory(prefix="kautopsy-libvirt-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        kernel = fetch_kernel(DEFAULT)
        contents = Contents(
            modules=(), makedumpfile=("-c",), hostname="lab", files={}, prelude="", capture=False
        )
        tools = fetch_tools(kernel.series.tools)
        initramfs = build(tools, kernel.modules(), kernel.vmlinuz, contents)
        (folder / "initramfs").write_bytes(initramfs)
        shutil.copyfile(kernel.vmlinuz, folder / "vmlinuz")
        run = folder / "run"
        run.mkdir()
        run.chmod(0o777)
        argv = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
        with (folder / "libvirtd.log").open("wb") as log:
            daemon = subprocess.Popen(
                [*argv, "--pdeathsig", "TERM", str(_LIBVIRTD)],
                env={"PATH": _PATH, "HOME": name, "XDG_RUNTIME_DIR": str(run)},
                stdout=log,
                stderr=log,
            )
        uri = f"qemu+unix:///session?socket={run}/libvirt/libvirt-sock"
        try:
            deadline = time.monotonic() + 60
            while _virsh(uri, "uri", check=False):
                assert daemon.poll() is None, (folder / "libvirtd.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.2)
            yield uri
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):
                _virsh(uri, "destroy", "kautopsy")
            daemon.terminate()
            daemon.wait(30)


def _virsh(uri: str, *words: str, check: bool = True) -> int:
    argv = ["virsh", "-q", "-c", uri, *words]
    return subprocess.run(argv, capture_output=True, timeout=120, check=check).returncode


def _folder(uri: str) -> Path:
    return Path(uri.partition("socket=")[2]).parent.parent.parent


def _boots(log: Path) -> None:
    """Wait until its kernel is so far as to have handlers for an NMI."""
    deadline = time.monotonic() + 600
    while not (log.exists() and b"Run /init as init process" in log.read_bytes()):
        assert time.monotonic() < deadline, log.read_bytes()[-500:] if log.exists() else "no log"
        time.sleep(0.5)


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ("unknown_nmi_panic", 0, "panic: NMI: Not continuing"),
        ("", 1, "Dazed and confused, but trying to continue"),
    ],
)
def test_a_domain_gets_its_nmi(
    words: str, status: int, told: str, uri: str, tmp_path: Path
) -> None:
    """It answers no ssh: the UUID that libvirt gives proves whose NMI it is."""
    (tmp_path / "domain.xml").write_text(_DOMAIN.format(folder=_folder(uri), words=words))
    _virsh(uri, "create", str(tmp_path / "domain.xml"))
    try:
        argv = ["virsh", "-q", "-c", uri, "domuuid", "kautopsy"]
        uuid = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
        console = tmp_path / "console"
        (tmp_path / "inventory.toml").write_text(
            "[hosts.db]\n"
            'ssh = "root@127.0.0.1"\noptions = ["Port=1"]\n'
            f'nodename = "lab"\nuuid = {json.dumps(uuid)}\nconsole = {{ libvirt = true }}\n'
            f'[hosts.db.libvirt]\nuri = {json.dumps(uri)}\ndomain = "kautopsy"\n'
        )
        _boots(_folder(uri) / "run/boot.log")
        done = subprocess.run(
            [
                *(sys.executable, "-m", "kautopsy", "trigger", "db", "--via", "libvirt"),
                *("--crash", "lab", "--even-if-not-ready", "--no-watch", "--patience", "3"),
                *("--console-dir", str(console)),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
            env={
                **os.environ,
                "KAUTOPSY_INVENTORY": str(tmp_path / "inventory.toml"),
                "XDG_STATE_HOME": str(tmp_path / "state"),
            },
        )
        said = done.stdout + done.stderr
        assert done.returncode == status, said
        assert told in said
        assert "gives its UUID" in said
        assert "NMI received for unknown reason" in (console / "console.log").read_text()
    finally:
        _virsh(uri, "destroy", "kautopsy")
