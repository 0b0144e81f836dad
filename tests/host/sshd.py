"""A real sshd of our own on loopback: own port, own keys, own config, nothing of the user's."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@dataclass
class Server:
    """A running sshd, and how to reach it."""

    folder: Path
    port: int
    user: str
    address: str = "127.0.0.1"
    inside: Sequence[str] = ()
    _daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        with (self.folder / "log").open("ab") as log:
            self._daemon = daemon = subprocess.Popen(
                [*self.inside, str(SSHD), "-D", "-e", "-f", str(self.folder / "sshd_config")],
                stdin=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while True:
            with (
                contextlib.suppress(OSError),
                socket.create_connection((self.address, self.port), timeout=1),
            ):
                break
            assert daemon.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)

    def end(self) -> None:
        """End it; who is logged in stays."""
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait(30)
            self._daemon = None

    def kill(self) -> None:
        """It dies with all who are logged in, as a host does."""
        assert self._daemon is not None
        for pid in _family(self._daemon.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._daemon.wait(30)
        self._daemon = None

    @property
    def name(self) -> str:
        return f"{self.user}@{self.address}"

    @property
    def options(self) -> list[str]:
        """For ``ssh -o``: this server and these keys, whatever the user's config says."""
        return [
            f"Port={self.port}",
            f"IdentityFile={self.folder}/user",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            f"UserKnownHostsFile={self.folder}/known_hosts",
            "GlobalKnownHostsFile=/dev/null",
        ]

    def know(self, key: str = "host") -> None:
        """Make ``key`` the one that is known."""
        public = (self.folder / f"{key}.pub").read_text()
        (self.folder / "known_hosts").write_text(f"[{self.address}]:{self.port} {public}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_key(path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=30
    )


@contextlib.contextmanager
def serve(
    folder: Path, *, address: str = "127.0.0.1", inside: Sequence[str] = ()
) -> Iterator[Server]:
    """Start sshd, wait until it listens, and end it.

    :param inside: what runs it elsewhere: ``ip netns exec NAME``
    """
    assert SSHD is not None
    for name in ("host", "other", "user"):
        make_key(folder / name)
    shutil.copy(folder / "user.pub", folder / "authorized_keys")
    user = pwd.getpwuid(os.geteuid()).pw_name
    server = Server(folder, free_port(), user, address, inside)
    (folder / "sshd_config").write_text(
        f"""\
ListenAddress {address}:{server.port}
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
"""
    )
    # Run by root it wants its privilege separation directory.
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    try:
        server.start()
        server.know()
        yield server
    finally:
        server.end()


def _family(pid: int) -> list[int]:
    """A process and all that descend from it, by /proc."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    with contextlib.suppress(OSError):
        below = [_family(int(child)) for child in children.read_text().split()]
        return [pid, *(one for each in below for one in each)]
    return [pid]
