"""What lies at a path, and the small changes that an undo is made of."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from kautopsy.host.host import RunResult
from kautopsy.model.errors import UnreadableError, UsageError

PARTIAL = ".kautopsy."
"""What the names of half-written files begin with; who was killed may leave one."""


class PathKind(StrEnum):
    """What lies at a path; symbolic links are not followed."""

    ABSENT = "absent"
    FILE = "file"
    LINK = "link"
    FOLDER = "folder"
    OTHER = "other"


@dataclass(frozen=True)
class PathState:
    """``mode`` of a file or a folder, as ``0o644``; ``target`` of a link."""

    kind: PathKind
    mode: int = 0
    target: str = ""


ABSENT = PathState(PathKind.ABSENT)

# $1 says what to do with $2. The dot guards a line feed that "$(...)" would cut off.
_SCRIPT = """\
action=$1 path=$2
case $action in
look)
    if [ -h "$path" ]; then
        target=$(readlink -- "$path"; echo .)
        printf 'link 0 %s' "${target%??}"
    elif [ -f "$path" ]; then
        printf 'file %s ' "$(stat -c %a -- "$path")"
    elif [ -d "$path" ]; then
        printf 'folder %s ' "$(stat -c %a -- "$path")"
    elif [ -e "$path" ]; then
        printf 'other 0 '
    else
        printf 'absent 0 '
    fi
    exit ;;
expand)
    # Without IFS nothing cuts the pattern into words: only its wildcards are expanded.
    IFS=
    for name in $path; do
        if [ -e "$name" ] || [ -h "$name" ]; then printf '%s\\n' "$name"; fi
    done
    exit ;;
folder) mkdir -m "$3" -- "$path" ;;
link)
    partial=$(mktemp "${path%/*}/.kautopsy.XXXXXX") && rm -f -- "$partial" &&
        ln -s -- "$3" "$partial" && mv -f -- "$partial" "$path"
    ;;
remove)
    if [ -d "$path" ] && [ ! -h "$path" ]; then rmdir -- "$path"; else rm -f -- "$path"; fi
    ;;
esac
status=$?
sync
exit $status
"""
NO_FILE = 66
"""What our scripts exit with where a file is not there."""
_READ = f'[ -e "$1" ] || exit {NO_FILE}; exec cat -- "$1"'
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
[ -z "$3" ] || chmod "$3" "$partial"
sync
mv -f -- "$partial" "$target"
trap - EXIT
sync
"""


class ShellPaths(ABC):
    """The methods of a host that read and change files, for one that runs commands."""

    name: str

    @abstractmethod
    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> RunResult:
        """See :meth:`kautopsy.host.host.Host.run`."""

    def read(self, path: str) -> bytes:
        """See :meth:`kautopsy.host.host.Host.read`."""
        done = self.run(["sh", "-c", _READ, "sh", path])
        if done.status == NO_FILE:
            raise UnreadableError("does not exist", thing=f"{self.name}:{path}", slug="no-file")
        if done.status:
            raise UnreadableError(done.complaint, thing=f"{self.name}:{path}")
        return done.stdout

    def write(self, path: str, contents: bytes, *, mode: int | None = None) -> None:
        """See :meth:`kautopsy.host.host.Host.write`."""
        if not path.startswith("/"):
            raise UsageError("is no absolute path", thing=path)
        wanted = "" if mode is None else f"{mode:o}"
        argv = ["sh", "-c", _WRITE, "sh", path, str(len(contents)), wanted]
        done = self.run(argv, stdin=contents, timeout=120.0)
        if done.status:
            raise UnreadableError(
                f"cannot be written: {done.complaint}",
                thing=f"{self.name}:{path}",
                slug="not-written",
            )

    def look(self, path: str) -> PathState:
        """See :meth:`kautopsy.host.host.Host.look`."""
        kind, mode, target = self._do("look", path).text.split(" ", 2)
        return PathState(PathKind(kind), int(mode or "0", 8), target)

    def expand(self, pattern: str) -> tuple[str, ...]:
        """See :meth:`kautopsy.host.host.Host.expand`."""
        return tuple(self._do("expand", pattern).text.splitlines())

    def make_folder(self, path: str, mode: int) -> None:
        """See :meth:`kautopsy.host.host.Host.make_folder`."""
        self._do("folder", path, f"{mode:o}")

    def link(self, path: str, target: str) -> None:
        """See :meth:`kautopsy.host.host.Host.link`."""
        self._do("link", path, target)

    def remove(self, path: str) -> None:
        """See :meth:`kautopsy.host.host.Host.remove`."""
        self._do("remove", path)

    def _do(self, action: str, path: str, *more: str) -> RunResult:
        if not path.startswith("/"):
            raise UsageError("is no absolute path", thing=path)
        done = self.run(["sh", "-c", _SCRIPT, "sh", action, path, *more])
        if done.status:
            raise UnreadableError(done.complaint, thing=f"{self.name}:{path}", slug="not-written")
        return done


def look_here(path: Path) -> PathState:
    """What lies at a path of this machine."""
    try:
        if path.is_symlink():
            return PathState(PathKind.LINK, target=os.readlink(path))  # noqa: PTH115 - keeps "./"
        mode = path.stat().st_mode & 0o7777
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return ABSENT
    if path.is_file():
        return PathState(PathKind.FILE, mode)
    return PathState(PathKind.FOLDER if path.is_dir() else PathKind.OTHER, mode)
