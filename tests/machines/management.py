"""A management network: a network namespace in which BMCs are, and a jump host with a real sshd.

Nothing leads from here to the BMC's address; the jump host has one leg here and one there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.host.sshd import SSHD, make_key

# Of the blocks for documentation and benchmarks (RFC 5737, RFC 2544): nobody routes them.
BMC = "192.0.2.2"
_HERE, _JUMP = "198.18.77.1", "198.18.77.2"
_PORT = 2222
_CONFIG = """\
ListenAddress {address}:{port}
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
"""


def possible() -> bool:
    """Whether network namespaces can be made, and sshd and ipmitool are here."""
    if os.geteuid() or SSHD is None or not shutil.which("ip") or not shutil.which("ipmitool"):
        return False
    name = f"kautopsy-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return made.returncode == 0


@dataclass(frozen=True)
class Management:
    """The network, up.

    :param namespace: of ``ip netns``
    :param jump: what ``ssh`` takes for the jump host, with ``options``
    """

    namespace: str
    link: str
    jump: str
    options: tuple[str, ...]


@contextlib.contextmanager
def management(folder: Path) -> Iterator[Management]:
    """Make it, with an sshd in it, and take it down."""
    assert SSHD is not None
    name = f"kautopsy-{os.getpid()}"
    inside = ("ip", "netns", "exec", name)
    with contextlib.ExitStack() as stack:
        _ip("netns", "add", name)
        stack.callback(_ip, "netns", "del", name)
        leg = f"kt{os.getpid()}"[:15]
        _ip("link", "add", leg, "type", "veth", "peer", "name", "mgmt0", "netns", name)
        _ip("addr", "add", f"{_HERE}/30", "dev", leg)
        _ip("link", "set", leg, "up")
        _ip("-n", name, "addr", "add", f"{_JUMP}/30", "dev", "mgmt0")
        _ip("-n", name, "link", "set", "mgmt0", "up")
        _ip("-n", name, "addr", "add", f"{BMC}/32", "dev", "lo")
        _ip("-n", name, "link", "set", "lo", "up")
        for key in ("host", "user"):
            make_key(folder / key)
        shutil.copy(folder / "user.pub", folder / "authorized_keys")
        public = (folder / "host.pub").read_text()
        (folder / "known_hosts").write_text(f"[{_JUMP}]:{_PORT} {public}")
        (folder / "sshd_config").write_text(
            _CONFIG.format(address=_JUMP, port=_PORT, folder=folder)
        )
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        log = stack.enter_context((folder / "sshd.log").open("wb"))
        daemon = subprocess.Popen(
            [*inside, SSHD, "-D", "-e", "-f", str(folder / "sshd_config")],
            stdin=subprocess.DEVNULL,
            stderr=log,
        )
        stack.callback(daemon.wait, 30)
        stack.callback(daemon.terminate)
        deadline = time.monotonic() + 30
        while True:
            with (
                contextlib.suppress(OSError),
                socket.create_connection((_JUMP, _PORT), timeout=1),
            ):
                break
            assert daemon.poll() is None, (folder / "sshd.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield Management(
            namespace=name,
            link=_JUMP,
            jump=f"root@{_JUMP}",
            options=(
                f"Port={_PORT}",
                f"IdentityFile={folder}/user",
                "IdentitiesOnly=yes",
                "IdentityAgent=none",
                f"UserKnownHostsFile={folder}/known_hosts",
                "GlobalKnownHostsFile=/dev/null",
            ),
        )


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)
