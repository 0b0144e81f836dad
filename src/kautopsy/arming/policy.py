"""What the user wants of a machine: defaults, a TOML file, and what the command line says."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kautopsy.arming.sizes import asked_for
from kautopsy.model.errors import UnreadableError, UsageError
from kautopsy.model.host import TargetKind

_NAME = re.compile(r"(?:kernel|vm)\.[a-z0-9_.-]{1,60}")
_URL = re.compile(r"(nfs|ssh)://((?:[\w.-]+@)?[\w.:\[\]-]+)(/[^\s]*)?")
_ENOUGH = 1 << 45


@dataclass(frozen=True)
class Target:
    """Where dumps shall go; ``server`` of NFS, or ``user@server`` of ssh."""

    kind: TargetKind
    path: str
    server: str = ""


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the user wants; the TOML file has the same names.

    :param crashkernel: a value of ``crashkernel=`` (several, separated by blanks, for ``,high`` and
        ``,low``), ``auto`` (as much as this machine needs), or ``keep``
    :param target: ``/path``, ``nfs://server/export`` or ``ssh://user@server/path``; "" keeps it
    :param collector: makedumpfile with its arguments; "" keeps it
    :param service: install and enable the distribution's kdump
    :param sysctl: name → value, or false to leave one alone that the defaults would set
    :param defaults: set the sysctls that a machine needs to panic when it should
    :param now: change the running system too, not only the next boot
    """

    crashkernel: str = "auto"
    target: str = ""
    collector: str = ""
    service: bool = True
    sysctl: dict[str, str | int | bool] = msgspec.field(default_factory=dict)
    defaults: bool = True
    now: bool = True

    @property
    def destination(self) -> Target | None:
        """The target, taken apart."""
        if not self.target:
            return None
        if self.target.startswith("/"):
            return Target(TargetKind.LOCAL, self.target)
        match = _URL.fullmatch(self.target)
        assert match is not None
        return Target(TargetKind(match[1]), match[3] or "/", match[2])


def load(path: Path | None) -> Policy:
    """The policy of a file, checked; the defaults without one.

    :raises UnreadableError: it cannot be read, or is no TOML
    :raises UsageError: a name is unknown, or a value makes no sense
    """
    if path is None:
        return Policy()
    try:
        raw = tomllib.loads(path.read_text())
    except OSError as error:
        raise UnreadableError(error.strerror or str(error), thing=str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UnreadableError(f"is no TOML: {error}", thing=str(path), slug="bad-policy") from None
    try:
        return checked(msgspec.convert(raw, Policy))
    except msgspec.ValidationError as error:
        raise UsageError(str(error), thing=str(path), slug="bad-policy") from None


def checked(policy: Policy) -> Policy:
    """``policy``, if its values make sense.

    :raises UsageError: one does not
    """
    words = policy.crashkernel.split()
    known = policy.crashkernel in ("auto", "keep")
    fits = all(re.fullmatch(r"[0-9A-Za-z:,@-]+", word) for word in words)
    if not known and (not words or not fits or asked_for(words, _ENOUGH) is None):
        raise UsageError(
            "is no crashkernel= value",
            thing=policy.crashkernel,
            hint="256M, 1G-4G:192M,4G-:256M, '512M,high 128M,low', auto or keep",
            slug="bad-policy",
        )
    if policy.target and not policy.target.startswith("/") and not _URL.fullmatch(policy.target):
        raise UsageError(
            "is no place for dumps",
            thing=policy.target,
            hint="/path, nfs://server/export or ssh://user@server/path",
            slug="bad-policy",
        )
    for text in (policy.target, policy.collector):
        if re.search(r"[\x00-\x1f\x7f\"'`$\\;&|<>#]", text) or (
            text == policy.target and " " in text
        ):
            raise UsageError(
                "has a character that configuration files cannot hold",
                thing=text,
                slug="bad-policy",
            )
    if policy.collector and "makedumpfile" not in policy.collector.split(" ", 1)[0]:
        raise UsageError(
            "must begin with makedumpfile",
            thing=policy.collector,
            hint="makedumpfile -l -d 31",
            slug="bad-policy",
        )
    for name, value in policy.sysctl.items():
        if not _NAME.fullmatch(name):
            raise UsageError("is no sysctl of kernel. or vm.", thing=name, slug="bad-policy")
        if value is not False and not re.fullmatch(r"-?\w[\w ,.-]{0,200}", sysctl_text(value)):
            raise UsageError(f"is no value for {name}", thing=str(value), slug="bad-policy")
    return policy


def sysctl_text(value: str | int | bool) -> str:
    """A value as sysctl(8) takes it."""
    return "1" if value is True else str(value).strip()
