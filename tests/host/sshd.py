"""A real sshd of our own on loopback: own port, own keys, own config, nothing of the user's."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
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
    server = Server(folder, free_port(), pwd.getpwuid(os.geteuid()).pw_name, address)
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
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [*inside, SSHD, "-D", "-e", "-f", str(folder / "sshd_config")],
            stdin=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 30
        while True:
            with (
                contextlib.suppress(OSError),
                socket.create_connection((address, server.port), timeout=1),
            ):
                break
            assert daemon.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        server.know()
        yield server
    finally:
        daemon.terminate()
        daemon.wait(30)
