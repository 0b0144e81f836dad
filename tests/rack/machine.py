"""A machine for the fast tier: a real sshd in namespaces of its own, that can die and come back.

It has its own node name, boot id, settings and kernel log, and what is written to its
sysrq-trigger, or comes as an NMI, kills it: every process of it ends, its console says what a
kernel says, a "capture kernel" saves a dump, and it boots with another boot id. Nothing of the real
machine can be reached through it: /proc is a folder of links, with a trigger of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.host.sshd import SSHD, free_port, make_key

NODE = "rack-7"
_SETUP = r"""
set -e
root=$1 node=$2 sshd=$3
hostname "$node"
mkdir -p "$root/proc"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs /proc
for path in "$root"/proc/[a-z]*; do ln -s "$path" "/proc/${path##*/}"; done
rm -f /proc/sysrq-trigger /proc/uptime
ln -s "$root/sysrq-trigger" /proc/sysrq-trigger
echo 1.00 1.00 >/proc/uptime
for name in random/boot_id unknown_nmi_panic panic_on_unrecovered_nmi panic_on_io_nmi sysrq; do
    file=$root/proc/sys/kernel/$name
    [ -e "$file" ] && mount --bind "$root/${name##*/}" "$file"
done
mount --bind "$root/kmsg" /dev/kmsg
mount --bind "$root/hosts" /etc/hosts
mkdir -p "$root/upper" "$root/work"
mount -t overlay overlay -o "lowerdir=/var/lib,upperdir=$root/upper,workdir=$root/work" /var/lib
if [ -e /sys/class/dmi/id/product_uuid ]; then
    mount --bind "$root/product_uuid" /sys/class/dmi/id/product_uuid
    mount --bind "$root/product_serial" /sys/class/dmi/id/product_serial
fi
exec "$sshd" -D -e -f "$root/sshd_config"
"""
_BOOT = [
    "[    0.000000] Linux version 6.1.0-50-amd64 (debian-kernel@lists.debian.org)",
    "[    0.000000] Command line: BOOT_IMAGE=/vmlinuz-6.1.0-50-amd64 root=/dev/vda2 ro",
]
_CAPTURE = [
    "[    0.000000] Linux version 6.1.0-50-amd64 (debian-kernel@lists.debian.org)",
    "[    0.000000] Command line: root=/dev/vda2 reset_devices nr_cpus=1 elfcorehdr=0x7f000000",
    "[    3.100000] kdump-tools[236]: Starting kdump-tools:",
    "running makedumpfile -F -c -d 31 /proc/vmcore | compress > /var/crash/dump-incomplete.",
    "Copying data                                      : [ 41.7 %] |           eta: 3s",
    "Copying data                                      : [100.0 %] -           eta: 0s",
    "kdump-tools: saved vmcore in /var/crash/202611261000.",
    "[    9.900000] reboot: Restarting system",
]


def possible() -> bool:
    """Whether namespaces can be made here, and there is an sshd."""
    if SSHD is None or os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    done = subprocess.run(
        ["unshare", "-mupf", "--propagation", "private", "true"], capture_output=True, check=False
    )
    return done.returncode == 0


class Machine:
    """One machine.

    :param on_console: called with every piece of text of its serial console
    :ivar obeys: its kernel panics on an NMI
    :ivar saves: its capture kernel saves a dump
    :ivar deaths: how often it has died
    """

    def __init__(self, root: Path, dump: Path | bytes) -> None:
        self.root = root
        self.port = free_port()
        self.obeys = True
        self.saves = True
        self.deaths = 0
        self.saving_seconds = 0.5
        self.listeners: list[Callable[[str], None]] = []
        self._dump = dump
        self._daemon: subprocess.Popen[bytes] | None = None
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._live, daemon=True)

    # -- how it is reached -------------------------------------------------------------------

    @property
    def options(self) -> tuple[str, ...]:
        return (
            f"Port={self.port}",
            f"IdentityFile={self.root}/user",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            f"UserKnownHostsFile={self.root}/known_hosts",
            "GlobalKnownHostsFile=/dev/null",
        )

    @property
    def crash_folder(self) -> Path:
        return self.root / "crash"

    def know(self, key: str = "host") -> None:
        public = (self.root / f"{key}.pub").read_text()
        (self.root / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {public}")

    # -- its life ----------------------------------------------------------------------------

    def build(self) -> None:
        for name in ("host", "other", "user"):
            make_key(self.root / name)
        shutil.copy(self.root / "user.pub", self.root / "authorized_keys")
        self.crash_folder.mkdir()
        (self.root / "product_uuid").write_text("4c4c4544-0037-3010-8048-b7c04f4d3733\n")
        (self.root / "product_serial").write_text("7G70H73\n")
        self.set("unknown_nmi_panic", 1)
        self.set("panic_on_unrecovered_nmi", 0)
        self.set("panic_on_io_nmi", 0)
        self.set("sysrq", 438)
        (self.root / "kmsg").touch()
        (self.root / "hosts").write_text("127.0.0.1 localhost\n")
        (self.root / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {self.root}/host\nPidFile none\n"
            f"AuthorizedKeysFile {self.root}/authorized_keys\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        )
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.know()

    def set(self, name: str, value: int) -> None:
        (self.root / name).write_text(f"{value}\n")

    def boot(self) -> None:
        (self.root / "boot_id").write_text(f"{uuid.uuid4()}\n")
        (self.root / "sysrq-trigger").write_text("")
        for line in _BOOT:
            self.say(line + "\r\n")
        with (self.root / "log").open("ab") as log:
            namespaces = ["unshare", "-mupf", "--propagation", "private", "--kill-child"]
            self._daemon = subprocess.Popen(
                [*namespaces, "sh", "-c", _SETUP, "sh", str(self.root), NODE, str(SSHD)],
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        deadline = time.monotonic() + 30
        while True:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), timeout=1),
            ):
                break
            assert self._daemon.poll() is None, (self.root / "log").read_text()
            assert time.monotonic() < deadline, (self.root / "log").read_text()
            time.sleep(0.05)
        self.say(f"Debian GNU/Linux 12 {NODE} ttyS0\r\n\r\n{NODE} login: ")

    def nmi(self) -> None:
        """An NMI that nobody claims."""
        threading.Thread(target=self._nmi, daemon=True).start()

    def _nmi(self) -> None:
        self.say("[   98.100000] Uhhuh. NMI received for unknown reason 21 on CPU 0.\r\n")
        if (self.root / "unknown_nmi_panic").read_text().strip() != "1":
            self.say("[   98.100200] Dazed and confused, but trying to continue\r\n")
            return
        self.die(["[   98.100300] Kernel panic - not syncing: NMI: Not continuing"])

    def reset(self) -> None:
        """The power supply's way."""
        threading.Thread(target=self._reset, daemon=True).start()

    def _reset(self) -> None:
        with self._lock:
            self._kill()
            self.say("SeaBIOS (version 1.16.2-debian-1.16.2-1)\r\n")
            self.boot()

    def die(self, words: list[str]) -> None:
        with self._lock:
            self.deaths += 1
            for line in words:
                self.say(f"{line}\r\n")
            log = (self.root / "kmsg").read_text(errors="replace") + "\n".join(words) + "\n"
            self._kill()
            if not self.saves:
                self.say("[   98.200000] ---[ end Kernel panic - not syncing ]---\r\n")
                return
            for number, line in enumerate(_CAPTURE):
                self.say(f"{line}\r\n")
                time.sleep(self.saving_seconds / len(_CAPTURE))
                if number == 3:
                    self._save(log)
            self.boot()

    def _save(self, log: str) -> None:
        stamp = time.strftime("%Y%m%d%H%M", time.localtime(time.time() + 60 * self.deaths))
        folder = self.crash_folder / stamp
        folder.mkdir(exist_ok=True)
        (folder / f"dmesg.{stamp}").write_text(log)
        incomplete = folder / "dump-incomplete"
        if isinstance(self._dump, Path):
            shutil.copyfile(self._dump, incomplete)
        else:
            incomplete.write_bytes(self._dump)
        incomplete.rename(folder / f"dump.{stamp}")

    def say(self, text: str) -> None:
        for listener in list(self.listeners):
            listener(text)

    def _live(self) -> None:
        """Watch the trigger, and let the kernel's log out of the console."""
        told = ""
        while not self._stop.wait(0.05):
            with contextlib.suppress(OSError):
                # A shell's > empties what only looks like the log's device.
                log = (self.root / "kmsg").read_text(errors="replace")
                if log and log != told:
                    self.say(f"[   97.500000] {log.removeprefix('<1>').strip()}\r\n")
                    told = log
                if (self.root / "sysrq-trigger").read_text().startswith("c"):
                    (self.root / "sysrq-trigger").write_text("")
                    self.die(
                        [
                            "[   98.000000] sysrq: Trigger a crash",
                            "[   98.000100] Kernel panic - not syncing: sysrq triggered crash",
                        ]
                    )

    def _kill(self) -> None:
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon.wait(30)
            self._daemon = None

    def close(self) -> None:
        self._stop.set()
        self._thread.join(30)
        with self._lock:
            self._kill()


@contextlib.contextmanager
def living(root: Path, dump: Path | bytes) -> Iterator[Machine]:
    """A machine that is up."""
    machine = Machine(root, dump)
    machine.build()
    machine.boot()
    machine._thread.start()
    try:
        yield machine
    finally:
        machine.close()
