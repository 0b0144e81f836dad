"""Which whole systems the lab can set up."""

from __future__ import annotations

from dataclasses import dataclass

from kautopsy.model.errors import UsageError


@dataclass(frozen=True)
class Release:
    """A release of Debian.

    :param name: what follows ``lab:``
    :param suite: of the archive
    """

    name: str
    suite: str


_ALL = (Release("debian12", "bookworm"), Release("debian13", "trixie"))
RELEASES = {release.name: release for release in _ALL}

PACKAGES = (
    "dbus",
    "grub-pc",
    "iproute2",
    "kdump-tools",
    "kmod",
    "linux-image-cloud-amd64",
    "makedumpfile",
    "openssh-server",
    "procps",
    "systemd-sysv",
    "udev",
    "zstd",
)
"""Beside Debian's essential ones and apt."""


def find_release(name: str) -> Release:
    """The release called ``name``.

    :raises UsageError: the lab knows no such machine
    """
    try:
        return RELEASES[name]
    except KeyError:
        raise UsageError(
            "the lab knows no such machine",
            thing=name,
            hint=f"choose one of {', '.join(RELEASES)}",
            slug="no-such-machine",
        ) from None
