"""The vocabularies: outcomes, kinds, states, roles."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How the analysis of a dump ended."""

    OK = "ok"
    OOM = "oom"
    """It needed more memory than it may have, or the kernel's OOM killer took it."""
    TIMEOUT = "timeout"
    SIGNAL = "signal"
    """A signal ended it: the detail names which."""
    UNREADABLE = "unreadable"
    """The dump cannot be read: truncated, no dump, of an unknown kernel."""
    QUARANTINED = "quarantined"
    """Two tries were lost without an answer: nobody tries again until asked to."""


class SourceKind(StrEnum):
    """What came in."""

    DUMP = "dump"
    LOG = "log"
    REPORT = "report"
    """A document of ``kautopsy report --json``: what a host's own kautopsy says of its dump."""
    OOPS = "oops"
    """Documents of ``kautopsy oops --json`` or ``--jsonl``."""
    DOCTOR = "doctor"
    DRILL = "drill"


class GroupState(StrEnum):
    """What people think of a group."""

    NEW = "new"
    KNOWN = "known"
    FIXED = "fixed"
    """In the releases of ``fixed_in``; seen there again it becomes new."""
    IGNORED = "ignored"
    """Until ``ignored_until``, or for good."""


class Role(StrEnum):
    """What an account or a token may do; each may what those before it may."""

    HOST = "host"
    """Send reports and dumps of one host, and read nothing."""
    VIEWER = "viewer"
    TRIAGER = "triager"
    ADMIN = "admin"

    def may(self, needed: Role) -> bool:
        """Whether this role is enough where ``needed`` is asked for."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class Answer(StrEnum):
    """What a host is told of the crash it reported."""

    KNOWN = "known"
    NEW = "new"
    WANT_FULL_DUMP = "want-full-dump"


class Ending(StrEnum):
    """How a boot ended."""

    RUNNING = "running"
    CLEAN = "clean"
    """Somebody shut it down."""
    CRASHED = "crashed"
    """And told of it: there is a crash."""
    SILENT = "silent"
    """It neither shut down nor left a crash: the machine died and nothing tells of it."""
    UNKNOWN = "unknown"
    """The machine keeps no record by which to tell."""


class Weight(StrEnum):
    """What a bug follows."""

    HARDWARE = "hardware"
    PLATFORM = "platform"
    KERNEL = "kernel"
    UNDECIDED = "undecided"
