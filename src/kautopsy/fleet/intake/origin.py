"""Which host a file is of: by the folder it was fetched into, or by its own name.

Ansible's ``fetch`` makes ``DEST/HOST/path/on/the/host``, kdump's ssh and NFS targets
``HOST-2026-11-23-10:22:00/``, console servers ``HOST.log``.
"""

from __future__ import annotations

import re
from pathlib import Path

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?")
_KDUMP_FOLDER = re.compile(r"(?P<host>.+?)-\d{4}-\d\d-\d\d-\d\d:\d\d(?::\d\d)?")
_DATE = re.compile(r"\d{4,14}(?:[-_T:.]?\d+)*")
_AFFIX = re.compile(r"^(?:console|netconsole|serial|ttyS\d|sol)[-_.]|[-_.](?:console|serial|sol)$")
# Names of places and of logs, which every host has.
_GENERIC = frozenset(
    """
    boot capture collected console crash crashes current data dmesg dmesg-ramoops-0 dump dumpfile
    dumps etc fleet home incoming journal kdump kern kernel localhost log logs messages mnt
    netconsole old oops opt panic pstore root run serial sol srv sys syslog system systemd tmp
    unknown usr var vmcore vmcore-dmesg vmcore-incomplete
    """.split()  # noqa: SIM905
)


def host_of(path: Path, root: Path) -> str:
    """The host of the file ``path`` below the directory ``root`` that was asked for; "" if unknown.

    ``root`` may be the file itself.
    """
    try:
        parts = path.relative_to(root).parts
    except ValueError:
        parts = ()
    folders = list(parts[:-1]) if parts else []
    for folder in reversed(folders or [path.parent.name]):
        match = _KDUMP_FOLDER.fullmatch(folder)
        if match is not None and usable(match["host"]):
            return match["host"]
    if folders and usable(folders[0]):
        return folders[0]
    if not folders and re.search(r"\.(?:log|console|txt|dmesg|out|json)\b", path.name):
        return _from_name(path.name)
    return ""


def _from_name(name: str) -> str:
    stem = re.sub(r"(?:\.(?:log|console|txt|dmesg|out|json|\d+|gz|xz|zst|bz2))+$", "", name)
    stem = _AFFIX.sub("", stem)
    return stem if usable(stem) and not _DATE.fullmatch(stem) else ""


def usable(name: str) -> bool:
    """Whether ``name`` can be a host's and tells hosts apart."""
    if not _HOST.fullmatch(name) or (_DATE.fullmatch(name) and not _is_address(name)):
        return False
    lower = name.lower()
    return lower.split(".")[0] not in _GENERIC and not lower.startswith(("127.", "localhost"))


def _is_address(name: str) -> bool:
    return re.fullmatch(r"\d{1,3}(?:\.\d{1,3}){3}", name) is not None


def safe_name(name: str) -> str:
    """``name`` as a file's name that is shown and never a path: no separators, no dots in front."""
    last = re.split(r"[/\\]", name)[-1]
    return re.sub(r"[^\w.:@+-]", "_", last).lstrip(".")[:200] or "unnamed"
