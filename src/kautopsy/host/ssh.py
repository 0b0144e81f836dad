"""A machine over the OpenSSH binary: the user's config, keys, agent, known hosts and jump hosts.

One connection serves all commands (``ControlMaster``), a host whose key is unknown or changed is
refused, and nobody is ever asked for a password (``BatchMode``).
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from kautopsy.host.files import PIECE
from kautopsy.host.host import RunResult
from kautopsy.host.local import run_here
from kautopsy.host.paths import NO_FILE, ShellPaths
from kautopsy.model.errors import UnreachableError, UnreadableError, UsageError

# Nothing that ssh could take for an option.
_DESTINATION = re.compile(r"(?:[^@\s-][^@\s]*@)?[^@\s-][^@\s]*")
_SSH_FAILED = 255
# The login shell of the user may be csh or fish: it sees one quoted argument, without "!" or "\n".
# id(1) and not $EUID, which only bash has.
AS_ROOT = (
    'if [ "$(id -u)" != 0 ] && sudo -n true 2>/dev/null; then exec sudo -n -- "$@"; fi; exec "$@"'
)
# One letter says how the bytes come.
_PULL = f"""\
[ -e "$1" ] || exit {NO_FILE}
[ -r "$1" ] || {{ echo "may not be read" >&2; exit 1; }}
if [ "$3" = gzip ] && command -v gzip >/dev/null 2>&1; then
    printf z
    tail -c +"$2" -- "$1" | gzip -1 -c
else
    printf p
    exec tail -c +"$2" -- "$1"
fi
"""
_FAILURES = (
    # (what ssh says, slug, what, hint)
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|host key .* has changed|has been revoked",
        "host-key-changed",
        "its host key is not the one that is known",
        "if it was reinstalled, forget the old key with: ssh-keygen -R {host}",
    ),
    (
        r"Host key verification failed|No .* host key is known",
        "host-key-unknown",
        "its host key is not known",
        "connect once by hand and compare the fingerprint: ssh {host}",
    ),
    (
        r"Permission denied|Too many authentication failures|No supported authentication",
        "auth-failed",
        "it lets us not in",
        "a key that needs no questions is wanted: ssh-add, or ssh-copy-id {host}",
    ),
    (
        r"Could not resolve hostname",
        "unknown-host",
        "its name cannot be resolved",
        "check the name, or give it a Host entry in ~/.ssh/config",
    ),
)


class SshHost(ShellPaths):
    """``[user@]host``, used as a context or closed by hand.

    :param destination: as ``ssh`` takes it; a name of ``~/.ssh/config`` too
    :param jump: jump hosts, as ``ssh -J`` takes them
    :param options: more ``-o`` values (``Port=2222``)
    :param connect_timeout: seconds
    :param as_root: False runs everything as the user who logs in: a jump host needs no more
    :raises UsageError: ``destination`` is no name of a host
    """

    live = True

    def __init__(
        self,
        destination: str,
        *,
        jump: str | None = None,
        options: Sequence[str] = (),
        connect_timeout: int = 15,
        as_root: bool = True,
    ) -> None:
        if not _DESTINATION.fullmatch(destination):
            raise UsageError("is no name of a host", thing=destination, slug="bad-host")
        if jump is not None and (not jump or jump.startswith("-")):
            raise UsageError("is no jump host", thing=jump, slug="bad-host")
        self.name = destination
        self._as_root = as_root
        # A socket's path may have 107 bytes: not below a long TMPDIR.
        self._folder = tempfile.mkdtemp(prefix="kautopsy-ssh-", dir="/tmp")
        options = (
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            f"ConnectTimeout={connect_timeout}",
            "ServerAliveInterval=10",
            "ServerAliveCountMax=3",
            "ControlMaster=auto",
            f"ControlPath={self._folder}/c",
            "ControlPersist=60",
            "ForwardX11=no",
            "LogLevel=ERROR",
            *options,
        )
        self._ssh = ["ssh", "-T", *(word for option in options for word in ("-o", option))]
        if jump is not None:
            self._ssh += ["-J", jump]

    def __enter__(self) -> SshHost:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        if Path(self._folder, "c").exists():
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(
                    [*self._ssh, "-O", "exit", "--", self.name],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=10,
                    check=False,
                )
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> RunResult:
        """See :meth:`kautopsy.host.host.Host.run`."""
        done = run_here(
            self._command(argv),
            stdin=stdin,
            timeout=timeout,
            name=self.name,
        )
        # 255 may be the command's own; ssh's failures come without output.
        if done.status == _SSH_FAILED and not done.stdout:
            self._explain(done)
        return done

    def script(self, text: str, *arguments: str, timeout: float = 120.0) -> RunResult:
        """See :meth:`kautopsy.host.host.Host.script`."""
        return self.run(["sh", "-s", "--", *arguments], stdin=text.encode(), timeout=timeout)

    def terminal_argv(self, argv: Sequence[str]) -> list[str]:
        """What to run here so that ``argv`` runs there, on a terminal of its own (``ssh -tt``)."""
        command = self._command(argv)
        command[command.index("-T")] = "-tt"
        return command

    def pull(self, path: str, *, offset: int = 0, squeeze: bool = False) -> Iterator[bytes]:
        """See :meth:`kautopsy.host.host.Host.pull`."""
        argv = ["sh", "-c", _PULL, "sh", path, str(offset + 1), "gzip" if squeeze else "cat"]
        child = subprocess.Popen(
            self._command(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert child.stdout is not None and child.stderr is not None
        # The far side says which it is: gzip may not be there.
        unpack = None
        first = True
        try:
            while data := os.read(child.stdout.fileno(), PIECE):
                if first:
                    first, kind, data = False, data[:1], data[1:]
                    unpack = zlib.decompressobj(wbits=31) if kind == b"z" else None
                if unpack is not None:
                    data = unpack.decompress(data)
                if data:
                    yield data
            words = child.stderr.read()
            status = child.wait(30)
            if unpack is not None and not unpack.eof and status == 0:
                status = _SSH_FAILED
        except zlib.error as error:
            raise UnreachableError(
                f"what came is damaged: {error}", thing=self.name, slug="cut-off"
            ) from None
        finally:
            if child.poll() is None:
                child.kill()
            child.wait()
            child.stdout.close()
            child.stderr.close()
        done = RunResult(status, b"", words)
        if status == NO_FILE:
            raise UnreadableError("does not exist", thing=f"{self.name}:{path}", slug="no-file")
        if status == _SSH_FAILED or status < 0:
            if first:
                self._explain(done)
            raise UnreachableError(
                f"the connection broke while {path} was read: {done.complaint}",
                thing=self.name,
                slug="cut-off",
            )
        if status:
            raise UnreadableError(done.complaint, thing=f"{self.name}:{path}")

    @contextlib.contextmanager
    def tunnel(self, address: str, port: int, *, timeout: float = 30.0) -> Iterator[int]:
        """A port of ours on 127.0.0.1 that leads to ``address`` as this host reaches it.

        :param timeout: seconds until the connection must stand
        :raises UnreachableError: this host cannot be reached
        """
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ours = int(probe.getsockname()[1])
        inner = f"[{address}]" if ":" in address else address
        # A connection of its own: one that is shared would outlive the forwarding. Of options that
        # are given twice ssh takes the first.
        command = ["ssh", "-o", "ControlPath=none", "-o", "ExitOnForwardFailure=yes"]
        command += [*self._ssh[1:], "-N", "-L", f"127.0.0.1:{ours}:{inner}:{port}"]
        child = subprocess.Popen(
            [*command, "--", self.name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            deadline = time.monotonic() + timeout
            while True:
                if child.poll() is not None:
                    assert child.stderr is not None
                    self._explain(RunResult(child.returncode, b"", child.stderr.read()))
                with (
                    contextlib.suppress(OSError),
                    socket.create_connection(("127.0.0.1", ours), timeout=1),
                ):
                    break
                if time.monotonic() > deadline:
                    raise UnreachableError(
                        f"no tunnel through it in {timeout:.0f} s", thing=self.name
                    )
                time.sleep(0.05)
            yield ours
        finally:
            child.terminate()
            child.wait()
            if child.stderr is not None:
                child.stderr.close()

    def _command(self, argv: Sequence[str]) -> list[str]:
        wrapper = AS_ROOT if self._as_root else 'exec "$@"'
        command = f"exec /bin/sh -c {shlex.quote(wrapper)} sh {shlex.join(argv)}"
        return [*self._ssh, "--", self.name, command]

    def _explain(self, done: RunResult) -> NoReturn:
        words = done.stderr.decode(errors="replace")
        host = self.name.rpartition("@")[2]
        for pattern, slug, what, hint in _FAILURES:
            if re.search(pattern, words):
                raise UnreachableError(
                    what, thing=self.name, hint=hint.format(host=host), slug=slug
                )
        raise UnreachableError(
            f"ssh: {done.complaint}" if words.strip() else "ssh failed without a word",
            thing=self.name,
            hint=f"try by hand: ssh {host}",
        )
