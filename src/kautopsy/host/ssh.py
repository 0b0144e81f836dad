"""A machine over the OpenSSH binary: the user's config, keys, agent, known hosts and jump hosts.

One connection serves all commands (``ControlMaster``), a host whose key is unknown or changed is
refused, and nobody is ever asked for a password (``BatchMode``).
"""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from kautopsy.host.host import RunResult
from kautopsy.host.local import run_here
from kautopsy.model.errors import UnreachableError, UnreadableError, UsageError

# Nothing that ssh could take for an option.
_DESTINATION = re.compile(r"(?:[^@\s-][^@\s]*@)?[^@\s-][^@\s]*")
_SSH_FAILED = 255
_NO_FILE = 66
# The login shell of the user may be csh or fish: it sees one quoted argument, without "!" or "\n".
# id(1) and not $EUID, which only bash has.
AS_ROOT = (
    'if [ "$(id -u)" != 0 ] && sudo -n true 2>/dev/null; then exec sudo -n -- "$@"; fi; exec "$@"'
)
_READ = f'[ -e "$1" ] || exit {_NO_FILE}; exec cat -- "$1"'
# cp -p takes owner and mode along, cp -a with GNU's also the SELinux label, ACLs and attributes;
# writing into the copy keeps them. mktemp is not in POSIX, but in coreutils, busybox and el5.
_WRITE = """\
set -e
target=$(readlink -f -- "$1") || target=$1
partial=$(mktemp "${target%/*}/.kautopsy.XXXXXX")
trap 'rm -f -- "$partial"' EXIT
trap 'exit 1' HUP INT TERM
if [ -e "$target" ]; then cp -a -- "$target" "$partial"; else chmod 0644 "$partial"; fi
cat >"$partial"
[ "$(wc -c <"$partial" | tr -d ' ')" = "$2" ] || { echo "only a part arrived" >&2; exit 1; }
sync
mv -f -- "$partial" "$target"
trap - EXIT
sync
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


class SshHost:
    """``[user@]host``, used as a context or closed by hand.

    :param destination: as ``ssh`` takes it; a name of ``~/.ssh/config`` too
    :param jump: jump hosts, as ``ssh -J`` takes them
    :param options: more ``-o`` values (``Port=2222``)
    :param connect_timeout: seconds
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
    ) -> None:
        if not _DESTINATION.fullmatch(destination):
            raise UsageError("is no name of a host", thing=destination, slug="bad-host")
        if jump is not None and (not jump or jump.startswith("-")):
            raise UsageError("is no jump host", thing=jump, slug="bad-host")
        self.name = destination
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
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

    def read(self, path: str) -> bytes:
        """See :meth:`kautopsy.host.host.Host.read`."""
        done = self.run(["sh", "-c", _READ, "sh", path])
        if done.status == _NO_FILE:
            raise UnreadableError("does not exist", thing=f"{self.name}:{path}", slug="no-file")
        if done.status:
            raise UnreadableError(done.complaint, thing=f"{self.name}:{path}")
        return done.stdout

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> RunResult:
        """See :meth:`kautopsy.host.host.Host.run`."""
        command = f"exec /bin/sh -c {shlex.quote(AS_ROOT)} sh {shlex.join(argv)}"
        done = run_here(
            [*self._ssh, "--", self.name, command],
            stdin=stdin,
            timeout=timeout,
            name=self.name,
        )
        # 255 may be the command's own; ssh's failures come without output.
        if done.status == _SSH_FAILED and not done.stdout:
            self._explain(done)
        return done

    def write(self, path: str, contents: bytes) -> None:
        """See :meth:`kautopsy.host.host.Host.write`."""
        if not path.startswith("/"):
            raise UsageError("is no absolute path", thing=path)
        argv = ["sh", "-c", _WRITE, "sh", path, str(len(contents))]
        done = self.run(argv, stdin=contents, timeout=120.0)
        if done.status:
            raise UnreadableError(
                f"cannot be written: {done.complaint}",
                thing=f"{self.name}:{path}",
                slug="not-written",
            )

    def script(self, text: str, *arguments: str, timeout: float = 120.0) -> RunResult:
        """See :meth:`kautopsy.host.host.Host.script`."""
        return self.run(["sh", "-s", "--", *arguments], stdin=text.encode(), timeout=timeout)

    def _explain(self, done: RunResult) -> None:
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
